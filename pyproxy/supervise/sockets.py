"""Listening sockets, owned by the supervisor for its whole life.

A TCP address gets as many SO_REUSEPORT sockets as there are worker slots; slot i's socket goes to
every worker that ever runs in slot i, so what waits in its accept queue outlives the worker. A unix
socket, and a socket that somebody else has bound for us, is one socket that all slots share.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from . import fdstore, systemd
from .bindpoint import BindError, BindPoint, address_text, explained, resolve
from .systemd import GivenSocket

__all__ = ["BindError", "BindPoint", "BoundAddress", "SocketTable", "open_sockets", "somaxconn"]

DEFAULT_BACKLOG = 4096
BIND_RETRY_SECONDS = 2.0
_RETRY_PAUSE_SECONDS = 0.1


def _say_nothing(line: str) -> None:
    """For callers who do not want to hear."""


class BoundAddress:
    """A bound address: the sockets by slot, and where clients really find it (`real`).

    `file_id` is device and inode of the socket file that was made here: nothing else is ever
    unlinked. `index` counts the addresses of a listener; `lent` sockets belong to whoever passed
    them in.
    """

    def __init__(
        self,
        point: BindPoint,
        real: str,
        family: socket.AddressFamily,
        slots: list[list[socket.socket]],
        file_id: tuple[int, int] | None = None,
        *,
        index: int = 0,
        lent: bool = False,
    ) -> None:
        self.point = point
        self.real = real
        self.family = family
        self.slots = slots
        self.file_id = file_id
        self.index = index
        self.lent = lent

    @property
    def port(self) -> int:
        """The real TCP port; 0 for unix sockets."""
        return 0 if self.family == socket.AF_UNIX else int(self.real.rpartition(":")[2])

    def all_sockets(self) -> list[socket.socket]:
        """Every distinct socket of this address."""
        return list({id(s): s for group in self.slots for s in group}.values())


class SocketTable:
    """All bound addresses of one supervisor, and what was passed in but not asked for."""

    def __init__(self) -> None:
        self.bound: list[BoundAddress] = []
        self.unused: list[GivenSocket] = []

    def of_slot(self, slot: int) -> list[tuple[str, socket.socket]]:
        """(listener name, socket) for everything that the worker of `slot` accepts on."""
        return [(b.point.listener, sock) for b in self.bound for sock in b.slots[slot]]

    def to_store(self) -> list[tuple[str, socket.socket]]:
        """The sockets that a service manager should keep for a successor, with their names."""
        return [
            (fdstore.fd_name(b.point.listener, b.index, slot), sock)
            for b in self.bound
            if not b.lent
            for slot, sock in enumerate(b.all_sockets())
        ]

    def close(self) -> None:
        """Close this process's references; the queues live on while another process holds them.

        Idempotent.
        """
        for bound in self.bound:
            for sock in bound.all_sockets():
                sock.close()

    def remove_files(self) -> None:
        """Unlink the socket files made here, unless something else has taken their place."""
        for bound in self.bound:
            if bound.file_id is None:
                continue
            with contextlib.suppress(OSError):
                found = os.lstat(bound.point.path)
                if (found.st_dev, found.st_ino) == bound.file_id:
                    Path(bound.point.path).unlink()
            bound.file_id = None


def open_sockets(
    points: Sequence[BindPoint],
    slots: int,
    given: Sequence[GivenSocket] = (),
    *,
    retry_seconds: float = BIND_RETRY_SECONDS,
    say: Callable[[str], None] = _say_nothing,
    sleep: Callable[[float], None] = time.sleep,
) -> SocketTable:
    """Bind and listen on every point, or raise `BindError` with nothing left open.

    A socket in `given` is used for the point that asks for its name (`fd:NAME`) or has exactly its
    address. An address in use is tried again for `retry_seconds` (announced once through <say>),
    since a predecessor may just be leaving.
    """
    table = SocketTable()
    left = list(given)
    seen = Counter[str]()
    indexes: list[int] = []
    adopted: list[BoundAddress | None] = []
    try:
        for point in points:
            indexes.append(seen[point.listener])
            seen[point.listener] += 1
        # Everybody finds what is theirs before anybody binds: what is left then is nobody's.
        for point, index in zip(points, indexes, strict=True):
            adopted.append(_adopt_stored(point, index, slots, left))
        for point, index, found in zip(points, indexes, adopted, strict=True):
            bound = found or _adopt_given(point, slots, left)
            if bound is None:
                _discard_rivals(point, left)
                bound = _bind(point, slots, retry_seconds, say, sleep)
            bound.index = index
            table.bound.append(bound)
    except BindError:
        table.bound += [found for found in adopted if found and found not in table.bound]
        table.close()
        table.remove_files()
        raise
    table.unused = left
    return table


def somaxconn() -> int:
    """The kernel's upper bound of an accept queue."""
    try:
        return int(Path("/proc/sys/net/core/somaxconn").read_text())
    except (OSError, ValueError):
        return DEFAULT_BACKLOG


