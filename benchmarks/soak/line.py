"""One line of the result: things that must not have happened, and what was done meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """`counts` must all be zero; `facts` say how hard it was tried; `notes` help with a failure."""

    key: str
    title: str
    counts: Mapping[str, int]
    facts: Mapping[str, int | float | str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Nothing happened that must not, and something was tried."""
        return bool(self.counts) and not any(self.counts.values())

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "key": self.key,
            "title": self.title,
            "ok": self.ok,
            "counts": dict(self.counts),
            "facts": dict(self.facts),
            "notes": list(self.notes),
        }


def merge(lines: Iterable[Line]) -> list[Line]:
    """Lines of the same key become one: counts and numbers of facts add up. Sorted by key."""
    found: dict[str, Line] = {}
    for line in lines:
        first = found.get(line.key)
        found[line.key] = line if first is None else _together(first, line)
    return [found[key] for key in sorted(found)]


def _together(one: Line, other: Line) -> Line:
    counts = _sum(one.counts, other.counts)
    return Line(one.key, one.title, counts, _sum(one.facts, other.facts), one.notes + other.notes)


def _sum(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    together = dict(one)
    for name, value in other.items():
        before = together.get(name)
        if isinstance(before, int | float) and isinstance(value, int | float):
            together[name] = before + value
        else:
            together[name] = value
    return together
