"""How much memory a worker may take where the configuration does not say it."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from pyproxy.config.model import Config

from .cgroup import limits
from .cpus import usable_cpus


def share_memory(config: Config, root: Path = Path("/")) -> Config:
    """The configuration with a limit for `overload.memory`, if that is watched.

    `root` stands in for the machine in tests.
    """
    overload = config.overload
    if overload is None or overload.memory is None or overload.memory.limit_bytes:
        return config
    workers = usable_cpus(root) if config.workers == "auto" else config.workers
    memory = replace(overload.memory, limit_bytes=usable_memory(root) // workers)
    return replace(config, overload=replace(overload, memory=memory))


def usable_memory(root: Path = Path("/")) -> int:
    """Bytes that this machine has, or the control group of this process may use of them.

    0 where the system does not tell.
    """
    found = limits(root, "memory", _limit_v2, _limit_v1)
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:")]
    except (OSError, ValueError, IndexError):
        pass
    return int(min(found, default=0))


def _limit_v2(group: Path) -> float | None:
    return _number(group / "memory.max")


def _limit_v1(group: Path) -> float | None:
    return _number(group / "memory.limit_in_bytes")  # without a limit: more than any machine has


def _number(path: Path) -> float | None:
    try:
        return int(path.read_text())  # or "max"
    except (OSError, ValueError):
        return None
