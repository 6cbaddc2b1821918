"""Names of sockets in a service manager's keeping, so that each finds back to its place.

`pyproxy-<listener>-<index>-<slot>`: index counts the addresses of the listener, slot the sockets of
the address. The manager returns them in any order, several with one and the same address.
"""

from __future__ import annotations

import re
import socket
import zlib
from collections.abc import Callable

from .systemd import GivenSocket

_PREFIX = "pyproxy-"
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,200}")


def fd_name(listener: str, index: int, slot: int) -> str:
    """A name that is valid as FDNAME, whatever the listener is called."""
    return f"{_PREFIX}{_key(listener)}-{index}-{slot}"


def is_stored(given: GivenSocket) -> bool:
    """It was in a manager's keeping for an earlier process of ours."""
    return given.name.startswith(_PREFIX)


def take(
    listener: str, index: int, left: list[GivenSocket], fits: Callable[[socket.socket], bool]
) -> list[socket.socket]:
    """Move the sockets of one address out of <left>; in the order of their slots.

    Those that do not fit, because the address has another meaning by now, stay there.
    """
    head = f"{_PREFIX}{_key(listener)}-{index}-"
    found = []
    for given in list(left):
        slot = given.name.removeprefix(head)
        if slot != given.name and slot.isascii() and slot.isdigit() and fits(given.sock):
            left.remove(given)
            found.append((int(slot), given.sock))
    return [sock for _, sock in sorted(found, key=lambda pair: pair[0])]


def _key(listener: str) -> str:
    """The listener's name; for one that an FDNAME cannot hold, a number made of it."""
    if _PLAIN.fullmatch(listener):
        return listener
    return f"~{zlib.crc32(listener.encode()):08x}"
