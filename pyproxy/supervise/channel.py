"""Messages between the supervisor and its children, and between two supervisors.

They travel over a unix stream socket.

A frame is a 4-byte big-endian length (of what follows), one byte that says what it is (`Kind`), one
byte with the number of descriptors that travel with it (SCM_RIGHTS), and a JSON object. Both ends
are non-blocking: what the kernel does not take at once waits in the channel and leaves with the
next `flush`, so neither side can be held up by the other.
"""

from __future__ import annotations

import array
import enum
import json
import os
import selectors
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import asyncio

_FRAME = struct.Struct("!IBB")
# The kernel takes at most 253 in one message (SCM_MAX_FD).
MAX_FDS = 250
_ANCILLARY_BYTES = socket.CMSG_SPACE(253 * 4)
# Both ends are our own processes; the bounds only keep a bug from eating all memory.
_MAX_FRAME_BYTES = 1 << 20
_MAX_PENDING_BYTES = 4 << 20


class ChannelError(Exception):
    """The other side sent something that is not a frame."""


class Kind(enum.IntEnum):
    """What a message says. The arrow tells who sends it.

    The numbers up to 63 are between a supervisor and its children, which are always of one version;
    those from 64 on are between programs that may differ in version: their meaning never changes.
    """

    READY = 1  # child -> supervisor: it serves
    FAILED = 2  # child -> supervisor: it cannot serve, or not load; {"error" or "faults"}
    DRAIN = 3  # supervisor -> child: stop accepting, finish; {"timeout", "tunnels", "spread"}
    DRAINED = 4  # child -> supervisor: nothing is left, it exits now; {"aborted": connections cut}
    STOP = 5  # supervisor -> child: stop now
    REOPEN = 6  # supervisor -> child: reopen the log files
    STATE = 7  # supervisor -> control: the process tree as it is now
    PREPARE = 8  # supervisor -> worker: build this configuration; {"id"}, its memory
    PREPARED = 9  # worker -> supervisor: it is built; {"id"}
    REFUSED = 10  # worker -> supervisor: it cannot be built; {"id", "error"}
    SWITCH = 11  # supervisor -> worker: serve it from now on; {"id"}
    SWITCHED = 12  # worker -> supervisor: {"id"}
    ABANDON = 13  # supervisor -> worker: forget it; {"id"}
    LISTEN = 14  # supervisor -> worker: accept on these; {"sockets": [[listener, id] ..]}, sockets
    UNLISTEN = 15  # supervisor -> worker: take what waits there, then no more; {"ids"}
    UNLISTENED = 16  # worker -> supervisor: done; {"ids"}
    HAND_OVER = 17  # supervisor -> worker: connections go there from now on; one socket
    CONFIG = 18  # supervisor -> control: a new configuration is served; its memory
    LOADED = 19  # loader -> supervisor: it is right; its memory and {"modules"}, or {"diff"}
    PROGRESS = 20  # worker -> supervisor: what a draining worker still has in hand
    ARRIVALS = 21  # supervisor -> worker: connections of another worker come there; one socket
    LEAVING = 22  # worker -> supervisor: somebody wants this process to end; it waits for DRAIN
    CERTIFICATES = 23  # supervisor -> worker, control: of some listeners, new ones; their memory
    TICKET_KEYS = 24  # supervisor -> worker: of session tickets; {"keys"}
    FOUND = 30  # control -> supervisor: the endpoints of an upstream; {"upstream", "key", ..}

    HELLO = 64  # caller -> supervisor: {"protocol", "command", ..}
    SAY = 65  # supervisor -> caller: a line for people; {"text"}
    DONE = 66  # supervisor -> caller: the outcome; {"ok", ..}
    MANIFEST = 67  # old -> new supervisor: what there is to take over; counters, links, ..
    SOCKETS = 68  # old -> new: [[listener, configured, real, ..] ..] and as many sockets
    MANIFEST_END = 69  # old -> new: that was all
    COMMIT = 70  # new -> old: all workers are ready; one socket for each to move connections to
    COMMITTED = 71  # old -> new: it may begin to serve
    TREE = 72  # old -> new: its process tree, for `pyproxy status`
    END = 73  # new -> old: stop now, your time is over
    TAKEN = 74  # new -> old: it serves, and all who must know that do: drain
    ROTATED = 75  # new -> old: the log files are to be opened anew


class Message(NamedTuple):
    """One received frame."""

    kind: Kind
    body: dict[str, Any]
    fds: Sequence[int] = ()

    def close(self) -> None:
        """Close the descriptors that came with it."""
        for fd in self.fds:
            os.close(fd)


def encode(kind: Kind, body: dict[str, Any] | None = None, fds: int = 0) -> bytes:
    """The bytes of one frame. Raises `ValueError` when the body is too large."""
    payload = json.dumps(body or {}, separators=(",", ":")).encode()
    if len(payload) >= _MAX_FRAME_BYTES:
        raise ValueError(f"{kind.name} message of {len(payload)} bytes is too large")
    return _FRAME.pack(len(payload) + 2, kind, fds) + payload


