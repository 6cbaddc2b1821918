"""Quantities as people write them: durations, sizes, file modes.

Each parser returns an int or raises ValueError. The sentences of the ValueErrors have the form
`what is wrong; the cure`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, NamedTuple

from msgspec import Meta

MAX_DURATION_MS = 2**31 - 1
MAX_SIZE = 2**62

_DURATION_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_SIZE_UNITS = {
    "TiB": 2**40, "GiB": 2**30, "MiB": 2**20, "KiB": 2**10, "B": 1,
    "TB": 10**12, "GB": 10**9, "MB": 10**6, "KB": 10**3, "kB": 10**3,
}  # fmt: skip
_NUMBER_UNIT = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)")
_OFF = ("0", "off", "none", "unlimited")


def parse_duration(text: str) -> int:
    """Milliseconds of `250ms`, `1.5s`, `5m`, `1h30m`, `2d`; 0 for `0` and `off`."""
    text = text.strip()
    if text in _OFF:
        return 0
    total, at = 0.0, 0
    for part in _NUMBER_UNIT.finditer(text):
        number, unit = part.groups()
        if part.start() != at or unit not in _DURATION_UNITS:
            break
        total += float(number) * _DURATION_UNITS[unit]
        at = part.end()
    if at != len(text) or not text:
        hint = f"{text}s" if text.isdecimal() else "250ms, 30s, 5m or 1h"
        raise ValueError(f'"{text}" is not a duration; write a number and its unit, such as {hint}')
    if not 1 <= total <= MAX_DURATION_MS:
        raise ValueError(f'"{text}" is out of range; a duration is 1ms to 24d, or 0')
    return round(total)


def parse_size(text: str) -> int:
    """Bytes of `16KiB`, `1MiB`, `1.5GiB`, `10MB` or a plain number; 0 for `unlimited`."""
    text = text.strip()
    if text in _OFF:
        return 0
    match = _NUMBER_UNIT.fullmatch(text)
    unit = (match[2] or "B") if match else ""
    if match is None or unit not in _SIZE_UNITS:
        cure = "write bytes or a number and its unit, such as 16KiB or 1MiB"
        raise ValueError(f'"{text}" is not a size; {cure}')
    size = float(match[1]) * _SIZE_UNITS[unit]
    if size != int(size):
        raise ValueError(f'"{text}" is not a whole number of bytes; write it in a smaller unit')
    if size > MAX_SIZE:
        raise ValueError(f'"{text}" is out of range; a size is at most 4194304TiB')
    return int(size)


def parse_mode(text: str) -> int:
    """Permission bits of an octal file mode such as `0660`."""
    digits = text.strip().removeprefix("0o")
    if not re.fullmatch(r"[0-7]{3,4}", digits) or int(digits, 8) > 0o777:
        cure = 'write permission bits in octal, such as "0660"'
        raise ValueError(f'"{text}" is not a file mode; {cure}')
    return int(digits, 8)


def format_duration(ms: int) -> str:
    """The shortest way to write so many milliseconds; `parse_duration` reads it back."""
    for unit, factor in _DURATION_UNITS.items():
        if ms and ms % factor == 0:
            return f"{ms // factor}{unit}"
    return "0"


def format_size(size: int) -> str:
    """The shortest way to write so many bytes; `parse_size` reads it back."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _SIZE_UNITS[unit] == 0:
            return f"{size // _SIZE_UNITS[unit]}{unit}"
    return str(size)


def format_mode(mode: int) -> str:
    """Octal with a leading zero."""
    return f"{mode:04o}"


class Unit(NamedTuple):
    """How a quantity is read, written and published."""

    parse: Callable[[str], int]
    format: Callable[[int], str]
    schema: dict[str, Any]


# A type names its unit in the `extra` of its Meta. The words are understood in the configuration
# file and in the `Config` of filters alike.
UNITS = {
    "duration": Unit(
        parse_duration,
        format_duration,
        {
            "anyOf": [
                {"type": "string", "pattern": r"^(0|(\d+(\.\d+)? ?(ms|s|m|h|d))+)$"},
                {"enum": [0, False, "off", "none", "unlimited"]},
            ]
        },
    ),
    "size": Unit(
        parse_size,
        format_size,
        {
            "anyOf": [
                {"type": "string", "pattern": r"^\d+(\.\d+)? ?(B|[KMGT]iB|[kKMGT]B)?$"},
                {"type": "integer", "minimum": 0},
                {"enum": [False, "off", "none", "unlimited"]},
            ]
        },
    ),
    "mode": Unit(
        parse_mode,
        format_mode,
        {"anyOf": [{"type": "string", "pattern": "^(0o?)?[0-7]{3}$"}, {"type": "integer"}]},
    ),
}

Duration = Annotated[int, Meta(extra={"unit": "duration"})]
"""Milliseconds, written `250ms`, `30s`, `5m`, `1h`."""

Size = Annotated[int, Meta(extra={"unit": "size"})]
"""Bytes, written `16KiB`, `1MiB` or as a plain number."""

FileMode = Annotated[int, Meta(extra={"unit": "mode"})]
"""Permission bits, written in octal such as "0660"."""
