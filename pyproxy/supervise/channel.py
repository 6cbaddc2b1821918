"""Messages between the supervisor and its children, both directions, over one socket pair.

A frame is a 4-byte big-endian length (of what follows), one byte that says what it is (`Kind`) and
a JSON object. Both ends are non-blocking: what the kernel does not take at once waits in the
channel and leaves with the next `flush`, so neither side can be held up by the other.
"""

from __future__ import annotations

import contextlib
import enum
import json
import socket
import struct
from typing import Any, NamedTuple

_FRAME = struct.Struct("!IB")
# Both ends are our own processes; the bounds only keep a bug from eating all memory.
_MAX_FRAME_BYTES = 1 << 20
_MAX_PENDING_BYTES = 4 << 20


class ChannelError(Exception):
    """The other side sent something that is not a frame."""


class Kind(enum.IntEnum):
    """What a message says. The arrow tells who sends it."""

    READY = 1  # child -> supervisor: it serves
    FAILED = 2  # child -> supervisor: it cannot serve; {"error": text}
    DRAIN = 3  # supervisor -> child: stop accepting, finish; {"timeout": seconds}
    DRAINED = 4  # child -> supervisor: nothing is left, it exits now; {"aborted": connections cut}
    STOP = 5  # supervisor -> child: stop now
    REOPEN = 6  # supervisor -> child: reopen the log files
    STATE = 7  # supervisor -> control: the process tree as it is now


class Message(NamedTuple):
    """One received frame."""

    kind: Kind
    body: dict[str, Any]


def encode(kind: Kind, body: dict[str, Any] | None = None) -> bytes:
    """The bytes of one frame. Raises `ValueError` when the body is too large."""
    payload = json.dumps(body or {}, separators=(",", ":")).encode()
    if len(payload) >= _MAX_FRAME_BYTES:
        raise ValueError(f"{kind.name} message of {len(payload)} bytes is too large")
    return _FRAME.pack(len(payload) + 1, kind) + payload


class Channel:
    """One end of the pair; owns its socket. `closed` turns true when the other side is gone."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._unread = bytearray()
        self._unsent = bytearray()
        self.closed = False

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Two connected ends, for a process and the child that it is about to fork."""
        left, right = socket.socketpair()
        return cls(left), cls(right)

    def fileno(self) -> int:
        """The descriptor to watch; -1 after `close`."""
        return self._end.fileno()

    @property
    def wants_write(self) -> bool:
        """Bytes wait for the other side to read: watch for writability and call `flush`."""
        return bool(self._unsent) and not self.closed

    def send(self, kind: Kind, body: dict[str, Any] | None = None) -> None:
        """Queue one message and send what the kernel takes. A closed channel swallows it."""
        if self.closed:
            return
        self._unsent += encode(kind, body)
        self.flush()
        if len(self._unsent) > _MAX_PENDING_BYTES:
            # The other side has not read for a very long time; it is as good as gone.
            self.closed = True
            self._unsent.clear()

    def flush(self) -> None:
        """Send waiting bytes as far as the kernel takes them."""
        while self._unsent and not self.closed:
            try:
                sent = self._end.send(self._unsent)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # Reading may still find the last words of the other side, so only sending ends
                # here.
                self._unsent.clear()
                return
            del self._unsent[:sent]

    def flush_blocking(self, timeout: float) -> None:
        """Send everything before returning, waiting at most `timeout` seconds.

        For a child's last words.
        """
        if self.closed:
            return
        self._end.settimeout(timeout)
        with contextlib.suppress(OSError):
            self._end.sendall(self._unsent)
        self._unsent.clear()
        self._end.setblocking(False)

    def receive(self) -> list[Message]:
        """All complete messages that have arrived. Sets `closed` at the end.

        Raises `ChannelError` on garbage.
        """
        while not self.closed:
            try:
                chunk = self._end.recv(65536)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                chunk = b""
            if not chunk:
                self.closed = True
                break
            self._unread += chunk
        return self._complete_messages()

    def _complete_messages(self) -> list[Message]:
        messages: list[Message] = []
        taken = 0
        while len(self._unread) - taken >= _FRAME.size:
            length, kind = _FRAME.unpack_from(self._unread, taken)
            if not 1 <= length <= _MAX_FRAME_BYTES:
                raise ChannelError(f"frame of {length} bytes")
            end = taken + 4 + length
            if len(self._unread) < end:
                break
            try:
                body = json.loads(self._unread[taken + _FRAME.size : end])
                messages.append(Message(Kind(kind), body))
            except ValueError as error:
                raise ChannelError(f"bad frame: {error}") from error
            taken = end
        del self._unread[:taken]
        return messages

    def close(self) -> None:
        """Close this end. Idempotent."""
        self.closed = True
        self._end.close()