class _Piece:
    """Bytes that wait to be sent, and the descriptors that leave with the first of them."""

    __slots__ = ("data", "fds")

    def __init__(self, data: bytes, fds: list[int]) -> None:
        self.data = memoryview(data)
        self.fds = fds

    def drop(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds = []


class Channel:
    """One end of the pair; owns its socket. `closed` turns true when the other side is gone."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._end = end
        self._unread = bytearray()
        self._unread_fds: deque[int] = deque()
        self._unsent: deque[_Piece] = deque()
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

    def send(self, kind: Kind, body: dict[str, Any] | None = None, fds: Sequence[int] = ()) -> None:
        """Queue one message and send what the kernel takes. A closed channel swallows it.

        The descriptors, at most `MAX_FDS`, stay the caller's: duplicates travel.
        """
        if self.closed:
            return
        if len(fds) > MAX_FDS:
            raise ValueError(f"{len(fds)} descriptors in one message")
        self._unsent.append(_Piece(encode(kind, body, len(fds)), [os.dup(fd) for fd in fds]))
        self.flush()
        if sum(len(piece.data) for piece in self._unsent) > _MAX_PENDING_BYTES:
            # The other side has not read for a very long time; it is as good as gone.
            self.closed = True
            self._drop_unsent()

    def _drop_unsent(self) -> None:
        for piece in self._unsent:
            piece.drop()
        self._unsent.clear()

    def _send_some(self, piece: _Piece) -> None:
        ancillary = []
        if piece.fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", piece.fds))]
        sent = self._end.sendmsg([piece.data], ancillary)
        piece.drop()
        piece.data = piece.data[sent:]

    def flush(self) -> None:
        """Send waiting bytes as far as the kernel takes them."""
        while self._unsent and not self.closed:
            try:
                self._send_some(self._unsent[0])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                # Reading may still find the last words of the other side, so only sending ends
                # here.
                self._drop_unsent()
                return
            if not self._unsent[0].data:
                self._unsent.popleft()

    def flush_blocking(self, timeout: float) -> None:
        """Send everything before returning, waiting at most `timeout` seconds for each write.

        For a child's last words.
        """
        if self.closed:
            return
        self._end.settimeout(timeout)
        self.flush()
        self._drop_unsent()
        self._end.setblocking(False)

    def receive(self) -> list[Message]:
        """All complete messages that have arrived. Sets `closed` at the end.

        The descriptors of a message are the receiver's. Raises `ChannelError` on garbage.
        """
        while not self.closed:
            try:
                # One call never returns descriptors of two messages (unix(7)): the order holds.
                chunk, ancillary, flags, _ = self._end.recvmsg(
                    65536, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                chunk, ancillary, flags = b"", [], 0
            self._keep_fds(ancillary)
            if flags & socket.MSG_CTRUNC:
                raise ChannelError("descriptors were lost: too many open files")
            if not chunk:
                self.closed = True
                break
            self._unread += chunk
        return self._complete_messages()

    def receive_blocking(self, timeout: float | None) -> list[Message]:
        """Wait until something arrives, at most <timeout> seconds (None: for ever).

        Empty when nothing did.
        """
        readable = selectors.DefaultSelector()
        with readable:
            readable.register(self._end, selectors.EVENT_READ)
            return self.receive() if readable.select(timeout) else []

    def _keep_fds(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds = array.array("i")
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
                self._unread_fds += fds

    def _complete_messages(self) -> list[Message]:
        messages: list[Message] = []
        taken = 0
        while len(self._unread) - taken >= 4:
            length = int.from_bytes(self._unread[taken : taken + 4], "big")
            if not 2 <= length <= _MAX_FRAME_BYTES:
                raise ChannelError(f"frame of {length} bytes")
            end = taken + 4 + length
            if len(self._unread) < end:
                break
            _, kind, n_fds = _FRAME.unpack_from(self._unread, taken)
            if n_fds > len(self._unread_fds):
                raise ChannelError(f"{n_fds} descriptors announced, {len(self._unread_fds)} came")
            try:
                body = json.loads(self._unread[taken + _FRAME.size : end])
                if not isinstance(body, dict):
                    raise ValueError("no object")
                fds = tuple(self._unread_fds.popleft() for _ in range(n_fds))
                messages.append(Message(Kind(kind), body, fds))
            except ValueError as error:
                raise ChannelError(f"bad frame: {error}") from error
            taken = end
        del self._unread[:taken]
        return messages

    def close(self) -> None:
        """Close this end. Idempotent."""
        self.closed = True
        self._drop_unsent()
        while self._unread_fds:
            os.close(self._unread_fds.popleft())
        self._end.close()


class Voice:
    """Sends over a channel from an event loop: what must wait leaves when there is room."""

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: Channel) -> None:
        self._loop = loop
        self._channel = channel

    def say(self, kind: Kind, body: dict[str, Any] | None = None) -> None:
        """Send a message."""
        self._channel.send(kind, body)
        if self._channel.wants_write:
            self._loop.add_writer(self._channel.fileno(), self._flush)

    def _flush(self) -> None:
        self._channel.flush()
        if not self._channel.wants_write:
            self._loop.remove_writer(self._channel.fileno())
