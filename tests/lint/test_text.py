"""Rules for every text of the project: no private places, no loose ends, no dead links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lint.scan import ROOT, report
from lint.tree import tracked_files

# Each written in two parts, so that this file does not break its own rule.
PRIVATE = [
    "".join(parts)
    for parts in (
        ("/wo", "rk/"),
        ("../sha", "red"),
        ("pypi", ".org"),
        ("python", "hosted.org"),
        ("crates", ".io"),
        ("npmjs", ".org"),
        ("golang", ".org"),
        ("rubygems", ".org"),
    )
]
# A lock file names its index by necessity, or modules after hosts.
GENERATED = {"Cargo.lock", "go.mod", "go.sum"}
BINARY = {".png", ".ico", ".woff2", ".gz", ".bin", ".so", ".o"}
OPEN_ENDS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b(?!.*#\d+)")
LINK = re.compile(r"(?<!!)\[[^\]\n]*\]\(([^)\s]+)\)|!\[[^\]\n]*\]\(([^)\s]+)\)")


def texts() -> list[tuple[Path, str]]:
    """Every text file of the project."""
    found = []
    for path in tracked_files():
        if path.suffix not in BINARY and path.name not in GENERATED:
            try:
                found.append((path, path.read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue  # raw bytes on purpose: corpora and fixtures
    return found


def hits(text: str, needle: str) -> list[int]:
    """The line numbers where <needle> stands."""
    return [n for n, line in enumerate(text.splitlines(), 1) if needle in line]


@pytest.mark.parametrize("needle", PRIVATE)
def test_no_private_places(needle: str) -> None:
    report(
        [
            f"{path.relative_to(ROOT)}:{line}: mentions {needle}"
            for path, text in texts()
            if needle in text
            for line in hits(text, needle)
        ]
    )


def test_open_ends_name_an_issue() -> None:
    report(
        [
            f"{path.relative_to(ROOT)}:{number}: {found.group(1)} without an issue number"
            for path, text in texts()
            if path.suffix in (".c", ".h", ".py", ".pyx", ".pxd", ".md") and path != Path(__file__)
            for number, line in enumerate(text.splitlines(), 1)
            if (found := OPEN_ENDS.search(line))
        ]
    )


def test_links_in_documents_lead_somewhere() -> None:
    problems = []
    for path, text in texts():
        if path.suffix != ".md" or "data" in path.parts:
            continue
        for match in LINK.finditer(text):
            place = (match.group(1) or match.group(2)).partition("#")[0]
            is_file = place and "://" not in place and not place.startswith("mailto:")
            if is_file and not (path.parent / place).exists():
                line = text.count("\n", 0, match.start()) + 1
                problems.append(f"{path.relative_to(ROOT)}:{line}: no {place}")
    report(problems)


def test_text_files_end_with_a_newline() -> None:
    report(
        [
            f"{path.relative_to(ROOT)}: no newline at the end"
            for path, text in texts()
            if text and not text.endswith("\n") and not {"data", "fuzz"} & set(path.parts)
        ]
    )
