"""Listening sockets, owned by the supervisor.

A TCP or UDP address gets as many SO_REUSEPORT sockets as there are worker slots; slot i's socket
goes to every worker that ever runs in slot i, so what waits in its accept queue outlives the
worker, and the very same sockets go to the next generation at a hot upgrade. A unix socket, and a
socket that somebody else has bound for us, is one socket that all slots share (but for a UDP one:
it is slot 0's, so that a client's datagrams stay together).

When there are fewer slots than before, the surplus sockets are served by the slots that are left
until their queues are empty (`retire.py`): closing one resets what waits in it.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from . import fdstore
from .bindpoint import BindPoint, file_id
from .systemd import GivenSocket

# Numbers by which the supervisor and its workers call a listening socket; never used twice.
_ids = itertools.count(1)


def is_live(sock: socket.socket) -> bool:
    """The kernel gives it what clients send: TCP when it listens, UDP as soon as it is bound."""
    if sock.type == socket.SOCK_DGRAM:
        return bool(sock.getsockname()[1])
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


class ListenSocket(NamedTuple):
    """One listening socket. `slot` None: every worker accepts on it."""

    id: int
    listener: str
    sock: socket.socket
    slot: int | None

    @property
    def listens(self) -> bool:
        """The kernel gives it connections, or datagrams. One that does not is in no group yet."""
        return is_live(self.sock)


class BoundAddress:
    """A bound address: its sockets, and where clients really find it (`real`).

    `file_id` is device and inode of the socket file that was made here: nothing else is ever
    unlinked. `foreign` sockets were bound by a service manager. A `retiring` address is not in the
    configuration any more; its sockets close when their queues are empty. An `inherited` one comes
    from an older generation. `index` counts the addresses of a listener.
    """

    def __init__(
        self,
        point: BindPoint,
        real: str,
        family: socket.AddressFamily,
        socks: Sequence[tuple[int | None, socket.socket]],
        file_id: tuple[int, int] | None = None,
        *,
        foreign: bool = False,
        inherited: bool = False,
    ) -> None:
        self.point = point
        self.real = real
        self.family = family
        self.foreign = foreign
        self.file_id = file_id
        self.index = 0
        self.retiring = False
        self.inherited = inherited
        self.sockets: list[ListenSocket] = []
        self.add(socks)

    def add(self, socks: Sequence[tuple[int | None, socket.socket]]) -> list[ListenSocket]:
        """Further sockets, by slot."""
        added = [ListenSocket(next(_ids), self.point.listener, s, slot) for slot, s in socks]
        self.sockets += added
        return added

    @property
    def port(self) -> int:
        """The real TCP or UDP port; 0 for unix sockets."""
        return 0 if self.family == socket.AF_UNIX else int(self.real.rpartition(":")[2])

    @property
    def is_shared(self) -> bool:
        """All slots accept on the same sockets."""
        return any(s.slot is None for s in self.sockets)

    def close(self) -> None:
        """Close this process's references. Idempotent."""
        for held in self.sockets:
            held.sock.close()

    def remove_file(self) -> None:
        """Unlink the socket file made here, unless something else has taken its place."""
        if self.file_id is None:
            return
        with contextlib.suppress(OSError):
            if file_id(self.point.path) == self.file_id:
                Path(self.point.path).unlink()
        self.file_id = None


class SocketTable:
    """All bound addresses of one supervisor, and what was passed in but not asked for."""

    def __init__(self, slots: int = 1) -> None:
        self.slots = slots
        self.bound: list[BoundAddress] = []
        self.unused: list[GivenSocket] = []
        # Numbers of sockets that nobody is to accept on any more.
        self.closing: set[int] = set()

    def of_slot(self, slot: int, *, retiring: bool = False) -> list[ListenSocket]:
        """What the worker of <slot> accepts on; those without a worker of their own included.

        With <retiring>, also what is not in the configuration any more: only a worker that accepts
        there already can go on with it.
        """
        return [
            held
            for bound in self.bound
            if retiring or not bound.retiring
            for held in bound.sockets
            if (held.slot is None or held.slot % self.slots == slot) and held.id not in self.closing
        ]

    def all_sockets(self) -> list[ListenSocket]:
        """Every one."""
        return [held for bound in self.bound for held in bound.sockets]

    def surplus(self) -> list[ListenSocket]:
        """Sockets of slots that are no more and that we have made ourselves."""
        return [
            held
            for bound in self.bound
            for held in bound.sockets
            if not bound.foreign and held.slot is not None and held.slot >= self.slots
        ]

    def to_store(self) -> list[tuple[str, socket.socket]]:
        """The sockets that a service manager should keep for a successor, with their names."""
        return [
            (fdstore.fd_name(b.point.listener, b.index, held.slot or 0), held.sock)
            for b in self.bound
            if not b.foreign and not b.retiring
            for held in b.sockets
        ]

    def forget(self, ids: Collection[int]) -> None:
        """Close these sockets, and drop the addresses that have none left."""
        for bound in self.bound:
            for held in bound.sockets:
                if held.id in ids:
                    held.sock.close()
            bound.sockets = [held for held in bound.sockets if held.id not in ids]
        self.bound = [bound for bound in self.bound if bound.sockets]
        self.closing -= set(ids)

    def close(self) -> None:
        """Close this process's references; the queues live on while another process holds them.

        Idempotent.
        """
        for bound in self.bound:
            bound.close()

    def remove_files(self, *, inherited: bool = True) -> None:
        """Unlink the socket files made here, unless something else has taken their place.

        Without <inherited> those that an older generation has made stay.
        """
        for bound in self.bound:
            if inherited or not bound.inherited:
                bound.remove_file()
