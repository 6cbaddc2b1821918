"""Sets of statuses as configurations write them: `404`, `500-599`, `5xx`."""

from __future__ import annotations

import re

_STATUS = re.compile(r"([1-5])xx|([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?")


def status_range(text: str) -> tuple[int, int] | None:
    """The first and the last status that a text names; None: it names none."""
    match = _STATUS.fullmatch(text)
    if match is None:
        return None
    if match[1]:
        return int(match[1]) * 100, int(match[1]) * 100 + 99
    first = int(match[2])
    last = int(match[3] or first)
    return (first, last) if first <= last else None
