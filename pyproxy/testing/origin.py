"""A scripted origin: keeps what arrives, answers what the test says."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from pyproxy.filters.base import Reply
from pyproxy.testing.fields import Fields
from pyproxy.testing.lasting import Lasting

__all__ = ["Answer", "Origin", "OriginRequest", "as_answer"]

_JOIN_SECONDS = 30.0
_BODILESS = (204, 304)


@dataclass
class OriginRequest:
    """One request as it came over the wire; `raw` is its head, byte for byte.

    `connection` is which connection of the origin it came on, from 0.
    """

    raw: bytes
    method: str
    target: str
    headers: Fields
    body: bytes = b""
    connection: int = 0

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Encodable(Protocol):
    """What an origin can send."""

    close: bool

    def encode(self, method: str) -> bytes:
        """The bytes of the answer to a request of that method."""


class Answer:
    """An answer of an origin: a `Reply`, and what an origin can do beside that.

    A body of several pieces, or one with `trailers`, is sent chunked, a chunk for each piece. `raw`
    overrides all the rest and may be anything. With `close` the connection ends after it.
    """

    def __init__(
        self,
        status: int = 200,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | str | Iterable[bytes] = b"",
        *,
        trailers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        raw: bytes | None = None,
        close: bool = False,
    ) -> None:
        if isinstance(body, str):
            body = body.encode()
        self.status = status
        self.headers = _pairs(headers)
        self.pieces = [body] if isinstance(body, bytes) else list(body)
        self.trailers = _pairs(trailers)
        self.raw = raw
        self.close = close
        self._chunked = not isinstance(body, bytes) or bool(self.trailers)

    def encode(self, method: str) -> bytes:
        """The bytes of it."""
        if self.raw is not None:
            return self.raw
        body = b"".join(self.pieces)
        lines = [f"HTTP/1.1 {self.status} X", *(f"{n}: {v}" for n, v in self.headers)]
        framed = any(n.lower() in ("content-length", "transfer-encoding") for n, _ in self.headers)
        if self._chunked:
            lines.append("transfer-encoding: chunked")
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in self.pieces if piece)
            ends = "".join(f"{n}: {v}\r\n" for n, v in self.trailers)
            body += f"0\r\n{ends}\r\n".encode("latin-1")
        elif not framed and self.status not in _BODILESS:
            lines.append(f"content-length: {len(body)}")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head if method == "HEAD" else head + body


# What a handler may answer: its parts, a text, bytes, a status; None drops the connection.
Answerable = Encodable | Reply | str | bytes | int | None
Handler = Callable[[OriginRequest], Answerable]


def as_answer(answer: Answerable) -> Encodable | None:
    """What is sent; None: nothing."""
    if isinstance(answer, Reply):
        return Answer(answer.status, answer.headers, answer.body)
    if isinstance(answer, int):
        return Answer(answer)
    if isinstance(answer, str | bytes):
        return Answer(body=answer)
    return answer


def echo(request: OriginRequest) -> Answer:
    """The answer of an origin that was not told any: what arrived, as JSON."""
    seen = {
        "method": request.method,
        "target": request.target,
        "headers": request.headers.pairs,
        "body_bytes": len(request.body),
    }
    return Answer(headers={"content-type": "application/json"}, body=json.dumps(seen))


class Origin(Lasting):
    """A server, from `with` (or `start`) until its end (or `close`).

    It listens `at` an address: a free port of 127.0.0.1.

    `answer` is what it answers, or a function of the request that says so; it runs in a thread of
    the connection. Absent: what arrived, as JSON. `requests` grows as complete requests arrive.
    """

    def __init__(
        self,
        answer: Handler | Answerable = echo,
        *,
        tls: ssl.SSLContext | None = None,
        at: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self._handler: Handler = answer if callable(answer) else lambda _: answer
        self._tls = tls
        self._listener = socket.create_server(at, backlog=512)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.connections = 0
        self.requests: list[OriginRequest] = []

    @property
    def port(self) -> int:
        """Its port."""
        return int(self._listener.getsockname()[1])

    @property
    def address(self) -> str:
        """What to write under `endpoints`."""
        return f"{self._listener.getsockname()[0]}:{self.port}"

    @property
    def url(self) -> str:
        """What a client asks for."""
        return f"{'http' if self._tls is None else 'https'}://{self.address}"

    def start(self) -> None:
        """Accept from now on."""
        self._thread.start()

    def close(self) -> None:
        """Accept no more and cut what is open."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._thread.is_alive():
            self._thread.join(_JOIN_SECONDS)
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def read_request(self, stream: BinaryIO) -> OriginRequest | None:
        """The next request of a connection; None: there is none. For classes that keep others."""
        return _read_request(stream)

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
            while (request := self.read_request(stream)) is not None:
                request.connection = number
                with self._lock:
                    self.requests.append(request)
                answer = as_answer(self._handler(request))
                if answer is None:
                    return
                sock.sendall(answer.encode(request.method))
                if answer.close:
                    return


def _pairs(headers: Mapping[str, str] | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


def _read_request(stream: BinaryIO) -> OriginRequest | None:
    raw = b""
    while not raw.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return None
        raw += line
    first, *lines = raw.decode("latin-1").split("\r\n")[:-2]
    method, target, _ = first.split(" ")
    pairs = [(n, v.strip()) for n, _, v in (line.partition(":") for line in lines)]
    request = OriginRequest(raw, method, target, Fields(pairs))
    if "chunked" in request.headers.get("transfer-encoding", ""):
        while size := int(stream.readline().split(b";")[0], 16):
            request.body += stream.read(size)
            stream.readline()
        while stream.readline().strip():
            pass
    elif "content-length" in request.headers:
        request.body = stream.read(int(request.headers["content-length"]))
    return request
