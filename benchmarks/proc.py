"""What /proc says about a process and its descendants: CPU time, memory, sockets.

The parsing functions are pure; the others read /proc of this machine and treat a process that has
gone meanwhile as absent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
ESTABLISHED = 0x01
_SOCKET = re.compile(r"socket:\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Stat:
    """The fields of /proc/PID/stat that matter here; times in clock ticks."""

    pid: int
    parent: int
    user_ticks: int
    system_ticks: int


def parse_stat(text: str) -> Stat:
    """Read /proc/PID/stat; the command name may hold blanks and brackets."""
    close = text.rfind(")")
    opened = text.find("(")
    fields = text[close + 2 :].split()
    if opened < 0 or close < opened or len(fields) < 13:
        raise ValueError("not a /proc stat line")
    return Stat(int(text[:opened]), int(fields[1]), int(fields[11]), int(fields[12]))


def parse_schedstat(text: str) -> int:
    """Nanoseconds that a thread has run. ValueError when malformed."""
    fields = text.split()
    if not fields:
        raise ValueError("an empty schedstat")
    return int(fields[0])


def parse_kib(text: str, field: str) -> int:
    """The field `field` of smaps_rollup or status, in bytes. KeyError when it is not there."""
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name == field:
            return int(rest.split()[0]) * 1024
    raise KeyError(field)


def parse_tcp(text: str) -> Iterator[tuple[int, int, int]]:
    """Read /proc/net/tcp: (local port, state, inode) of every socket."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9:
            yield int(fields[1].rpartition(":")[2], 16), int(fields[3], 16), int(fields[9])


def takes_datagrams(port: int) -> bool:
    """Somebody has bound that UDP port."""
    bound = (parse_tcp((PROC / "net" / name).read_text()) for name in ("udp", "udp6"))
    return any(local == port for rows in bound for local, _, _ in rows)


def descendants(parents: Mapping[int, int], root: int) -> list[int]:
    """`root` and everything below it, given each process's parent; root first."""
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found = [root]
    for pid in found:
        found.extend(sorted(children.get(pid, [])))
    return found


def tree(root: int) -> list[int]:
    """The living processes of the tree under `root`, root first."""
    parents = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                stat = parse_stat((entry / "stat").read_text())
            except (OSError, ValueError):
                continue
            parents[stat.pid] = stat.parent
    return [pid for pid in descendants(parents, root) if pid in parents]


@dataclass(frozen=True, slots=True)
class Cpu:
    """CPU time of some processes at one moment: nanoseconds by thread, ticks by process."""

    threads: Mapping[tuple[int, int], int]
    user_ticks: int
    system_ticks: int

    def since(self, before: Cpu) -> tuple[float, float, float]:
        """(total, user, system) seconds from `before` to here.

        The total comes from the scheduler's nanoseconds; how it splits into user and system time
        comes from the ticks. Threads that ended between are in the ticks only: then those decide.
        """
        user = max(0, self.user_ticks - before.user_ticks) / TICKS
        system = max(0, self.system_ticks - before.system_ticks) / TICKS
        if before.threads.keys() <= self.threads.keys():
            gained = (ns - before.threads.get(key, 0) for key, ns in self.threads.items())
            total = sum(gained) / 1e9
        else:
            total = user + system
        ticked = user + system
        if ticked == 0:
            return total, 0.0, total
        return total, total * user / ticked, total * system / ticked


def cpu(pids: Iterable[int]) -> Cpu:
    """Read the CPU clocks of `pids` now."""
    threads: dict[tuple[int, int], int] = {}
    user = system = 0
    for pid in pids:
        folder = PROC / str(pid)
        try:
            stat = parse_stat((folder / "stat").read_text())
            for task in (folder / "task").iterdir():
                threads[pid, int(task.name)] = parse_schedstat((task / "schedstat").read_text())
        except OSError:
            continue
        user += stat.user_ticks
        system += stat.system_ticks
    return Cpu(threads, user, system)


def pss(pid: int) -> int:
    """Proportional set size in bytes. OSError when the process has gone."""
    return parse_kib((PROC / str(pid) / "smaps_rollup").read_text(), "Pss")


def rss(pid: int) -> int:
    """Resident set size in bytes."""
    return parse_kib((PROC / str(pid) / "status").read_text(), "VmRSS")


def reset_peak(pid: int) -> None:
    """Start the high-water mark of `peak_rss` anew."""
    (PROC / str(pid) / "clear_refs").write_text("5")


def peak_rss(pid: int) -> int:
    """Highest resident set size in bytes since `reset_peak`, exact: the kernel keeps it."""
    return parse_kib((PROC / str(pid) / "status").read_text(), "VmHWM")


def sockets(pid: int) -> set[int]:
    """Inodes of the sockets that a process has open; empty when it has gone."""
    found = set()
    try:
        for entry in (PROC / str(pid) / "fd").iterdir():
            try:
                match = _SOCKET.fullmatch(str(entry.readlink()))
            except OSError:
                continue
            if match:
                found.add(int(match[1]))
    except OSError:
        return set()
    return found


def accepted(pids: Iterable[int], port: int) -> dict[int, int]:
    """How many established connections to local `port` each process holds; only those with any."""
    inodes = {
        inode
        for local, state, inode in parse_tcp((PROC / "net" / "tcp").read_text())
        if local == port and state == ESTABLISHED and inode
    }
    counts = {pid: len(sockets(pid) & inodes) for pid in pids}
    return {pid: n for pid, n in counts.items() if n}
