"""A file as it is now, to be compared with how it was when it was read."""

from __future__ import annotations

import os

from pyproxy.config.sections_tls import FileLook


def look_of(path: str) -> FileLook:
    """Wherever links lead; all zero when it cannot be found."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return FileLook(path, 0, 0, 0)
    return FileLook(path, found.st_ino, found.st_size, found.st_mtime_ns)
