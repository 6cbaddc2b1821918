"""How many workers `auto` means."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyproxy.supervise.cpus import cgroup_quota, usable_cpus


def machine(root: Path, membership: str, files: dict[str, str]) -> Path:
    """A make-believe machine: its cgroup membership, and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_no_quota_leaves_the_affinity_mask(tmp_path) -> None:
    root = machine(tmp_path, "0::/\n", {"cpu.max": "max 100000\n"})
    assert cgroup_quota(root) is None
    assert usable_cpus(root, affinity=6) == 6


@pytest.mark.parametrize(
    ("quota", "cpus"), [("50000", 1), ("100000", 1), ("150000", 2), ("400000", 4), ("9900000", 8)]
)
def test_a_quota_limits_and_is_rounded_up(tmp_path, quota, cpus) -> None:
    root = machine(tmp_path, "0::/app\n", {"app/cpu.max": f"{quota} 100000\n"})
    assert usable_cpus(root, affinity=8) == cpus


def test_the_tightest_ancestor_counts(tmp_path) -> None:
    root = machine(
        tmp_path,
        "0::/a/b\n",
        {"a/b/cpu.max": "max 100000", "a/cpu.max": "200000 100000", "cpu.max": "300000 100000"},
    )
    assert cgroup_quota(root) == 2.0


def test_inside_a_container_the_mount_is_the_group(tmp_path) -> None:
    root = machine(tmp_path, "0::/docker/0123\n", {"cpu.max": "100000 100000"})
    assert cgroup_quota(root) == 1.0


def test_the_first_version_of_control_groups(tmp_path) -> None:
    root = machine(
        tmp_path,
        "4:memory:/app\n3:cpu,cpuacct:/app\n",
        {
            "cpu,cpuacct/app/cpu.cfs_quota_us": "300000",
            "cpu,cpuacct/app/cpu.cfs_period_us": "100000",
            "cpu,cpuacct/cpu.cfs_quota_us": "-1",
            "cpu,cpuacct/cpu.cfs_period_us": "100000",
        },
    )
    assert cgroup_quota(root) == 3.0


def test_a_machine_without_control_groups(tmp_path) -> None:
    assert usable_cpus(tmp_path, affinity=3) == 3


def test_nonsense_in_the_files_is_no_limit(tmp_path) -> None:
    root = machine(tmp_path, "0::/\n", {"cpu.max": "what\n"})
    assert usable_cpus(root, affinity=3) == 3
