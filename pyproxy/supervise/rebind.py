"""What a new configuration means for the listening sockets: which stay, which come, which go."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable, Sequence

from . import retire
from .binding import grow, open_sockets
from .bindpoint import BindPoint
from .sockets import BoundAddress, ListenSocket, SocketTable
from .systemd import GivenSocket


class Rebind:
    """A change of a socket table that is made in two steps, so that it can be given up.

    Making it opens the sockets that are new; then either `apply` or `abandon`.
    """

    def __init__(
        self,
        table: SocketTable,
        points: Sequence[BindPoint],
        slots: int,
        say: Callable[[str], None],
    ) -> None:
        """Raises `BindError` with nothing left open."""
        self._table = table
        self._slots = slots
        wanted = {_key(point): point for point in points}
        self._wanted = wanted
        staying = [b for b in table.bound if not b.retiring and _key(b.point) in wanted]
        self._staying = staying
        have = {_key(b.point) for b in staying}
        self.removed = [b for b in table.bound if b not in staying and not b.retiring]
        # A listener may get another name, or come back while it is still leaving: the sockets
        # stay, and so does what waits in them.
        given = [
            _pass_on(b, held)
            for b in table.bound
            if b not in staying and not (b.retiring and b.point.path)
            for held in b.sockets
        ]
        new = [point for key, point in wanted.items() if key not in have]
        self._grown: list[tuple[BoundAddress, list[ListenSocket]]] = []
        try:
            # No second try: the supervisor has others to look after meanwhile.
            opened = open_sockets(new, slots, given, retry_seconds=0.0, say=say)
        except BaseException:
            for one in given:
                one.sock.close()
            raise
        for one in opened.unused:
            one.sock.close()
        self.added = opened.bound
        # What a service manager has in its keeping and need not keep any more.
        self.names_removed: set[str] = set()
        try:
            for bound in staying:
                self._grown.append((bound, grow(bound, slots, table.closing)))
        except BaseException:
            self.abandon()
            raise

    def apply(self, say: Callable[[str], None]) -> None:
        """Make the table say so. The removed addresses are in it still, as `retiring`."""
        for bound in self._staying:
            _take_mode(bound, self._wanted[_key(bound.point)], say)
        before = {name for name, _ in self._table.to_store()}
        for bound in self.added:
            for held in bound.sockets:
                retire.accept_new(held.sock)
        for bound in self.removed:
            bound.retiring = True
            heirs = [b for b in self.added if b.file_id and b.file_id == bound.file_id]
            if heirs:
                bound.file_id = None
        self._table.bound += self.added
        self._table.slots = self._slots
        _number(self._table)
        self.names_removed = before - {name for name, _ in self._table.to_store()}

    def abandon(self) -> None:
        """Close what was opened."""
        kept = {bound.file_id for bound in self.removed}
        for bound in self.added:
            bound.close()
            if bound.file_id not in kept:
                bound.remove_file()
        for bound, sockets in self._grown:
            for held in sockets:
                held.sock.close()
            bound.sockets = [held for held in bound.sockets if held not in sockets]

    def close_inherited(self) -> None:
        """In a forked child: what is not in the table yet is the supervisor's alone."""
        for bound in self.added:
            bound.close()


def _key(point: BindPoint) -> tuple[str, str, bool]:
    """What makes an address of one configuration that of another."""
    return point.listener, point.address, point.datagram


def _take_mode(bound: BoundAddress, point: BindPoint, say: Callable[[str], None]) -> None:
    """Who may connect to a unix socket can change while it is in use."""
    if bound.file_id is None or point.mode == bound.point.mode:
        return
    try:
        os.chmod(point.path, point.mode)
    except OSError as error:
        say(f"listener '{point.listener}': the mode of {point.path} stays: {error.strerror}")
        return
    bound.point = point


def _number(table: SocketTable) -> None:
    """Count the addresses of each listener anew."""
    seen = Counter[str]()
    for bound in table.bound:
        if not bound.retiring:
            bound.index = seen[bound.point.listener]
            seen[bound.point.listener] += 1


def _pass_on(bound: BoundAddress, held: ListenSocket) -> GivenSocket:
    """The same socket, as something that is given to a new configuration."""
    return GivenSocket(
        bound.point.fd_name or bound.point.listener,
        socket.socket(fileno=os.dup(held.sock.fileno())),
        bound.foreign,
        bound.point.address,
        held.slot,
        bound.file_id,
    )
