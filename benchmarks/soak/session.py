"""What /proc says about the processes of one session: a service with all its generations.

A service is started as the leader of a session of its own. Every later generation is born in it,
and nobody leaves it, so whatever is in it belongs to the service, whoever its parent is by now.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from benchmarks import proc

LISTENING = 0x0A
_ACCEPTS = 0x10000  # __SO_ACCEPTCON in the flags of /proc/net/unix


@dataclass(frozen=True, slots=True)
class Member:
    """One process; `name` is what it calls itself (pyproxy-w0, …)."""

    pid: int
    name: str
    state: str
    session: int


def parse_member(text: str) -> Member:
    """Read /proc/PID/stat. ValueError when malformed."""
    opened, close = text.find("("), text.rfind(")")
    fields = text[close + 2 :].split()
    if opened < 0 or close < opened or len(fields) < 4:
        raise ValueError("not a /proc stat line")
    return Member(int(text[:opened]), text[opened + 1 : close], fields[0], int(fields[3]))


def members(session: int) -> list[Member]:
    """The living processes of a session."""
    found = []
    for entry in proc.PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError, ValueError):
                member = parse_member((entry / "stat").read_text())
                if member.session == session and member.state not in "ZX":
                    found.append(member)
    return sorted(found, key=lambda member: member.pid)


def kill(session: int) -> int:
    """End what is left of a session; how many processes that were."""
    left = members(session)
    for member in left:
        with suppress(ProcessLookupError):
            os.kill(member.pid, signal.SIGKILL)
    return len(left)


def is_stopped(pid: int) -> bool:
    """True when SIGSTOP has arrived. OSError when the process has gone."""
    return parse_member((proc.PROC / str(pid) / "stat").read_text()).state == "T"


def descriptors(pid: int) -> dict[str, int]:
    """How many descriptors of each kind a process has: `socket`, `pipe`, a path …"""
    kinds: dict[str, int] = {}
    for entry in (proc.PROC / str(pid) / "fd").iterdir():
        with suppress(OSError):
            kind = str(entry.readlink()).partition(":[")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


# ---- sockets


def parse_listening(text: str, family: str) -> dict[int, str]:
    """Read /proc/net/tcp or tcp6: what listens, by inode, as `tcp 0100007F:1F90`."""
    found = {}
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and int(fields[3], 16) == LISTENING:
            found[int(fields[9])] = f"{family} {fields[1]}"
    return found


def parse_listening_unix(text: str) -> dict[int, str]:
    """Read /proc/net/unix: what listens, by inode, as `unix /path`."""
    found = {}
    for line in text.splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) > 7 and int(fields[3], 16) & _ACCEPTS:
            found[int(fields[6])] = f"unix {fields[7]}"
    return found


def listening(pid: int) -> dict[str, set[int]]:
    """The listening sockets that a process holds: inodes by address."""
    net = proc.PROC / "net"
    known = parse_listening((net / "tcp").read_text(), "tcp")
    known |= parse_listening((net / "tcp6").read_text(), "tcp6")
    known |= parse_listening_unix((net / "unix").read_text())
    found: dict[str, set[int]] = {}
    for inode in proc.sockets(pid):
        if inode in known:
            found.setdefault(known[inode], set()).add(inode)
    return found


def parse_peers(text: str, port: int) -> dict[int, str]:
    """Read /proc/net/tcp: the client, as `127.0.0.1:43210`, of every accepted socket of a port."""
    found = {}
    for line in text.splitlines()[1:]:
        fields = line.split()
        if (
            len(fields) > 9
            and int(fields[1].rpartition(":")[2], 16) == port
            and int(fields[3], 16) != LISTENING
        ):
            address, _, number = fields[2].partition(":")
            octets = reversed(bytes.fromhex(address))
            if int(fields[9]):
                found[int(fields[9])] = f"{'.'.join(map(str, octets))}:{int(number, 16)}"
    return found


def in_hand(pids: Iterable[int], port: int) -> set[str]:
    """The clients whose connections to <port> these processes have accepted and still hold."""
    peers = parse_peers((proc.PROC / "net" / "tcp").read_text(), port)
    inodes = set().union(*(proc.sockets(pid) for pid in pids))
    return {client for inode, client in peers.items() if inode in inodes}
