"""A scripted origin: records what arrives, answers what the test says."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .client import GUARD_SECONDS


@dataclass
class OriginRequest:
    """One request as it came over the wire; `raw` is its head, byte for byte."""

    raw: bytes
    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    connection: int = 0  # which connection of the origin it came on, from 0

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def headers(self) -> dict[str, str]:
        joined: dict[str, str] = {}
        for name, value in self.fields:
            name = name.lower()
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return joined


@dataclass
class Reply:
    """An answer; `raw` overrides the rest and may be anything. `close` ends the connection after
    it.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    close: bool = False

    def encode(self, method: str) -> bytes:
        if self.raw is not None:
            return self.raw
        lines = [f"HTTP/1.1 {self.status} X", *(f"{n}: {v}" for n, v in self.headers.items())]
        names = {name.lower() for name in self.headers}
        if not names & {"content-length", "transfer-encoding"} and self.status not in (204, 304):
            lines.append(f"content-length: {len(self.body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head if method == "HEAD" else head + self.body


Handler = Callable[[OriginRequest], Reply | None]


def echo(request: OriginRequest) -> Reply:
    """The default answer: what arrived, as JSON."""
    seen = {
        "method": request.method,
        "target": request.target,
        "headers": request.fields,
        "body_bytes": len(request.body),
    }
    return Reply(headers={"content-type": "application/json"}, body=json.dumps(seen).encode())


class Origin:
    """A listening origin; made by `origin`. `requests` grows as complete requests arrive."""

    def __init__(
        self,
        handler: Handler,
        tls: ssl.SSLContext | None = None,
        at: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self._handler = handler
        self._tls = tls
        self._listener = socket.create_server(at, backlog=512)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.connections = 0
        self.requests: list[OriginRequest] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def address(self) -> str:
        return f"{self._listener.getsockname()[0]}:{self.port}"

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(GUARD_SECONDS)
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.add(sock)
                number = self.connections
                self.connections += 1
            threading.Thread(target=self._serve, args=(sock, number), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            with sock, contextlib.suppress(OSError, ValueError):
                if self._tls is None:
                    self._answer(sock, number)
                    return
                with self._tls.wrap_socket(sock, server_side=True) as secured:
                    with self._lock:  # `sock` has no descriptor any more
                        self._open ^= {sock, secured}
                    sock = secured
                    self._answer(secured, number)
        finally:
            with self._lock:
                self._open.discard(sock)

    def _answer(self, sock: socket.socket, number: int) -> None:
        with sock.makefile("rb") as stream:
            while (request := _read_request(stream)) is not None:
                request.connection = number
                with self._lock:
                    self.requests.append(request)
                reply = self._handler(request)
                if reply is None:
                    return
                sock.sendall(reply.encode(request.method))
                if reply.close:
                    return


@contextlib.contextmanager
def origin(
    handler: Handler = echo,
    *,
    tls: ssl.SSLContext | None = None,
    at: tuple[str, int] = ("127.0.0.1", 0),
) -> Iterator[Origin]:
    """An origin on a free port of 127.0.0.1, or <at>; with <tls> it speaks that.

    <handler> runs in a thread of the connection; None as its answer drops the connection.
    """
    server = Origin(handler, tls, at)
    try:
        yield server
    finally:
        server.close()


def _read_request(stream) -> OriginRequest | None:
    raw = b""
    while not raw.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return None
        raw += line
    first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    fields = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)]
    request = OriginRequest(raw, method, target, fields)
    headers = request.headers
    if "chunked" in headers.get("transfer-encoding", ""):
        while size := int(stream.readline().split(b";")[0], 16):
            request.body += stream.read(size)
            stream.readline()
        while stream.readline().strip():
            pass
    elif "content-length" in headers:
        request.body = stream.read(int(headers["content-length"]))
    return request
