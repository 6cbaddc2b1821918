"""Things that a test has from `with` to the end of its block."""

from __future__ import annotations

from types import TracebackType
from typing import Self

__all__ = ["Lasting"]


class Lasting:
    """Started by `with`, and closed at its end, whatever happens; both can be called as well."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin; nothing, where it has begun when it is made."""

    def close(self) -> None:
        """End; more than once is fine."""
        raise NotImplementedError
