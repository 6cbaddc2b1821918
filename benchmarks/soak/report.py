"""The result of a run as text for people and as plain values for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.soak.line import Line


def one_line(line: Line) -> str:
    """A line as it is shown as soon as it is known."""
    verdict = "ok  " if line.ok else "FAIL"
    return f"{verdict} ({line.key}) {line.title}: {counts(line)}{_facts(line)}"


def counts(line: Line) -> str:
    """`0 lost, 0 doubled`; what is not zero comes first."""
    ordered = sorted(line.counts.items(), key=lambda item: item[1] == 0)
    return ", ".join(f"{n} {name}" for name, n in ordered) or "nothing was counted"


def _facts(line: Line) -> str:
    return f"  [{', '.join(fact(n, v) for n, v in line.facts.items())}]" if line.facts else ""


def fact(name: str, value: float | str) -> str:
    """`12,345 requests`, or `after 1.5 s` for what is no number."""
    if isinstance(value, str):
        return f"{name} {value}"
    return f"{value:,.1f} {name}" if isinstance(value, float) else f"{value:,} {name}"


def table(lines: Sequence[Line], failures: Mapping[str, str]) -> str:
    """All lines under each other, then the verdict, and what helps to find causes."""
    rows = [("", "line", "must be zero", "meanwhile")]
    for line in lines:
        facts = ", ".join(fact(n, v) for n, v in line.facts.items())
        rows.append(
            ("ok" if line.ok else "FAIL", f"({line.key}) {line.title}", counts(line), facts)
        )
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True)).rstrip()
        for row in rows
    ]
    text.insert(1, "-" * max(len(line) for line in text))
    failed = [f"({line.key})" for line in lines if not line.ok]
    text += [f"({key}) could not be run: {why}" for key, why in failures.items()]
    if failed:
        text.append(f"not zero: {', '.join(failed)}")
    elif not failures:
        text.append("every count is zero")
    for line in lines:
        text += [f"({line.key}) {note}" for note in line.notes if not line.ok]
    return "\n".join(text)


def as_json(
    lines: Sequence[Line], about: Mapping[str, Any], failures: Mapping[str, str]
) -> dict[str, Any]:
    """The result file."""
    return {
        "schema": 1,
        **about,
        "ok": all(line.ok for line in lines) and not failures,
        "lines": [line.as_json() for line in lines],
        "failures": dict(failures),
    }
