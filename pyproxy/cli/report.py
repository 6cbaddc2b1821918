"""Faults for people: each with its line of the file, and a caret under the place."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from pyproxy.errors import Fault

_WIDTH = 120


def print_faults(faults: Iterable[Fault], stream: TextIO) -> None:
    """Print every fault and how many there are."""
    lines: dict[str, list[str]] = {}
    count = 0
    for fault in faults:
        count += 1
        stream.write(f"{fault}\n{excerpt(fault, lines)}")
    stream.write(f"{count} fault{'' if count == 1 else 's'}\n")


def excerpt(fault: Fault, lines: dict[str, list[str]]) -> str:
    """The line of the fault and a caret below it; empty when it cannot be read.

    `lines` caches files.
    """
    if not fault.line:
        return ""
    if fault.file not in lines:
        try:
            lines[fault.file] = Path(fault.file).read_text("utf-8", errors="replace").splitlines()
        except OSError:
            lines[fault.file] = []
    if fault.line > len(lines[fault.file]):
        return ""
    text = lines[fault.file][fault.line - 1].replace("\t", " ")
    column = fault.column - 1
    start = max(column - _WIDTH // 2, 0) if len(text) > _WIDTH else 0
    number = str(fault.line)
    margin = " " * len(number)
    return f"  {number} | {text[start : start + _WIDTH]}\n  {margin} | {' ' * (column - start)}^\n"
