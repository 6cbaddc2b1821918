"""The exceptions of pyproxy.

One tree, so that `except PyproxyError` catches all that it raises on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Fault(NamedTuple):
    """One thing that is wrong with a configuration: where it stands, what is wrong, and the cure.

    `line` and `column` count from 1; both are 0, and `file` is empty, for a configuration that was
    made by a program. Faults sort by place.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    cure: str = ""

    @property
    def location(self) -> str:
        """`file:line:column`, as editors and terminals link it; empty when there is no file."""
        if not self.file:
            return ""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        parts = [part for part in (self.location, self.path) if part]
        text = ": ".join([*parts, self.message])
        return f"{text}; {self.cure}" if self.cure else text


class PyproxyError(Exception):
    """The root of the tree."""


class ConfigError(PyproxyError):
    """A configuration cannot be used.

    `faults` says why, every reason at once, in the order of the file.
    """

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults: tuple[Fault, ...] = tuple(sorted(faults))
        super().__init__("\n".join(map(str, self.faults)))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[tuple[Fault, ...]]]:
        return type(self), (self.faults,)


class StartError(PyproxyError):
    """The proxy cannot start although its configuration is sound.

    An address in use, a user who is unknown.
    """


class FilterError(PyproxyError):
    """A filter class cannot be used.

    Its module does not import, or it breaks the filter contract.
    """
