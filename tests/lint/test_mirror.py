"""Tests mirror the tree: every source has its white-box test, every decoder its fuzz target."""

from __future__ import annotations

import re

from lint.scan import ROOT, CFile, Finding, c_files, judge, report

# A function of these verbs reads bytes that came from the network.
DECODER = re.compile(r"\bpp_\w+_(feed|parse|decode)\s*\(")


def has_unit_test(file: CFile) -> bool:
    """True when a test of the file's folder includes the source, by name or as part of a module."""
    folder = ROOT / "tests" / "c" / file.folder
    if (folder / f"test_{file.stem}.c").exists():
        return True
    line = re.compile(rf'^#include "[^"]*\b{file.folder}/{file.path.name}"', re.MULTILINE)
    return any(line.search(path.read_text(encoding="utf-8")) for path in folder.glob("test_*.c"))


def test_every_source_has_a_unit_test() -> None:
    problems = []
    for file in c_files(".c"):
        missing = [Finding(1, 30, f"no tests/c/{file.folder}/test_{file.stem}.c")] * (
            not has_unit_test(file)
        )
        problems += judge(file, "no-unit-test", missing)
    report(problems)


def stems_under(name: str) -> list[str]:
    """The stems of sources that a test of that name may be of: test_loop_timers may be loop's."""
    words = name.removeprefix("test_").split("_")
    return ["_".join(words[:n]) for n in range(len(words), 0, -1)]


def test_every_unit_test_has_a_source() -> None:
    report(
        [
            f"{path.relative_to(ROOT)}: there is no csrc/{path.parent.name}/{stems[0]}.c or .h"
            for path in sorted((ROOT / "tests" / "c").glob("*/test_*.c"))
            if (stems := stems_under(path.stem))
            and not any(
                (ROOT / "csrc" / path.parent.name / f"{stem}{suffix}").exists()
                for stem in stems
                for suffix in (".c", ".h")
            )
        ]
    )


def test_every_decoder_has_a_fuzz_target() -> None:
    problems = []
    for header in c_files(".h"):
        if header.folder != "wire" or not (found := DECODER.search(header.code)):
            continue
        target = ROOT / "tests" / "fuzz" / f"fuzz_{header.stem}.c"
        line = header.line_at(found.start())
        missing = [Finding(line, line, f"no {target.relative_to(ROOT)}")] * (not target.exists())
        problems += judge(header, "no-fuzz", missing)
    report(problems)
