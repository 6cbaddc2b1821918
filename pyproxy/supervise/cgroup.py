"""The limits of this process's control group, of either version of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def limits(
    root: Path,
    controller: str,
    v2: Callable[[Path], float | None],
    v1: Callable[[Path], float | None],
) -> list[float]:
    """What `v2` or `v1` read in the folders of the group and its ancestors; None is no limit.

    `root` stands in for the machine in tests.
    """
    found: list[float] = []
    try:
        membership = (root / "proc/self/cgroup").read_text()
    except OSError:
        return []
    for line in membership.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += _upwards(root / "sys/fs/cgroup", path, v2)
        elif controller in controllers.split(","):
            found += _upwards(root / "sys/fs/cgroup" / controllers, path, v1)
    return found


def _upwards(mount: Path, path: str, read: Callable[[Path], float | None]) -> list[float]:
    """Limits of a group and all above it.

    Inside a container the path may not exist: then the mount is ours.
    """
    group = mount / path.strip("/")
    groups = [group, *group.parents]
    found = [read(g) for g in groups if g == mount or mount in g.parents]
    return [limit for limit in found if limit is not None]
