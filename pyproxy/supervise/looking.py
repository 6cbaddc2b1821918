"""How the files that a service is made of look from outside: that they changed is seen there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from pyproxy.config.load import files_of

__all__ = ["Look", "look_of"]

# File -> what changes whenever it does. None: it is not there.
Look = dict[str, tuple[int, int, int] | None]


def look_of(source: str, more: Iterable[str] = ()) -> Look | None:
    """The files of a configuration, and <more>; None: one of the former is missing just now."""
    look: Look = {}
    try:
        for file in files_of(source):
            look[str(file)] = _look(file)
    except OSError:
        return None
    for name in more:
        try:
            look[name] = _look(Path(name))
        except OSError:
            look[name] = None
    return look


def _look(file: Path) -> tuple[int, int, int]:
    seen = file.stat()
    return seen.st_ino, seen.st_size, seen.st_mtime_ns
