"""Opening listening sockets: bound here, passed in by a service manager or an older generation."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from . import fdstore, inet, systemd
from .bindpoint import BindError, BindPoint, address_text, bind_file, explained, file_id, resolve
from .sockets import BoundAddress, ListenSocket, SocketTable
from .systemd import GivenSocket

DEFAULT_BACKLOG = 4096
BIND_RETRY_SECONDS = 2.0
_RETRY_PAUSE_SECONDS = 0.1


def _say_nothing(line: str) -> None:
    """For callers who do not want to hear."""


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
    table = SocketTable(slots)
    ours = {
        (g.sock.type, g.sock.getsockname()[1]) for g in given if g.sock.family != socket.AF_UNIX
    }
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
                probe = (point.type, point.port) not in ours
                bound = _bind(point, slots, retry_seconds, say, sleep, probe=probe)
            bound.index = index
            table.bound.append(bound)
    except BindError:
        table.bound += [found for found in adopted if found and found not in table.bound]
        table.close()
        # Whoever passed a socket on still serves it, at its file.
        table.remove_files(inherited=False)
        raise
    table.unused = left
    return table


def grow(bound: BoundAddress, slots: int, closing: Collection[int] = ()) -> list[ListenSocket]:
    """Bind what <slots> slots need beside the sockets of <bound>; returns the new sockets.

    They do not listen yet (UDP: are not bound yet): from then on the kernel gives them what clients
    send, so `listen` is for when a worker is there. They join the group last; the others keep their
    place. Raises `BindError`.
    """
    if bound.is_shared or bound.foreign:
        return []
    have = {held.slot for held in bound.sockets if held.id not in closing}
    first = bound.sockets[0].sock
    made: list[tuple[int, socket.socket]] = []
    try:
        for slot in (slot for slot in range(slots) if slot not in have):
            made += [(slot, inet.further_socket(first))]
    except OSError as error:
        for _, sock in made:
            sock.close()
        raise explained(bound.point, error) from error
    return bound.add(made)


def listen(bound: BoundAddress, held: ListenSocket) -> None:
    """Let <held> get connections, or datagrams. Raises `OSError`."""
    if bound.point.datagram:
        held.sock.bind(bound.sockets[0].sock.getsockname())
    else:
        held.sock.listen(_backlog(bound.point))


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
        _let_listen(point, sock)
    on_disk = point.path and not point.path.startswith("@")
    socks: list[tuple[int | None, socket.socket]] = (
        [(None, mine[0])] if point.path else list(enumerate(mine))
    )
    found = file_id(point.path) if on_disk else None
    bound = BoundAddress(point, address_text(mine[0]), mine[0].family, socks, found)
    grow(bound, slots)
    return bound


def _let_listen(point: BindPoint, sock: socket.socket) -> None:
    """A socket that was passed in may listen already: then its queue gets another length."""
    if not point.datagram:
        sock.listen(_backlog(point))


def _is_cut_off(given: GivenSocket, point: BindPoint) -> bool:
    """A stored unix socket whose file is gone: nobody can connect to it any more."""
    on_disk = bool(point.path) and not point.path.startswith("@")
    return fdstore.is_stored(given) and on_disk and not Path(point.path).is_socket()


def _discard_rivals(point: BindPoint, left: list[GivenSocket]) -> None:
    """Let go of stored sockets that hold the port which <point> is about to bind.

    They belonged to a listener of another host address (127.0.0.1:80 became 0.0.0.0:80). The
    manager's copies go too, or the port would stay in use.
    """
    internet = (socket.AF_INET, socket.AF_INET6)
    rivals = [
        g
        for g in left
        if fdstore.is_stored(g)
        and (g.sock.family in internet and g.sock.type == point.type)
        and g.sock.getsockname()[1] == point.port
    ]
    for given in rivals:
        left.remove(given)
        given.sock.close()
    if rivals and systemd.remove_sockets(given.name for given in rivals):
        systemd.barrier()


def _is_at(sock: socket.socket, point: BindPoint) -> bool:
    """<sock> has the kind and address of <point>, and clients can reach it there."""
    if sock.type != point.type:
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
        mine = _of_point(point, left)
    if not mine:
        return None
    for given in mine:
        left.remove(given)
        _check_type(point, given)
        _let_listen(point, given.sock)
    return _from_given(point, mine, slots)


def _of_point(point: BindPoint, left: Sequence[GivenSocket]) -> list[GivenSocket]:
    """Those in <left> that are bound to <point>."""
    wanted = _canonical(point)
    if wanted is None:
        # Port 0: the predecessor's socket for the same words of the configuration, with whatever
        # port it has got.
        own = (
            g
            for g in left
            if (g.name, g.configured) == (point.listener, point.address)
            and g.sock.type == point.type
        )
        first = next(own, None)
        wanted = address_text(first.sock) if first else None
    return [
        g
        for g in left
        if wanted is not None
        and (g.sock.type == point.type and address_text(g.sock) == wanted)
        and not _is_cut_off(g, point)
    ]


def _from_given(point: BindPoint, mine: Sequence[GivenSocket], slots: int) -> BoundAddress:
    first = mine[0]
    slotted = all(given.slot is not None for given in mine)
    socks: list[tuple[int | None, socket.socket]]
    if point.datagram and not slotted and len(mine) < max(slots, 2):
        # One worker's, not everybody's: a session is where its datagrams are read.
        socks = [(0, given.sock) for given in mine]
    elif slotted or len(mine) < max(slots, 2):
        socks = [(given.slot, given.sock) for given in mine]
    else:
        socks = list(enumerate(given.sock for given in mine))
    bound = BoundAddress(
        point,
        address_text(first.sock),
        first.sock.family,
        socks,
        first.file_id,
        # Stored for a listener that had another name then: ours all the same.
        foreign=first.foreign and not fdstore.is_stored(first),
        inherited=bool(first.configured),
    )
    if slotted:
        grow(bound, slots)
    return bound


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


def _check_type(point: BindPoint, given: GivenSocket) -> None:
    if given.sock.type != point.type:
        kind = "datagram" if point.datagram else "stream"
        raise BindError(
            f"listener '{point.listener}': what was passed in as '{given.name}' is no {kind} socket"
        )


# ---- sockets that are bound here


def _bind(
    point: BindPoint,
    slots: int,
    retry_seconds: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None],
    *,
    probe: bool,
) -> BoundAddress:
    """Bind <point>, waiting for an address in use."""
    waited = 0.0
    while True:
        try:
            if point.path:
                return _bind_unix(point)
            return _bind_inet(point, slots, probe)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or waited >= retry_seconds:
                raise explained(point, error) from error
        if waited == 0.0:
            say(f"listener '{point.listener}': {point.address} is in use; trying again")
        sleep(_RETRY_PAUSE_SECONDS)
        waited += _RETRY_PAUSE_SECONDS


def _bind_inet(point: BindPoint, slots: int, probe: bool, /) -> BoundAddress:
    family, address = resolve(point)
    kind = socket.SOCK_DGRAM if point.datagram else socket.SOCK_STREAM
    socks = inet.bind_group(kind, family, address, slots, probe=probe and point.port > 0)
    try:
        # All are bound before any listens: no connection can arrive while the group is still
        # growing.
        for sock in socks:
            _let_listen(point, sock)
    except OSError:
        for sock in socks:
            sock.close()
        raise
    return BoundAddress(point, address_text(socks[0]), socks[0].family, list(enumerate(socks)))


def _bind_unix(point: BindPoint) -> BoundAddress:
    abstract = point.path.startswith("@")
    name = "\0" + point.path[1:] if abstract else point.path
    if not abstract:
        _remove_stale(point)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        bind_file(sock, name, point.mode)
        sock.listen(_backlog(point))
        found = None if abstract else file_id(point.path)
    except OSError:
        sock.close()
        raise
    return BoundAddress(point, f"unix:{point.path}", socket.AF_UNIX, [(None, sock)], found)


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
