"""Both ends of a proxy as bare wires: the test says every byte and sees every byte.

    with RawOrigin() as app, running(...) as proxy, dial(proxy.port()) as client:
        client.send(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        up = app.accept()
        assert up.read_head().startswith(b"GET / ")
        up.send(b"HTTP/1.1 204 No Content\\r\\n\\r\\n")
        assert client.read_head().startswith(b"HTTP/1.1 204 ")

Every wait is bounded by the guard of `client.py`, so a mistake fails a test instead of hanging it.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from collections.abc import Iterator

from pyproxy.testing.lasting import Lasting

from .client import GUARD_SECONDS, Place, connect
from .proxy import Proxy


@contextlib.contextmanager
def same_workers(proxy: Proxy) -> Iterator[None]:
    """No worker may die in the block: another would quietly take its place."""
    before = proxy.workers()
    yield
    assert proxy.workers() == before, proxy.stderr


class Wire(Lasting):
    """One connection. `seen` keeps everything that came, `rest` what was not yet asked for."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(GUARD_SECONDS)
        self.seen = bytearray()
        self.rest = bytearray()
        self.was_reset = False

    def send(self, *pieces: bytes) -> None:
        """Send every piece in a packet of its own (as far as that can be forced)."""
        for piece in pieces:
            self.sock.sendall(piece)

    def try_send(self, piece: bytes) -> bool:
        """Send where the other side may have closed; False when it has."""
        try:
            self.sock.sendall(piece)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def _fill(self) -> bool:
        try:
            got = self.sock.recv(262144)
        except ConnectionResetError:
            self.was_reset = True
            return False
        self.seen += got
        self.rest += got
        return bool(got)

    def take(self, count: int) -> bytes:
        """The next <count> bytes. `ConnectionError` when the connection ends before."""
        while len(self.rest) < count:
            if not self._fill():
                raise ConnectionError(f"the connection ended after {bytes(self.rest)!r}")
        taken = bytes(self.rest[:count])
        del self.rest[:count]
        return taken

    def take_until(self, mark: bytes) -> bytes:
        """Everything up to <mark> and with it."""
        at = 0
        while (found := self.rest.find(mark, at)) < 0:
            at = max(0, len(self.rest) - len(mark) + 1)
            if not self._fill():
                raise ConnectionError(f"the connection ended after {bytes(self.rest)!r}")
        return self.take(found + len(mark))

    def read_head(self) -> bytes:
        """A message head, its empty line included."""
        return self.take_until(b"\r\n\r\n")

    def read_chunked(self) -> bytes:
        """A chunked body as it stands on the wire, up to the end of its trailer section."""
        raw = b""
        while True:
            line = self.take_until(b"\r\n")
            raw += line
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            raw += self.take(size + 2)
        while True:
            line = self.take_until(b"\r\n")
            raw += line
            if line == b"\r\n":
                return raw

    def read_to_end(self) -> bytes:
        """Everything until the other side ends; `was_reset` tells how."""
        while self._fill():
            pass
        taken = bytes(self.rest)
        self.rest.clear()
        return taken

    @property
    def is_quiet(self) -> bool:
        """Nothing has come, and the connection stands. Looks, and does not wait."""
        return not self.rest and not select.select([self.sock], [], [], 0)[0]

    def end(self) -> None:
        """Say that nothing more will be sent."""
        self.sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        """Close; more than once is fine."""
        self.sock.close()


def dial(place: Place) -> Wire:
    """Connect to a port of 127.0.0.1, (host, port), or the path of a unix socket."""
    return Wire(connect(place))


class RawOrigin(Lasting):
    """A listening socket whose connections the test takes one by one."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.settimeout(GUARD_SECONDS)
        self._wires: list[Wire] = []

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def accept(self) -> Wire:
        """The next connection."""
        sock, _ = self._listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(sock)
        self._wires.append(wire)
        return wire

    @property
    def has_connection(self) -> bool:
        """Does a connection wait to be accepted? Looks, and does not wait."""
        return bool(select.select([self._listener], [], [], 0)[0])

    def drop(self) -> None:
        """Close what was accepted, and what waits to be."""
        while self.has_connection:
            self.accept()
        for wire in self._wires:
            wire.close()
        self._wires.clear()

    def close(self) -> None:
        """Close everything; connecting is refused from now on."""
        with contextlib.suppress(OSError):
            self.drop()
        self._listener.close()


def response(
    body: bytes = b"", status: int = 200, reason: str = "OK", *fields: str, length: bool = True
) -> bytes:
    """The bytes of a response with Content-Length."""
    lines = [f"HTTP/1.1 {status} {reason}", *fields]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def request(target: str = "/", *fields: str, method: str = "GET", body: bytes = b"") -> bytes:
    """The bytes of a request; Host is there already, Content-Length when there is a body."""
    lines = [f"{method} {target} HTTP/1.1", "Host: test", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


def chunked(*pieces: bytes, trailers: bytes = b"") -> bytes:
    """A chunked body of these chunks."""
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return chunks + b"0\r\n" + trailers + b"\r\n"


def fields_of(head: bytes) -> dict[str, str]:
    """The fields of a head: lower-case names; repeated ones are joined by commas."""
    joined: dict[str, str] = {}
    for line in head.decode("latin-1").split("\r\n")[1:]:
        if line:
            name, _, value = line.partition(":")
            name, value = name.lower(), value.strip()
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def pattern(size: int) -> bytes:
    """Bytes without a period that a buffer size divides."""
    block = b"".join(i.to_bytes(4, "big") for i in range(65521))
    return (block * (size // len(block) + 1))[:size]
