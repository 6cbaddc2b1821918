"""The systemd protocols: telling how we are, giving sockets into its keeping, taking them over.

sd_notify(3) and sd_listen_fds(3) without the library. Nothing here can fail a service: without a
manager, or with one that does not listen, telling returns False.
"""

from __future__ import annotations

import array
import contextlib
import os
import select
import socket
import stat
import time
from collections.abc import Iterable, MutableMapping, Sequence
from typing import NamedTuple

_FIRST_FD = 3
# The manager takes no more descriptors than this in one message (SCM_MAX_FD).
_FDS_PER_MESSAGE = 253
# It may be busy; a supervisor must not be held up by that for long.
_SEND_SECONDS = 5.0


class GivenSocket(NamedTuple):
    """A listening socket that was passed in; `name` is its LISTEN_FDNAMES entry.

    Of a socket that an older generation has passed on more is known: whether somebody else had
    bound it (`foreign`), its address as that one's configuration has it, the worker slot it belongs
    to (None: all), and the file it made.
    """

    name: str
    sock: socket.socket
    foreign: bool = True
    configured: str = ""
    slot: int | None = None
    file_id: tuple[int, int] | None = None


def notify(
    state: str,
    environ: MutableMapping[str, str] | None = None,
    *,
    fds: Sequence[int] = (),
) -> bool:
    """Send state lines such as `READY=1` to NOTIFY_SOCKET, and descriptors with them.

    False when there is no such socket or it cannot be reached: a proxy that serves must not die
    because its service manager does not listen.
    """
    address = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(_SEND_SECONDS)
        # Not `send_fds`: it forgets the address.
        numbers = array.array("i", fds)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, numbers)] if fds else []
        sender.sendmsg([state.encode()], rights, 0, address)
        return True
    return False


def notify_status(text: str, environ: MutableMapping[str, str] | None = None) -> bool:
    """The line that `systemctl status` shows."""
    return notify(f"STATUS={_one_line(text)}", environ)


def notify_reloading(text: str = "", environ: MutableMapping[str, str] | None = None) -> bool:
    """A reload begins; `notify_ready` must follow, also when the reload fails.

    The time tells Type=notify-reload which reload this belongs to.
    """
    now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    return notify(_with_status(f"RELOADING=1\nMONOTONIC_USEC={now}", text), environ)


def notify_ready(text: str = "", environ: MutableMapping[str, str] | None = None) -> bool:
    """The start or the reload is complete."""
    return notify(_with_status("READY=1", text), environ)


def notify_main_pid(
    pid: int, text: str = "", environ: MutableMapping[str, str] | None = None
) -> bool:
    """The service is process <pid> from now on. Needs NotifyAccess=all when that process sends it.

    The predecessor must not end before `barrier` has confirmed that the manager has read this: it
    would take that for the end of the service. Not for a service under `supervise.init`, which is
    its main process for good.
    """
    return notify(_with_status(f"MAINPID={pid}", text), environ)


def barrier(timeout: float = 5.0, environ: MutableMapping[str, str] | None = None) -> bool:
    """Wait until the manager has handled everything that was sent before. False if it has not.

    It gets the writing end of a pipe, and closes it when it comes to this message.
    """
    read, write = os.pipe()
    try:
        try:
            sent = notify("BARRIER=1", environ, fds=[write])
        finally:
            os.close(write)
        if not sent:
            return False
        poll = select.poll()
        poll.register(read, 0)
        return bool(poll.poll(timeout * 1000))
    finally:
        os.close(read)


def store_sockets(
    named: Iterable[tuple[str, socket.socket]], environ: MutableMapping[str, str] | None = None
) -> bool:
    """Have the manager hold the sockets: they outlive a crash, and come back in LISTEN_FDS.

    Names are those of `fdstore.fd_name`. What it holds already it does not take twice. Needs
    FileDescriptorStoreMax. False when a message could not be sent; it does not tell whether there
    was room.
    """
    by_name: dict[str, list[int]] = {}
    for name, sock in named:
        by_name.setdefault(name, []).append(sock.fileno())
    for name, fds in by_name.items():
        for first in range(0, len(fds), _FDS_PER_MESSAGE):
            # One name holds for all of a message. It need not watch listening sockets for hang-ups.
            state = f"FDSTORE=1\nFDNAME={_checked(name)}\nFDPOLL=0"
            if not notify(state, environ, fds=fds[first : first + _FDS_PER_MESSAGE]):
                # The next would wait as long.
                return False
    return True


def remove_sockets(names: Iterable[str], environ: MutableMapping[str, str] | None = None) -> bool:
    """Have the manager let go of every socket of these names: else its copy keeps the port open."""
    return all(
        notify(f"FDSTOREREMOVE=1\nFDNAME={_checked(name)}", environ)
        for name in dict.fromkeys(names)
    )


def _checked(name: str) -> str:
    """<name>; ValueError for one that the manager would silently replace by `stored`."""
    if not 0 < len(name) <= 255 or not all(" " <= c <= "~" and c != ":" for c in name):
        raise ValueError(f"not a name for a stored descriptor: {name!r}")
    return name


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _with_status(state: str, text: str) -> str:
    return f"{state}\nSTATUS={_one_line(text)}" if text else state


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
