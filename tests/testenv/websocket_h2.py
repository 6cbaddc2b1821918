"""WebSockets over streams of HTTP/2 (RFC 8441), with frames made by hand."""

from __future__ import annotations

import os

from .h2 import H2Client

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10

ASK = ((":protocol", "websocket"), ("sec-websocket-version", "13"))


def frame(opcode: int, data: bytes) -> bytes:
    """A frame as clients send it, masked."""
    n = len(data)
    if n < 126:
        head = bytes([0x80 | opcode, 0x80 | n])
    elif n < 65536:
        head = bytes([0x80 | opcode, 0x80 | 126]) + n.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, 0x80 | 127]) + n.to_bytes(8, "big")
    mask = os.urandom(4)
    long_mask = int.from_bytes((mask * (n // 4 + 1))[:n], "big")
    return head + mask + (int.from_bytes(data, "big") ^ long_mask).to_bytes(n, "big")


class StreamSocket:
    """The client's end of a WebSocket on a stream of `client`."""

    def __init__(self, client: H2Client, path: str = "/", *fields: tuple[str, str]) -> None:
        self.client = client
        self.number = client.request("CONNECT", path, *ASK, *fields, end=False)
        self.stream = client.streams[self.number]
        self._at = 0

    def open(self) -> StreamSocket:
        """Wait for the answer, which must be 200."""
        while not self.stream.status:
            self.client.hear()
        assert self.stream.status == 200
        return self

    def send(self, opcode: int, data: bytes = b"", *, end: bool = False) -> None:
        """Send one frame."""
        self.client.send(self.number, frame(opcode, data), end=end)

    def take(self, n: int) -> bytes:
        """The next <n> bytes."""
        while len(self.stream.body) < self._at + n:
            assert not self.stream.over
            assert not self.client.closed
            self.client.hear()
        self._at += n
        return self.stream.body[self._at - n : self._at]

    def recv(self) -> tuple[int, bytes]:
        """Opcode and data of the next frame."""
        first, n = self.take(2)
        if n >= 126:
            n = int.from_bytes(self.take(2 if n == 126 else 8), "big")
        return first & 15, self.take(n)