def _backlog(point: BindPoint) -> int:
    return min(point.backlog or DEFAULT_BACKLOG, somaxconn())


# ---- sockets that were passed in


def _adopt_stored(
    point: BindPoint, index: int, slots: int, left: list[GivenSocket]
) -> BoundAddress | None:
    """Take back what an earlier process of ours had in keeping for <point>, slot by slot."""
    if point.fd_name:
        return None
    mine = fdstore.take(point.listener, index, left, lambda sock: _is_at(sock, point))
    if not mine:
        return None
    for sock in mine:
        sock.listen(_backlog(point))
    by_slot = [mine[slot::slots] or [mine[slot % len(mine)]] for slot in range(slots)]
    file_id = None
    if point.path and not point.path.startswith("@"):
        found = os.lstat(point.path)
        file_id = (found.st_dev, found.st_ino)
    return BoundAddress(point, address_text(mine[0]), mine[0].family, by_slot, file_id)


def _is_cut_off(given: GivenSocket, point: BindPoint) -> bool:
    """A stored unix socket whose file is gone: nobody can connect to it any more."""
    on_disk = bool(point.path) and not point.path.startswith("@")
    return given.name.startswith(fdstore.PREFIX) and on_disk and not Path(point.path).is_socket()


def _discard_rivals(point: BindPoint, left: list[GivenSocket]) -> None:
    """Let go of stored sockets that hold the port which <point> is about to bind.

    They belonged to a listener of another host address (127.0.0.1:80 became 0.0.0.0:80). The
    manager's copies go too, or the port would stay in use.
    """
    tcp = (socket.AF_INET, socket.AF_INET6)
    rivals = [
        g
        for g in left
        if g.name.startswith(fdstore.PREFIX)
        and g.sock.family in tcp
        and g.sock.getsockname()[1] == point.port
    ]
    for given in rivals:
        left.remove(given)
        given.sock.close()
    if rivals and systemd.remove_sockets(given.name for given in rivals):
        systemd.barrier()


def _is_at(sock: socket.socket, point: BindPoint) -> bool:
    """<sock> is a stream socket with the address of <point>, and clients can reach it there."""
    if sock.type != socket.SOCK_STREAM:
        return False
    if point.path:
        if address_text(sock) != f"unix:{point.path}":
            return False
        # Without its file the queue is out of reach. That the file is that of another socket shows
        # in its being refused: this one listens.
        return point.path.startswith("@") or Path(point.path).is_socket()
    if sock.family == socket.AF_UNIX:
        return False
    family, address = resolve(point)
    here = sock.getsockname()
    return sock.family == family and here[0] == address[0] and point.port in (0, here[1])


def _adopt_given(point: BindPoint, slots: int, left: list[GivenSocket]) -> BoundAddress | None:
    """Take the sockets meant for <point> out of <left>; None when it has to be bound here."""
    if point.fd_name:
        mine = [g for g in left if g.name == point.fd_name]
        if not mine:
            names = ", ".join(sorted({g.name for g in left})) or "none"
            raise BindError(
                f"listener '{point.listener}': no socket named '{point.fd_name}' was passed in "
                f"(LISTEN_FDNAMES; available: {names})"
            )
    else:
        wanted = _canonical(point)
        mine = [
            g
            for g in left
            if wanted is not None and address_text(g.sock) == wanted and not _is_cut_off(g, point)
        ]
    if not mine:
        return None
    for given in mine:
        left.remove(given)
        _check_stream(point, given)
        given.sock.listen(_backlog(point))
    socks = [given.sock for given in mine]
    # Stored for a listener that had another name then: ours all the same.
    lent = not all(g.name.startswith(fdstore.PREFIX) for g in mine)
    by_slot = [socks[slot::slots] or [socks[slot % len(socks)]] for slot in range(slots)]
    return BoundAddress(point, address_text(socks[0]), socks[0].family, by_slot, lent=lent)


