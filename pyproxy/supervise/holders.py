"""Who listens on a TCP port of this machine, found in /proc; only for error messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_LISTEN_STATE = "0A"


def describe_holders(port: int, proc: Path = Path("/proc")) -> str:
    """`nginx (pid 812)`, several joined by commas.

    Empty when nobody can be named (another user's process).
    """
    inodes = set(_listening_inodes(port, proc))
    if not inodes:
        return ""
    return ", ".join(f"{name} (pid {pid})" for pid, name in _owners(inodes, proc))


def _listening_inodes(port: int, proc: Path) -> Iterator[str]:
    for table in ("net/tcp", "net/tcp6"):
        try:
            lines = (proc / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[3] == _LISTEN_STATE and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]


def _owners(inodes: set[str], proc: Path) -> Iterator[tuple[int, str]]:
    links = {f"socket:[{inode}]" for inode in inodes}
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if any(str(fd.readlink()) in links for fd in (entry / "fd").iterdir()):
                yield int(entry.name), (entry / "comm").read_text().strip()
        except OSError:
            # It has ended meanwhile, or belongs to another user.
            continue
