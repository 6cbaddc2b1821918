"""The order of a run, and what a fault of one part does to the others."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import rounds, run, singles
from benchmarks.errors import Unavailable
from benchmarks.peers import everyone


def broken(exc: Exception) -> run.Part:
    def how() -> dict[str, Any]:
        raise exc

    return type(exc).__name__, "singles", "breaks", how


def test_a_part_that_breaks_is_recorded_and_loses_no_other_figure() -> None:
    result: dict[str, Any] = {"scenarios": {}, "singles": {}, "failures": {}}
    sound: run.Part = ("sound", "singles", "works", lambda: {"title": "sound"})
    run.measure([broken(AssertionError("no pair")), broken(Unavailable("gone")), sound], result)
    assert result["singles"] == {"sound": {"title": "sound"}}
    assert result["failures"] == {
        "AssertionError": "AssertionError('no pair')",
        "Unavailable": "gone",
    }


def test_a_column_of_ours_that_is_missing_or_answers_wrongly_is_a_failure() -> None:
    result: dict[str, Any] = {"scenarios": {}, "singles": {}, "failures": {}}
    part = {
        "left_out": {"pyproxy (jwt)": "jwt: 401 instead of 200", "nginx": "gone"},
        "figures": {
            "pyproxy": {"failed": {"median": 0, "low": 0, "high": 2, "n": 3}},
            "nginx": {"failed": {"median": 9, "low": 9, "high": 9, "n": 3}},
            "pyproxy (twenty)": {"failed": {"median": 0, "low": 0, "high": 0, "n": 3}},
        },
    }
    run.measure([("filters", "scenarios", "x", lambda: part)], result)
    assert result["failures"] == {
        "filters": "pyproxy (jwt): jwt: 401 instead of 200; "
        "pyproxy: 2 requests of a round were not answered well"
    }
    assert result["scenarios"]["filters"] is part


def test_only_those_who_serve_in_the_clear_are_started_in_the_clear(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[str] = []

    def note(contenders: dict[str, Any], *_: Any) -> dict[str, Any]:
        taken.extend(contenders)
        return {}

    monkeypatch.setattr(singles, "cold_start", note)
    for name, _, _, how in run.parts([], everyone(), rounds.Settings()):
        if name == "cold-start":
            how()
    assert "pyproxy" in taken
    assert "h2o" not in taken
