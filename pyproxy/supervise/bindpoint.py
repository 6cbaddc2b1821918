"""One address to listen on: taken apart, looked up, and explained when it cannot be had."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import NamedTuple

from pyproxy.errors import StartError

from .holders import describe_holders


class BindError(StartError):
    """A listener cannot have its address; the text names both and says what to do."""


class BindPoint(NamedTuple):
    """One address of one listener, taken apart.

    Exactly one of `host` (with `port`), `path`, `fd_name` is set. `datagram`: UDP.
    """

    listener: str
    address: str
    host: str = ""
    port: int = 0
    path: str = ""
    fd_name: str = ""
    backlog: int = 0
    mode: int = 0o666
    datagram: bool = False

    @property
    def type(self) -> socket.SocketKind:
        """The kind of its sockets."""
        return socket.SOCK_DGRAM if self.datagram else socket.SOCK_STREAM


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


def file_id(path: str | Path) -> tuple[int, int]:
    """Device and inode: what tells a socket file from another one at the same place."""
    found = os.lstat(path)
    return found.st_dev, found.st_ino


def bind_file(sock: socket.socket, name: str, mode: int) -> None:
    """Bind a unix socket whose file is born with its final mode.

    A later chmod would leave a moment with the wrong one.
    """
    mask = os.umask(0o777 & ~mode)
    try:
        sock.bind(name)
    finally:
        os.umask(mask)


def resolve(point: BindPoint) -> tuple[int, tuple[str, int] | tuple[str, int, int, int]]:
    """Family and address for `bind`. Raises `BindError`."""
    try:
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV | socket.AI_PASSIVE
        # As bytes: a str goes through the idna codec, whose tables take 3 ms to import.
        host = point.host.encode() or None
        found = socket.getaddrinfo(host, point.port, type=point.type, flags=flags)
    except OSError as error:
        raise BindError(
            f"listener '{point.listener}': {point.address} is not an IP address and port"
        ) from error
    family, _, _, _, address = found[0]
    return family, address  # type: ignore[return-value]


def explained(point: BindPoint, error: OSError) -> BindError:
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
