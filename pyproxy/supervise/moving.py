"""Connections on their way from a draining worker to one of the next generation.

They travel over a SOCK_SEQPACKET socket between the two workers, one message for each: a byte that
says what it is, the engine's own record (versioned, unread bytes included) and the descriptors
(SCM_RIGHTS). A message is delivered whole or not at all, and what lies in the socket survives the
death of a worker, because both supervisors' generations hold its ends.
"""

from __future__ import annotations

import array
import asyncio
import errno
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyproxy import log

if TYPE_CHECKING:
    from pyproxy._engine import Engine

_CONNECTION, _TUNNEL = b"C", b"T"
# Above the largest record: request heads and what a tunnel holds are bounded.
_RECORD_BYTES = 1 << 20
_IN_A_ROW = 64
_ABORT = struct.pack("ii", 1, 0)  # struct linger: on, zero seconds


def pair() -> tuple[socket.socket, socket.socket]:
    """(arrival, departure): the receiving and the sending end for one worker."""
    arrival, departure = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (arrival, departure):
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _RECORD_BYTES)
    return arrival, departure


class HandOver:
    """What the engine calls for each connection that can leave. None: not now; False: never."""

    def __init__(self, departure: socket.socket) -> None:
        departure.setblocking(False)
        self._departure = departure

    def connection(self, fd: int, record: bytes) -> bool | None:
        """An idle keep-alive connection."""
        return self._send(_CONNECTION, record, [fd])

    def tunnel(self, client: int, endpoint: int, record: bytes) -> bool | None:
        """Both ends of a tunnel."""
        return self._send(_TUNNEL, record, [client, endpoint])

    def _send(self, kind: bytes, record: bytes, fds: list[int]) -> bool | None:
        try:
            socket.send_fds(self._departure, [kind, record], fds)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            if error.errno == errno.ETOOMANYREFS:
                return None  # too many on the way at once (unix(7))
            log.get("worker").debug("a connection stays here: %s", error)
            return False
        return True


class Arrivals:
    """Takes what arrives from an older generation, until that has ended."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, engine: Engine, arrival: socket.socket
    ) -> None:
        self._loop = loop
        self._engine = engine
        self._arrival = arrival
        self._log = log.get("worker")
        self._buffer = bytearray(_RECORD_BYTES)
        # False when the older generation has ended.
        self.open = True
        loop.add_reader(arrival.fileno(), self._on_readable)

    def _on_readable(self) -> None:
        for _ in range(_IN_A_ROW):
            try:
                n, ancillary, _, _ = self._arrival.recvmsg_into(
                    [self._buffer], socket.CMSG_SPACE(2 * 4), socket.MSG_CMSG_CLOEXEC
                )
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                n, ancillary = 0, []
            if n == 0:
                self._loop.remove_reader(self._arrival.fileno())
                self._arrival.close()
                self.open = False
                return
            fds = array.array("i")
            for _, _, data in ancillary:
                fds.frombytes(data)
            self._take(self._buffer[:1], bytes(self._buffer[1:n]), fds)

    def _take(self, kind: bytes | bytearray, record: bytes, fds: Sequence[int]) -> None:
        """Go on with one connection. The engine keeps duplicates."""
        lost = True
        try:
            if kind == _CONNECTION and len(fds) == 1:
                self._engine.take(fds[0], record)
            elif kind == _TUNNEL and len(fds) == 2:
                self._engine.take_tunnel(fds[0], fds[1], record)
            else:
                self._log.warning("something unknown arrived from the older generation")
                return
            lost = False
        except (ValueError, OSError, MemoryError) as error:
            self._log.warning("a connection of the older generation is lost: %s", error)
        finally:
            for fd in fds:
                with socket.socket(fileno=fd) as sock:
                    if lost and kind == _TUNNEL:
                        # A stream that is cut must not look as if it had ended.
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
