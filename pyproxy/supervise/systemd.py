"""The two systemd protocols: telling that we are ready, and taking over sockets it has bound."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from collections.abc import MutableMapping
from typing import NamedTuple

_FIRST_FD = 3


class GivenSocket(NamedTuple):
    """A listening socket that was passed in; `name` is its LISTEN_FDNAMES entry."""

    name: str
    sock: socket.socket


def notify(state: str, environ: MutableMapping[str, str] | None = None) -> bool:
    """Send one state line such as `READY=1` to NOTIFY_SOCKET.

    False when there is no such socket or it cannot be reached: a proxy that serves must not die
    because its service manager does not listen.
    """
    address = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(state.encode(), address)
        return True
    return False


def given_sockets(
    environ: MutableMapping[str, str] | None = None, *, pid: int | None = None
) -> list[GivenSocket]:
    """The sockets of LISTEN_FDS, in order.

    Empty when the variables are absent or meant for another process.

    The variables are removed from `environ`, so that no child takes the descriptors for its own.
    Every descriptor becomes close-on-exec and non-blocking. Raises `ValueError` when the variables
    contradict themselves or a descriptor is no socket.
    """
    environ = os.environ if environ is None else environ
    owner = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "")
    if not count or owner != str(os.getpid() if pid is None else pid):
        return []
    if not count.isascii() or not count.isdigit():
        raise ValueError(f"LISTEN_FDS is not a number: {count!r}")
    total = int(count)
    name_list = names.split(":") if names else ["unknown"] * total
    if len(name_list) != total:
        raise ValueError(f"LISTEN_FDS says {total} but LISTEN_FDNAMES holds {len(name_list)} names")
    return [_adopt(_FIRST_FD + i, name_list[i]) for i in range(total)]


def _adopt(fd: int, name: str) -> GivenSocket:
    try:
        mode = os.fstat(fd).st_mode
    except OSError as error:
        raise ValueError(f"LISTEN_FDS: descriptor {fd} ({name}) is not open") from error
    if not stat.S_ISSOCK(mode):
        raise ValueError(f"LISTEN_FDS: descriptor {fd} ({name}) is not a socket")
    os.set_inheritable(fd, False)
    sock = socket.socket(fileno=fd)
    sock.setblocking(False)
    return GivenSocket(name, sock)
