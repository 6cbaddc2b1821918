"""Reading compiled objects: the symbols that each C source defines and needs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lint.scan import ROOT


@dataclass(frozen=True)
class Symbol:
    """One row of an object's symbol table."""

    name: str
    section: str
    is_global: bool

    @property
    def is_undefined(self) -> bool:
        """True when another object or a library must define it."""
        return self.section == "*UND*"

    @property
    def is_writable(self) -> bool:
        """True for storage that changes at run time; relocated constants are not."""
        if self.section.startswith(".data.rel.ro"):
            return False
        return self.section.startswith((".data", ".bss", ".tdata", ".tbss", "*COM*"))


@dataclass(frozen=True)
class Object:
    """One compiled C source."""

    folder: str
    stem: str
    suffix: str
    symbols: tuple[Symbol, ...]

    @property
    def name(self) -> str:
        """Folder and file name of the source."""
        return f"{self.folder}/{self.stem}{self.suffix}"


def symbols_of(path: Path) -> tuple[Symbol, ...]:
    """The symbol table of an object; sections, files and the like left out."""
    command = ["objdump", "-t", str(path)]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = []
    for line in table.splitlines():
        # "0000000000000000 l     O .bss\t0000000000000004 name":
        # value, 7 flag letters, section, size, name.
        left, tab, right = line.partition("\t")
        if not tab or len(left) < 26:
            continue
        flags, section = left[17:24], left[25:].strip()
        words = right.split()
        if len(words) < 2 or flags[5] in "dD" or (flags[6] in "fF" and section == "*ABS*"):
            continue
        rows.append(Symbol(words[-1], section, flags[0] in "gu!" or section == "*UND*"))
    return tuple(rows)


@cache
def core_objects() -> tuple[Object, ...]:
    """The release objects of every C source, brought up to date first."""
    command = [sys.executable, "setup.py", "-q", "build_objects"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return tuple(
        Object(source.parent.name, source.stem, source.suffix, symbols_of(compiled))
        for source in sorted((ROOT / "csrc").glob("*/*.c*"))
        if (
            compiled := ROOT / "build/obj/release" / source.parent.name / f"{source.stem}.o"
        ).exists()
    )
