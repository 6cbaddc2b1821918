"""Reading C sources the way the rules need it: includes, bare code, functions, waivers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import lizard

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"

PURE = ("base", "wire", "route")
FOLDERS = (*PURE, "io", "proxy", "worker")

# Comments, string and character literals: what blank() empties.
_OPAQUE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
_WAIVER = re.compile(r"waive\(([a-z-]+)\):?\s*(.*?)\s*(?:\*/|$)", re.MULTILINE)


def blank(text: str) -> str:
    """<text> with comments and literals replaced by spaces; offsets and line numbers stay."""
    return _OPAQUE.sub(lambda found: re.sub(r"[^\n]", " ", found.group()), text)


@dataclass(frozen=True)
class Include:
    """One #include line."""

    line: int
    name: str
    system: bool


@dataclass(frozen=True)
class Function:
    """One function definition, as lizard measures it."""

    name: str
    first: int
    last: int
    complexity: int


@dataclass(frozen=True)
class Waiver:
    """A comment `waive(<rule>): <reason>` in a source."""

    line: int
    rule: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """One violation of a rule, at a range of lines."""

    first: int
    last: int
    text: str


class CFile:
    """One C source or header."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path.relative_to(ROOT))
        self.text = path.read_text(encoding="utf-8")

    @property
    def folder(self) -> str:
        """The csrc folder that the file is in."""
        return self.path.parent.name

    @property
    def stem(self) -> str:
        """The file's name without suffix."""
        return self.path.stem

    @cached_property
    def code(self) -> str:
        """The text without comments and literals."""
        return blank(self.text)

    def line_at(self, offset: int) -> int:
        """The line number of a character offset."""
        return self.text.count("\n", 0, offset) + 1

    @cached_property
    def includes(self) -> list[Include]:
        """All include lines in order."""
        return [
            Include(self.line_at(found.start()), found.group(2), found.group(1) == "<")
            for found in _INCLUDE.finditer(self.text)
        ]

    @cached_property
    def functions(self) -> list[Function]:
        """All function definitions."""
        measured = lizard.analyze_file.analyze_source_code(str(self.path), self.text)
        return [
            Function(f.name, f.start_line, f.end_line, f.cyclomatic_complexity)
            for f in measured.function_list
        ]

    @cached_property
    def waivers(self) -> list[Waiver]:
        """All waivers that the file's comments grant."""
        return [
            Waiver(self.line_at(found.start()), found.group(1), found.group(2))
            for found in _WAIVER.finditer(self.text)
        ]


@cache
def c_files(*suffixes: str) -> tuple[CFile, ...]:
    """All sources and headers of csrc, or those with the given suffixes."""
    wanted = suffixes or (".c", ".h")
    return tuple(
        CFile(path)
        for folder in FOLDERS
        for path in sorted((CSRC / folder).iterdir())
        if path.suffix in wanted
    )


def judge(file: CFile, rule: str, findings: list[Finding]) -> list[str]:
    """The findings that no waiver excuses, and the waivers that excuse nothing or give no reason.

    A waiver stands inside the range of its finding, or at most three lines above.
    """
    waivers = [waiver for waiver in file.waivers if waiver.rule == rule]
    used = set()
    problems = []
    for finding in findings:
        near = [w for w in waivers if finding.first - 3 <= w.line <= finding.last]
        used.update(near)
        if not near:
            problems.append(f"{file.name}:{finding.first}: {finding.text}")
    for waiver in waivers:
        if waiver not in used:
            problems.append(f"{file.name}:{waiver.line}: waive({rule}) excuses nothing; remove it")
        elif len(waiver.reason) < 15:
            problems.append(f"{file.name}:{waiver.line}: waive({rule}) needs a reason")
    return problems


def report(problems: list[str]) -> None:
    """Fail with one problem per line."""
    assert not problems, "\n" + "\n".join(problems)
