"""As much of an HTTP/2 client as POSTs need (RFC 9113), on the HPACK library of `h2`.

Not `h2` itself: after GOAWAY it takes no more frames, although streams below go on (section 6.8).
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass, field
from typing import cast

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, ACK, END_HEADERS = 1, 1, 4
REFUSED_STREAM = 7


class Refused(Exception):
    """The server says that it has not looked at the request."""


@dataclass(slots=True)
class _Stream:
    answer: asyncio.Future[tuple[int, bytes]]
    status: int = 0
    body: bytearray = field(default_factory=bytearray)


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


class Connection:
    """One connection. Bodies are small: windows are never full."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._encoder = hpack.Encoder()
        self._decoder = hpack.Decoder()
        self._streams: dict[int, _Stream] = {}
        self._next = 1
        self.is_open = True
        self._writer.write(PREFACE + frame(SETTINGS, 0, 0))
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def post(self, authority: str, path: str, body: bytes) -> tuple[int, bytes]:
        """(status, body). Raises `Refused`, or EOFError when the connection ends before."""
        number = self._next
        self._next += 2
        fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":authority", authority),
            (":path", path),
            ("content-length", str(len(body))),
        ]
        stream = _Stream(asyncio.get_running_loop().create_future())
        self._streams[number] = stream
        head = frame(HEADERS, END_HEADERS, number, self._encoder.encode(fields))
        self._writer.write(head + frame(DATA, END_STREAM, number, body))
        return await stream.answer

    def close(self) -> None:
        """The end, by the client."""
        self.is_open = False
        self._task.cancel()
        self._writer.close()

    async def _listen(self) -> None:
        how = "end of stream"
        try:
            while True:
                head = await self._reader.readexactly(9)
                size = int.from_bytes(head[:3], "big")
                kind, flags, stream = struct.unpack(">BBI", head[3:])
                self._take(kind, flags, stream, await self._reader.readexactly(size))
        except (OSError, EOFError) as error:
            how = repr(error)
        self.is_open = False
        for number in list(self._streams):
            self._fail(number, EOFError(f"stream {number} was cut: {how}"))
        self._writer.close()

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if kind == HEADERS:
            fields = dict(cast("list[tuple[str, str]]", self._decoder.decode(payload)))
            if stream is not None:
                stream.status = int(fields.get(":status", stream.status))
        elif kind == DATA and stream is not None:
            stream.body += payload
            if payload:
                self._writer.write(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", len(payload))))
        elif kind == SETTINGS and not flags & ACK:
            self._writer.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self._writer.write(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY:
            self._leave(int.from_bytes(payload[:4], "big"))
        elif kind == RST_STREAM:
            code = int.from_bytes(payload, "big")
            refused = code == REFUSED_STREAM
            self._fail(number, Refused() if refused else EOFError(f"reset with {code}"))
            return
        if kind in (HEADERS, DATA) and flags & END_STREAM and stream is not None:
            del self._streams[number]
            if not stream.answer.done():
                stream.answer.set_result((stream.status, bytes(stream.body)))

    def _leave(self, last: int) -> None:
        """No new streams; those above <last> were not looked at."""
        self.is_open = False
        for number in [n for n in self._streams if n > last]:
            self._fail(number, Refused())

    def _fail(self, number: int, error: Exception) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None and not stream.answer.done():
            stream.answer.set_exception(error)
