"""How much memory a worker may take."""

from __future__ import annotations

from pathlib import Path

from pyproxy.config.load import loads
from pyproxy.supervise.memory import share_memory, usable_memory

MIB = 2**20


def machine(root: Path, membership: str, files: dict[str, str], total_kib: int = 4096) -> Path:
    """A make-believe machine: its cgroup membership, and files below /sys/fs/cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(membership)
    (root / "proc/meminfo").write_text(f"MemTotal:  {total_kib} kB\nMemFree:  1 kB\n")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_a_group_the_machine_counts(tmp_path) -> None:
    assert usable_memory(machine(tmp_path, "0::/\n", {"memory.max": "max\n"})) == 4 * MIB


def test_the_tightest_group_counts(tmp_path) -> None:
    files = {"a/memory.max": f"{2 * MIB}\n", "a/b/memory.max": f"{3 * MIB}\n"}
    assert usable_memory(machine(tmp_path, "0::/a/b\n", files)) == 2 * MIB


def test_groups_of_the_first_version_count_too(tmp_path) -> None:
    files = {"memory/app/memory.limit_in_bytes": f"{MIB}\n"}
    assert usable_memory(machine(tmp_path, "5:memory:/app\n4:cpu:/\n", files)) == MIB


def test_a_group_may_have_more_than_there_is(tmp_path) -> None:
    files = {"memory/memory.limit_in_bytes": "9223372036854771712\n"}
    assert usable_memory(machine(tmp_path, "5:memory:/\n", files)) == 4 * MIB


def test_a_system_that_tells_nothing_has_no_limit(tmp_path) -> None:
    assert usable_memory(tmp_path) == 0


def config(overload: str):
    return loads(
        'workers: 4\nlisteners: {web: {bind: "127.0.0.1:0"}}\nroutes: [{respond: {}}]\n' + overload
    )


def test_workers_share_what_there_is(tmp_path) -> None:
    root = machine(tmp_path, "0::/\n", {})
    shared = share_memory(config("overload: {memory: {}}"), root)
    assert shared.overload.memory.limit_bytes == MIB


def test_what_is_said_stays(tmp_path) -> None:
    root = machine(tmp_path, "0::/\n", {})
    for text in ("overload: {memory: {limit: 7MiB}}", "overload: {loop_lag: {}}", ""):
        told = config(text)
        assert share_memory(told, root) is told
