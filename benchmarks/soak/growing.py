"""(i) What is left behind by upgrades: descriptors and memory after few and after many."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from benchmarks import proc
from benchmarks.soak import session
from benchmarks.soak.line import Line
from benchmarks.soak.service import Service
from benchmarks.soak.setting import Setting, proxying

MEMORY_TOLERANCE = 0.10
_REST_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Tree:
    """What a service holds: processes, descriptors by process and kind, bytes of memory."""

    processes: int
    descriptors: Counter[str]
    memory: int


def measure(service: Service) -> Tree:
    """Look at a service at rest."""
    service.settle()
    time.sleep(_REST_SECONDS)
    members = session.members(service.session)
    found: Counter[str] = Counter()
    for member in members:
        for kind, n in session.descriptors(member.pid).items():
            found[f"{member.name} {kind}"] += n
    return Tree(len(members), found, sum(_memory(member.pid) for member in members))


def _memory(pid: int) -> int:
    """Its share of memory that is no file: what it shares with its forks counts once in the sum,
    and what strangers map does not matter."""
    text = (proc.PROC / str(pid) / "smaps_rollup").read_text()
    return proc.parse_kib(text, "Pss_Anon") + proc.parse_kib(text, "Pss_Shmem")


def compare(base: Tree, now: Tree) -> tuple[dict[str, int], tuple[str, ...]]:
    """What must be zero, and which descriptors there are more of."""
    more = now.descriptors - base.descriptors
    limit = int(base.memory * (1 + MEMORY_TOLERANCE))
    counts = {
        "processes above base": max(now.processes - base.processes, 0),
        "descriptors above base": max(now.descriptors.total() - base.descriptors.total(), 0),
        "KiB above base + 10 %": max(now.memory - limit, 0) // 1024,
    }
    return counts, tuple(f"{n} more: {what}" for what, n in sorted(more.items()))


def leftovers(setting: Setting) -> list[Line]:
    """(i)"""
    size = setting.size
    with setting.origin() as origin, setting.service(proxying(origin, size.workers)) as service:
        for number in range(size.all_upgrades):
            if number == size.first_upgrades:
                base = measure(service)
            service.upgrade()
            setting.step(number + 1, size.all_upgrades, "upgrades")
        now = measure(service)
        counts, notes = compare(base, now)
    facts = {
        "upgrades": size.all_upgrades,
        "descriptors": now.descriptors.total(),
        "MiB after few": base.memory / 1048576,
        "MiB after all": now.memory / 1048576,
    }
    return [Line("i", "what upgrades leave behind", {**counts, **service.remains()}, facts, notes)]
