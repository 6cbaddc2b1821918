"""Lines of the soak, and how they are shown."""

from __future__ import annotations

import json

import pytest

from benchmarks.soak import report, run
from benchmarks.soak.line import Line, merge
from benchmarks.soak.size import FULL, QUICK

GOOD = Line("a", "upgrades", {"refused": 0, "reset": 0}, {"requests": 12345, "s each": 0.5})
BAD = Line("d", "posts", {"doubled": 0, "lost": 2}, {"upgrades": 5}, ("port 80 idle",))


def test_a_line_is_ok_when_all_its_counts_are_zero_and_there_are_any() -> None:
    assert GOOD.ok
    assert not BAD.ok
    assert not Line("x", "nothing was tried", {}).ok


def test_lines_of_one_key_add_up() -> None:
    again = Line("a", "other words", {"refused": 3, "hung": 1}, {"requests": 1}, ("note",))
    merged = merge([BAD, GOOD, again])
    assert [line.key for line in merged] == ["a", "d"]
    assert merged[0].title == "upgrades"
    assert merged[0].counts == {"refused": 3, "reset": 0, "hung": 1}
    assert merged[0].facts == {"requests": 12346, "s each": 0.5}
    assert merged[0].notes == ("note",)


def test_what_is_not_zero_is_shown_first() -> None:
    assert report.counts(BAD) == "2 lost, 0 doubled"
    assert report.one_line(BAD).startswith("FAIL (d) posts: 2 lost")
    assert "12,345 requests, 0.5 s each" in report.one_line(GOOD)


def test_the_table_tells_the_verdict_and_the_notes_of_failures() -> None:
    text = report.table([GOOD, BAD], {})
    assert "not zero: (d)" in text
    assert "(d) port 80 idle" in text
    assert report.table([GOOD], {}).endswith("every count is zero")


def test_a_line_that_could_not_be_run_is_no_success() -> None:
    text = report.table([GOOD], {"e": "no port"})
    assert "(e) could not be run: no port" in text
    assert "every count is zero" not in text
    assert report.as_json([GOOD], {}, {})["ok"]
    assert not report.as_json([GOOD], {}, {"e": "no port"})["ok"]
    assert not report.as_json([GOOD, BAD], {}, {})["ok"]


def test_the_result_is_plain_values() -> None:
    result = json.loads(json.dumps(report.as_json([GOOD, BAD], {"date": "today"}, {})))
    assert result["date"] == "today"
    assert result["lines"][1]["counts"] == {"doubled": 0, "lost": 2}


def test_the_help_names_every_line(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        run.options(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for key, part in run.PARTS.items():
        assert f"  {key}  {part.title}" in text


def test_lines_can_be_chosen_and_must_exist(capsys) -> None:
    assert run.options(["--only", "a, D"]).only == ["a", "d"]
    with pytest.raises(SystemExit):
        run.options(["--only", "z"])
    assert "no such line: z" in capsys.readouterr().err


def test_each_scenario_runs_once_and_only_what_was_asked_for_is_shown(tmp_path) -> None:
    ran: list[str] = []

    def scenario(setting) -> list[Line]:
        ran.append(setting.folder.name)
        return [GOOD, Line("g", "counters", {"fallen": 0})]

    def broken(setting) -> list[Line]:
        raise OSError("no room")

    parts = {
        "a": run.Part("a", (scenario,)),
        "g": run.Part("g", (scenario,)),
        "x": run.Part("x", (broken,)),
    }
    lines, failures = run.run(["a", "g", "x"], QUICK, tmp_path, parts)
    assert ran == ["scenario"]
    assert [line.key for line in lines] == ["a", "g"]
    assert "no room" in failures["x"]
    (tmp_path / "again").mkdir()
    lines, _ = run.run(["g"], QUICK, tmp_path / "again", parts)
    assert [line.key for line in lines] == ["g"]


def test_quick_does_the_same_less_often() -> None:
    assert QUICK.upgrades < FULL.upgrades
    assert QUICK.first_upgrades < QUICK.all_upgrades
    assert FULL.first_upgrades < FULL.all_upgrades
