"""Headers are the documentation: exported functions have comments, files say what they are."""

from __future__ import annotations

import re

from lint.scan import CFile, c_files, report

# A declaration at the left margin that is exported: not static, not a macro, not a type.
EXPORTED = re.compile(
    r"^(?!static\b|typedef\b|#|struct\s+\w+\s*\{|enum\b)[a-z_A-Z][^;{}#]*?\bpp_\w+\s*\("
)


def is_documented(lines: list[str], index: int) -> bool:
    """True when the declaration at <index> has a comment above, maybe one for its group."""
    if "/*" in lines[index] or "//" in lines[index]:
        return True
    for line in reversed(lines[:index]):
        text = line.strip()
        if text.endswith("*/"):
            return True
        if not text or text.startswith("#") or text.endswith("}"):
            return False
    return False


def undocumented(file: CFile) -> list[str]:
    """The exported declarations of a header that nothing explains."""
    lines = file.text.splitlines()
    return [
        f"{file.name}:{index + 1}: no comment above: {lines[index].strip()}"
        for index, line in enumerate(file.code.splitlines())
        if EXPORTED.match(line) and not is_documented(lines, index)
    ]


def test_exported_functions_are_documented() -> None:
    report([problem for file in c_files(".h") for problem in undocumented(file)])


def test_files_begin_with_what_they_are_for() -> None:
    report(
        [
            f"{file.name}:1: does not begin with a comment"
            for file in c_files()
            if file.path.suffix == ".h" or not file.path.with_suffix(".h").exists()
            if not file.text.startswith("/*")
        ]
    )
