"""Files, functions and modules that fit in a reader's head."""

from __future__ import annotations

from lint.scan import ROOT, Finding, c_files, judge, report

FILE_LINES = 1000
FUNCTION_LINES = 120
COMPLEXITY = 20
MODULE_LINES = 400
LINE_COLUMNS = 100

RULES = {"file-length", "function-length", "complexity", "banned-call", "no-unit-test", "no-fuzz"}


def test_files_are_short() -> None:
    problems = []
    for file in c_files():
        lines = file.text.count("\n")
        findings = [Finding(1, 30, f"{lines} lines, limit {FILE_LINES}")] * (lines > FILE_LINES)
        problems += judge(file, "file-length", findings)
    report(problems)


def test_functions_are_short() -> None:
    problems = []
    for file in c_files():
        findings = [
            Finding(f.first, f.last, f"{f.name} has {length} lines, limit {FUNCTION_LINES}")
            for f in file.functions
            if (length := f.last - f.first + 1) > FUNCTION_LINES
        ]
        problems += judge(file, "function-length", findings)
    report(problems)


def test_functions_are_simple() -> None:
    problems = []
    for file in c_files():
        findings = [
            Finding(f.first, f.last, f"{f.name}: complexity {f.complexity}, limit {COMPLEXITY}")
            for f in file.functions
            if f.complexity > COMPLEXITY
        ]
        problems += judge(file, "complexity", findings)
    report(problems)


def test_lines_are_short() -> None:
    report(
        [
            f"{file.name}:{number}: {len(line)} columns"
            for file in c_files()
            for number, line in enumerate(file.text.splitlines(), 1)
            if len(line) > LINE_COLUMNS
        ]
    )


def test_modules_are_short() -> None:
    report(
        [
            f"{path.relative_to(ROOT)}: {lines} lines, limit {MODULE_LINES}"
            for path in sorted((ROOT / "pyproxy").rglob("*.py"))
            if (lines := path.read_text(encoding="utf-8").count("\n")) > MODULE_LINES
        ]
    )


def test_waivers_name_a_rule() -> None:
    report(
        [
            f"{file.name}:{waiver.line}: no rule '{waiver.rule}'"
            for file in c_files()
            for waiver in file.waivers
            if waiver.rule not in RULES
        ]
    )
