"""What is used of a `_counters.StatSegment` by those who tell all workers something."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Segment(Protocol):
    """The counters, and their common column."""

    def records(self) -> Iterable[tuple[str, str, int, int]]:
        """(kind, name, base, words) of every record."""

    def sum(self, index: int) -> int:
        """One word, added up over the columns."""

    def get(self, column: int, index: int) -> int:
        """One word of a column."""

    def change(self, index: int, mask: int, bits: int) -> None:
        """Replace some bits of a common word."""

    def add(self, index: int, n: int) -> None:
        """Add to a common word."""
