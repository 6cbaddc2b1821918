"""What processes share in memory as Python objects: counters, their metrics, the table of limits.

Safe in any process. Raises `pyproxy._wire.WireError`.
"""

from collections.abc import Iterator
from typing import final

from typing_extensions import Buffer

@final
class StatSegment:
    """The shared counter segment over a writable buffer, e.g. a mapped memfd.

    Made by `format` or `open`; holds the buffer as long as it lives.
    """

    @staticmethod
    def size(columns: int, words: int, dir_bytes: int) -> int:
        """Bytes that `format` needs."""
    @classmethod
    def format(cls, memory: Buffer, *, columns: int, words: int, dir_bytes: int) -> StatSegment:
        """Lay a segment out in zeroed memory. Raises WireError when it is too small."""
    @classmethod
    def open(cls, memory: Buffer) -> StatSegment:
        """The segment that was laid out in `memory`. Raises WireError when there is none.

        A segment of a release with another layout or another list of metrics is none.
        """
    def define(self, kind: str, name: str) -> int:
        """Find or add a record; the index of its first word. Raises WireError (limit) when full."""
    def records(self) -> Iterator[tuple[str, str, int, int]]:
        """(kind, name, base, words)."""
    def sum(self, index: int) -> int:
        """Word `index` added up over all columns; IndexError past the end."""
    def get(self, column: int, index: int) -> int:
        """Word `index` of one column; IndexError past the ends."""
    def add(self, index: int, n: int) -> None:
        """Add to word `index` of the common column; IndexError past the end."""
    def change(self, index: int, mask: int, bits: int) -> None:
        """Replace the bits of `mask` in word `index` of the common column; others stay.

        IndexError past the end.
        """
    def set(self, index: int, value: int) -> None:
        """Set word `index` of the common column; IndexError past the end."""
    def take(self, owner: int) -> int:
        """Take a free column for `owner`, not 0. Raises WireError (limit) when there is none."""
    def owner(self, column: int) -> int:
        """Who has taken the column; 0: it is free. IndexError past the end."""
    def release(self, column: int) -> None:
        """Clear the gauges of a column whose writer has ended, and give it back.

        IndexError for the common column and past the end.
        """
    @property
    def columns(self) -> int: ...

@final
class SharedTable:
    """The table that workers share, over a writable buffer, e.g. a mapped memfd.

    Made by `format` or `open`; holds the buffer as long as it lives.
    """

    @classmethod
    def format(cls, memory: Buffer, seed: bytes) -> SharedTable:
        """Lay a table out in zeroed memory, with a secret of 16 bytes. Raises WireError."""
    @classmethod
    def open(cls, memory: Buffer) -> SharedTable:
        """The table that was laid out in `memory`. Raises WireError when there is none."""
    def look(self, now_ns: int) -> tuple[int, int, int, int]:
        """(cells, looked at, alive of those, evictions ever), at a time of the monotonic clock."""

def metric_rows() -> list[tuple[str, str, int, str, str, str, str]]:
    """(kind, kind_label, word, type, family, labels, help) for every metric of base/metric.h."""

def metric_words(kind: str) -> int:
    """Words of one record of the kind, its histogram included."""

def metric_histogram(kind: str) -> int | None:
    """First histogram word of the kind; None when it has none."""

def metric_buckets() -> list[int]:
    """Upper bounds in microseconds, without +Inf."""
