"""A client that does what it is told: raw bytes in, parsed responses out."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass, field
from typing import IO

# Only so that a broken proxy fails a test instead of hanging it.
GUARD_SECONDS = 30.0


@dataclass
class Response:
    """One response. `headers` has lower-case names; a field that came several times is joined by
    commas.
    """

    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)

    @property
    def headers(self) -> dict[str, str]:
        joined: dict[str, str] = {}
        for name, value in self.fields:
            name = name.lower()
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return joined

    @property
    def text(self) -> str:
        return self.body.decode()


Place = int | str | tuple[str, int]


def connect(place: Place) -> socket.socket:
    """A connected socket: a port of 127.0.0.1, (host, port), or the path of a unix socket."""
    if isinstance(place, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(GUARD_SECONDS)
        sock.connect(place)
        return sock
    address = ("127.0.0.1", place) if isinstance(place, int) else place
    sock = socket.create_connection(address, timeout=GUARD_SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def exchange(place: Place, raw: bytes) -> bytes:
    """Send <raw>, end our side, and return everything until the other side closes."""
    with connect(place) as sock:
        sock.sendall(raw)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        answer = bytearray()
        with contextlib.suppress(ConnectionResetError):
            while chunk := sock.recv(65536):
                answer += chunk
        return bytes(answer)


def send(
    sock: socket.socket,
    path: str = "/",
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: bytes = b"",
    host: str = "test",
) -> None:
    """Send one request on an open connection."""
    fields = {"host": host, **(headers or {})}
    if body and "content-length" not in fields:
        fields["content-length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)


def get(place: Place, path: str = "/", **options: object) -> Response:
    """One request on a connection of its own; options as for `send`."""
    with connect(place) as sock:
        send(sock, path, **options)  # type: ignore[arg-type]
        return read_response(sock, head_only=options.get("method") == "HEAD")


def read_response(sock: socket.socket, *, head_only: bool = False) -> Response:
    """Read one final response, skipping 1xx; whatever follows it stays unread.

    Raises `ConnectionError` when the connection ends before the response does.
    """
    # Unbuffered, so that the next response on the connection is still in the socket.
    with sock.makefile("rb", buffering=0) as stream:
        while True:
            response = _read_head(stream)
            if response.status >= 200:
                break
        if not head_only and response.status not in (204, 304):
            _read_body(stream, response)
        return response


def _line(stream: IO[bytes]) -> bytes:
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = stream.read(1)
        if not byte:
            raise ConnectionError(f"the connection ended after {bytes(line)!r}")
        line += byte
    return bytes(line).rstrip(b"\r\n")


def _fields(stream: IO[bytes]) -> list[tuple[str, str]]:
    fields = []
    while line := _line(stream):
        name, _, value = line.decode("latin-1").partition(":")
        fields.append((name, value.strip()))
    return fields


def _read_head(stream: IO[bytes]) -> Response:
    status_line = _line(stream).decode("latin-1").split(" ", 2)
    fields = _fields(stream)
    return Response(int(status_line[1]), status_line[2] if len(status_line) > 2 else "", fields)


def _exactly(stream: IO[bytes], count: int) -> bytes:
    body = bytearray()
    while len(body) < count:
        chunk = stream.read(count - len(body))
        if not chunk:
            raise ConnectionError(f"the connection ended {count - len(body)} bytes too early")
        body += chunk
    return bytes(body)


def _read_body(stream: IO[bytes], response: Response) -> None:
    headers = response.headers
    if "chunked" in headers.get("transfer-encoding", ""):
        while size := int(_line(stream).split(b";")[0], 16):
            response.body += _exactly(stream, size)
            _line(stream)
        response.trailers = _fields(stream)
    elif "content-length" in headers:
        response.body = _exactly(stream, int(headers["content-length"]))
    else:
        while chunk := stream.read(65536):
            response.body += chunk
