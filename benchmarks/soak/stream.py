"""A stream of bytes in which every place says what must stand there."""

from __future__ import annotations

import struct

BLOCK = 8


def piece(number: int, start: int, size: int) -> bytes:
    """<size> bytes of stream <number> from place <start> on: blocks with stream and place."""
    first = start // BLOCK
    last = (start + size + BLOCK - 1) // BLOCK
    blocks = struct.pack(f">{last - first}Q", *(number << 40 | i for i in range(first, last)))
    skipped = start - first * BLOCK
    return blocks[skipped : skipped + size]


class Receiver:
    """Compares what arrives with what must."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.received = 0
        self.wrong = 0

    def feed(self, data: bytes) -> None:
        """The next bytes. A place counts as wrong with all that follow it in <data>."""
        expected = piece(self.number, self.received, len(data))
        if data != expected:
            same = next(i for i, (a, b) in enumerate(zip(data, expected, strict=True)) if a != b)
            self.wrong += len(data) - same
        self.received += len(data)