def _canonical(point: BindPoint) -> str | None:
    """The address of <point> as `address_text` would write it.

    None when it has no fixed one (port 0).
    """
    if point.path:
        return f"unix:{point.path}"
    if point.port == 0:
        return None
    family, address = resolve(point)
    return (
        f"[{address[0]}]:{point.port}"
        if family == socket.AF_INET6
        else f"{address[0]}:{point.port}"
    )


def _check_stream(point: BindPoint, given: GivenSocket) -> None:
    if given.sock.type != socket.SOCK_STREAM:
        raise BindError(
            f"listener '{point.listener}': what was passed in as '{given.name}' is no stream socket"
        )


# ---- sockets that are bound here


def _bind(
    point: BindPoint,
    slots: int,
    retry_seconds: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None],
) -> BoundAddress:
    """Bind <point>, waiting for an address in use."""
    waited = 0.0
    while True:
        try:
            return _bind_unix(point, slots) if point.path else _bind_tcp(point, slots)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or waited >= retry_seconds:
                raise explained(point, error) from error
        if waited == 0.0:
            say(f"listener '{point.listener}': {point.address} is in use; trying again")
        sleep(_RETRY_PAUSE_SECONDS)
        waited += _RETRY_PAUSE_SECONDS


def _bind_tcp(point: BindPoint, slots: int) -> BoundAddress:
    family, address = resolve(point)
    if point.port:
        # SO_REUSEPORT would let a second proxy of the same user join the group unnoticed, and take
        # half of the connections. A socket without the option cannot: bind one first, and let it
        # go.
        _stream_socket(family, address, reuse_port=False).close()
    socks: list[socket.socket] = []
    try:
        for _ in range(slots):
            socks.append(_stream_socket(family, address, reuse_port=True))
            # Port 0: the kernel chose for the first socket, and its siblings follow.
            address = socks[0].getsockname()
        # All are bound before any listens: no connection can arrive while the group is still
        # growing.
        for sock in socks:
            sock.listen(_backlog(point))
    except OSError:
        for sock in socks:
            sock.close()
        raise
    return BoundAddress(point, address_text(socks[0]), socks[0].family, [[s] for s in socks])


def _stream_socket(
    family: int, address: tuple[str, int] | tuple[str, int, int, int], *, reuse_port: bool
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # So that [::]:80 and 0.0.0.0:80 can stand side by side, whatever the sysctl says.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _bind_unix(point: BindPoint, slots: int) -> BoundAddress:
    abstract = point.path.startswith("@")
    name = "\0" + point.path[1:] if abstract else point.path
    if not abstract:
        _remove_stale(point)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The file is born with its final mode; a later chmod would leave a moment with the wrong one.
    mask = os.umask(0o777 & ~point.mode)
    try:
        sock.setblocking(False)
        sock.bind(name)
        sock.listen(_backlog(point))
        found = None if abstract else os.lstat(point.path)
    except OSError:
        sock.close()
        raise
    finally:
        os.umask(mask)
    file_id = (found.st_dev, found.st_ino) if found else None
    return BoundAddress(point, f"unix:{point.path}", socket.AF_UNIX, [[sock]] * slots, file_id)


def _remove_stale(point: BindPoint) -> None:
    """Remove the socket file of a process that is gone; EADDRINUSE when somebody answers there."""
    try:
        mode = os.lstat(point.path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BindError(f"listener '{point.listener}': {point.path} exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # A full accept queue must not hold up the start: non-blocking, EAGAIN means that somebody
        # listens.
        probe.setblocking(False)
        refused = probe.connect_ex(point.path)
    if refused == errno.ECONNREFUSED:
        Path(point.path).unlink()
    elif refused != errno.ENOENT:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
