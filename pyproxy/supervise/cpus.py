"""How many CPUs this process may use: its affinity mask, and the CPU quota of its control group."""

from __future__ import annotations

import math
import os
from pathlib import Path

from .cgroup import limits


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
    return min(limits(root, "cpu", _quota_v2, _quota_v1), default=None)


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
