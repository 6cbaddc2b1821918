"""The libraries of `pyproxy run`, imported without what they load and a start never uses.

Only the command does this, in a process of its own whose cold start is measured; a program that
imports pyproxy gets the libraries as they are.
"""

from __future__ import annotations

import re
import sys
from typing import Any


def import_libraries() -> None:
    """Import msgspec and yaml, 11 ms sooner than they would be.

    msgspec looks for typing_extensions (3 ms), which since Python 3.11 has nothing for it that
    `typing` lacks: while the entry is None, msgspec takes `typing`. And both, with what they
    import, compile patterns (8 ms, 5 of them for yaml's reader in Python, which libyaml replaces):
    while `re.compile` is replaced, they get patterns that are compiled when they are first used.
    """
    compile_now = re.compile
    known = sys.modules.get("typing_extensions")
    re.compile = _Pattern  # type: ignore[assignment]
    if known is None:
        sys.modules["typing_extensions"] = None  # type: ignore[assignment]
    try:
        import msgspec  # noqa: F401
        import yaml  # noqa: F401
    finally:
        re.compile = compile_now
        if known is None:
            del sys.modules["typing_extensions"]


class _Pattern:
    """Looks like a compiled pattern, and is compiled when it is first asked for something."""

    def __init__(self, pattern: Any, flags: int = 0) -> None:
        self._source = (pattern, flags)

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(*self._source), name)
        setattr(self, name, found)  # the next one need not come here
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return re.compile, self._source  # copies are the real thing

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        # What isinstance sees: `re.match` and the like take only what they know.
        return re.Pattern
