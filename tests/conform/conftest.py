"""Scores of conformance programs: tests record them, and the end of the session prints them."""

from __future__ import annotations

import pytest

SCORE = "score"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded as `record_property("score", ...)`, in this process or others."""
    scores = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "call"
        for name, value in report.user_properties
        if name == SCORE
    ]
    if scores:
        terminalreporter.section("conformance")
        for score in sorted(scores):
            terminalreporter.write_line(score)
