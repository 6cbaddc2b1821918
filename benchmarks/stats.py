"""Small statistics over rounds: medians, spreads, ratios of the same round, A/A noise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some rounds with the lowest and the highest."""

    median: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Summarise `values`; ValueError when there are none."""
        found = list(values)
        if not found:
            raise ValueError("no rounds to summarise")
        return cls(median(found), min(found), max(found), len(found))

    def as_json(self) -> dict[str, float]:
        return {"median": self.median, "low": self.low, "high": self.high, "n": self.n}

    @classmethod
    def from_json(cls, fields: Mapping[str, float]) -> Spread:
        return cls(fields["median"], fields["low"], fields["high"], int(fields["n"]))


Round = Mapping[str, Mapping[str, float]]
"""One round: what each contender's slot measured, by figure."""


def figure(rounds: Sequence[Round], slot: str, key: str) -> Spread | None:
    """Summarise one figure of one slot; None when no round has it."""
    values = [r[slot][key] for r in rounds if slot in r and key in r[slot]]
    return Spread.of(values) if values else None


def ratio(rounds: Sequence[Round], above: str, below: str, key: str) -> Spread | None:
    """`above` ÷ `below` within each round, then the median of those; None when no round has both.

    What drifts slowly (clock speed, a busy neighbour) touches both sides of a round and cancels.
    """
    values = [
        r[above][key] / r[below][key]
        for r in rounds
        if above in r and below in r and key in r[above] and r[below].get(key, 0) > 0
    ]
    return Spread.of(values) if values else None


def noise(rounds: Sequence[Round], slot: str, again: str, key: str) -> float | None:
    """How far the same thing measured twice in a round is apart, as a fraction, at worst.

    None when the scenario has no A/A pair.
    """
    found = ratio(rounds, again, slot, key)
    if found is None:
        return None
    return max(abs(found.low - 1), abs(found.high - 1))
