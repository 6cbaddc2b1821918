"""Files that the options of filters name."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pyproxy.config.section import Section

MOST_BYTES = 1 << 20


def absolute(section: Section, path: str) -> Path:
    """A path of a section, relative to the folder of the configuration."""
    file = section.place.file
    folder = Path(file).parent if file not in ("", "-") else Path()
    return Path(os.path.abspath(folder / path))


def read_text(section: Section, path: str) -> str:
    """What a file holds. ValueError with `what; cure`."""
    at = absolute(section, path)
    try:
        # Not a pipe, which would have to be waited for.
        if not stat.S_ISREG(at.stat().st_mode):
            raise ValueError(f"{at} is not a file; name a file")
        data = at.read_bytes()
    except OSError as error:
        raise ValueError(f"{at} cannot be read: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise ValueError(f"{at} is too large; a page has at most 1 MiB")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{at} is not UTF-8 text") from None
