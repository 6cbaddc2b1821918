"""Header fields as they went over the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Fields"]


class Fields(Mapping[str, str]):
    """Fields by their name in any case, in their order.

    The value of a name that has several fields is the first; `get_all` has every one, `pairs` the
    whole list.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self.pairs = list(pairs)

    def __getitem__(self, name: str) -> str:
        for other, value in self.pairs:
            if other.lower() == name.lower():
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self.pairs))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self.pairs})

    def get_all(self, name: str) -> list[str]:
        """The values of every field of that name."""
        return [value for other, value in self.pairs if other.lower() == name.lower()]

    def __repr__(self) -> str:
        return f"Fields({self.pairs!r})"
