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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pyproxy.errors import StartError

from .holders import describe_holders
from .systemd import GivenSocket

DEFAULT_BACKLOG = 4096
BIND_RETRY_SECONDS = 2.0
_RETRY_PAUSE_SECONDS = 0.1


def _say_nothing(line: str) -> None:
    """For callers who do not want to hear."""


class BindError(StartError):
    """A listener cannot have its address; the text names both and says what to do."""


class BindPoint(NamedTuple):
    """One address of one listener, taken apart.

    Exactly one of `host` (with `port`), `path`, `fd_name` is set.
    """

    listener: str
    address: str
    host: str = ""
    port: int = 0
    path: str = ""
    fd_name: str = ""
    backlog: int = 0
    mode: int = 0o666


class BoundAddress:
    """A bound address: the sockets by slot, and where clients really find it (`real`).

    `file_id` is device and inode of the socket file that was made here: nothing else is ever
    unlinked.
    """

    def __init__(
        self,
        point: BindPoint,
        real: str,
        family: socket.AddressFamily,
        slots: list[list[socket.socket]],
        file_id: tuple[int, int] | None = None,
    ) -> None:
        self.point = point
        self.real = real
        self.family = family
        self.slots = slots
        self.file_id = file_id

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
    try:
        for point in points:
            table.bound.append(
                _adopt_given(point, slots, left) or _bind(point, slots, retry_seconds, say, sleep)
            )
    except BindError:
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


def address_text(sock: socket.socket) -> str:
    """The address of a bound socket in the notation of the configuration file."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        if isinstance(name, bytes):
            return "unix:@" + os.fsdecode(name[1:])
        return f"unix:{name}"
    if sock.family == socket.AF_INET6:
        return f"[{name[0]}]:{name[1]}"
    return f"{name[0]}:{name[1]}"


# ---- sockets that were passed in


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
        mine = [g for g in left if wanted is not None and address_text(g.sock) == wanted]
    if not mine:
        return None
    for given in mine:
        left.remove(given)
        _check_stream(point, given)
        given.sock.listen(_backlog(point))
    socks = [given.sock for given in mine]
    by_slot = [socks[slot::slots] or [socks[slot % len(socks)]] for slot in range(slots)]
    return BoundAddress(point, address_text(socks[0]), socks[0].family, by_slot)


def _canonical(point: BindPoint) -> str | None:
    """The address of <point> as `address_text` would write it.

    None when it has no fixed one (port 0).
    """
    if point.path:
        return f"unix:{point.path}"
    if point.port == 0:
        return None
    family, address = _resolve(point)
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
                raise _explained(point, error) from error
        if waited == 0.0:
            say(f"listener '{point.listener}': {point.address} is in use; trying again")
        sleep(_RETRY_PAUSE_SECONDS)
        waited += _RETRY_PAUSE_SECONDS


def _resolve(point: BindPoint) -> tuple[int, tuple[str, int] | tuple[str, int, int, int]]:
    try:
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV | socket.AI_PASSIVE
        # As bytes: a str goes through the idna codec, whose tables take 3 ms to import.
        host = point.host.encode() or None
        found = socket.getaddrinfo(host, point.port, type=socket.SOCK_STREAM, flags=flags)
    except OSError as error:
        raise BindError(
            f"listener '{point.listener}': {point.address} is not an IP address and port"
        ) from error
    family, _, _, _, address = found[0]
    return family, address  # type: ignore[return-value]


def _bind_tcp(point: BindPoint, slots: int) -> BoundAddress:
    family, address = _resolve(point)
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


def _explained(point: BindPoint, error: OSError) -> BindError:
    """The error as a sentence for the operator."""
    head = f"listener '{point.listener}': cannot bind {point.address}: "
    if error.errno == errno.EADDRINUSE:
        holders = "" if point.path else describe_holders(point.port)
        return BindError(f"{head}the address is in use{' by ' + holders if holders else ''}")
    if error.errno in (errno.EACCES, errno.EPERM) and not point.path:
        return BindError(
            f"{head}permission denied; a port below 1024 needs root, CAP_NET_BIND_SERVICE, "
            "or a lower net.ipv4.ip_unprivileged_port_start"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return BindError(f"{head}no network interface has this address")
    if error.errno == errno.ENOENT and point.path:
        return BindError(f"{head}the folder {Path(point.path).parent} does not exist")
    if error.errno is None and point.path:
        # "AF_UNIX path too long" is the one OSError of bind that has no number.
        return BindError(f"{head}the path is too long (at most 107 bytes)")
    return BindError(f"{head}{error.strerror or error}")
