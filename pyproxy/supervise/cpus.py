"""How many CPUs this process may use: its affinity mask, and the CPU quota of its control group."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path


def usable_cpus(root: Path = Path("/"), affinity: int | None = None) -> int:
    """CPUs that are worth a worker each; at least 1.

    `root` and `affinity` stand in for the machine in tests.
    """
    allowed = len(os.sched_getaffinity(0)) if affinity is None else affinity
    quota = cgroup_quota(root)
    if quota is not None:
        # A quota of 1.5 CPUs keeps two workers busy part of the time; one worker could not use the
        # half.
        allowed = min(allowed, math.ceil(quota))
    return max(allowed, 1)


def cgroup_quota(root: Path = Path("/")) -> float | None:
    """The tightest CPU quota of this process's control group and its ancestors, in CPUs.

    None: no limit.
    """
    quotas: list[float] = []
    try:
        membership = (root / "proc/self/cgroup").read_text()
    except OSError:
        return None
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            quotas += _quotas_up(root / "sys/fs/cgroup", path, _quota_v2)
        elif "cpu" in controllers.split(","):
            quotas += _quotas_up(root / "sys/fs/cgroup" / controllers, path, _quota_v1)
    return min(quotas, default=None)


def _quotas_up(mount: Path, path: str, read: Callable[[Path], float | None]) -> list[float]:
    """Quotas of a group and all above it.

    Inside a container the path may not exist: then the mount is ours.
    """
    group = mount / path.strip("/")
    groups = [group, *group.parents]
    found = [read(g) for g in groups if g == mount or mount in g.parents]
    return [quota for quota in found if quota is not None]


def _quota_v2(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(group: Path) -> float | None:
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
