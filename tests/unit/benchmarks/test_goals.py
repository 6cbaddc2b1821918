"""Verdicts on results."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.goals import GOALS, Verdict, judge, number
from unit.benchmarks.result import result, scenario, spread


def verdict(found: dict[str, Any], beginning: str) -> Verdict:
    (one,) = [v for v in judge(found) if v.text.startswith(beginning)]
    return one


def test_every_goal_has_a_verdict_even_when_nothing_was_measured() -> None:
    verdicts = judge(result())
    assert len(verdicts) == len(GOALS)
    assert {v.word for v in verdicts} == {"not measured"}


@pytest.mark.parametrize(("cpu", "word"), [(8.7, "met"), (8.9, "missed")])
def test_a_ratio_is_met_up_to_its_limit(cpu: float, word: str) -> None:
    found = result(small_64=scenario(cpu, {"nginx": 10.0}))
    assert verdict(found, "small keep-alive, 64 clients: CPU per request ÷ nginx's").word == word


def test_a_peer_that_is_missing_leaves_its_goal_not_measured() -> None:
    found = result(small_64=scenario(8.0, {"nginx": 10.0}))
    assert verdict(found, "small keep-alive, 64 clients: CPU per request ÷ Envoy's").got is None


def test_the_best_peer_is_the_one_with_the_least_cpu_and_never_the_relay() -> None:
    found = result(down_1m=scenario(90.0, {"relay": 50.0, "nginx": 120.0, "haproxy": 100.0}))
    got = verdict(found, "1 MiB responses").got
    assert got is not None
    assert got.median == pytest.approx(0.9)


def test_a_goal_may_be_a_lower_limit() -> None:
    found = result()
    found["micros"] = {"parser_ratio": spread(3.5), "parser_c_ratio": spread(2.9)}
    assert verdict(found, "request-head parser, bytes/s").word == "met"
    assert verdict(found, "request-head parser in C").word == "missed"


def test_memory_is_judged_in_the_unit_of_its_goal() -> None:
    found = result()
    figures = {"idle_connection_bytes": 600.0, "start_bytes": 31 * 1048576}
    found["singles"]["memory"] = {"figures": {"pyproxy": figures}}
    assert verdict(found, "memory for each idle").word == "met"
    assert verdict(found, "one worker after start").word == "missed"


@pytest.mark.parametrize(
    ("lost", "refused", "other", "word"),
    [(10, 0, 0, "met"), (11, 0, 0, "missed"), (0, 1, 0, "missed"), (0, 0, 1, "missed")],
)
def test_only_what_was_in_a_killed_workers_hands_may_be_lost(
    lost: int, refused: int, other: int, word: str
) -> None:
    found = result()
    mode = {"in_hand": 10, "lost": lost, "refused": refused, "other_errors": other}
    found["singles"]["kill"] = {"figures": {"keep-alive": mode}}
    assert verdict(found, "kill -9").word == word


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.876, "0.88"), (12.34, "12.3"), (700.0, "700"), (1234.5, "1,234"), (1048576.0, "1048576")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert number(value).replace(",", "") == text.replace(",", "")


def test_what_filters_add_is_a_difference_within_a_round() -> None:
    found = result(filters=scenario(20.0, {}))
    assert verdict(found, "20 native filters").word == "not measured"
    found["scenarios"]["filters"]["rounds"] = [
        {"pyproxy": {"cpu_us": base}, "pyproxy (twenty)": {"cpu_us": base + more}}
        for base, more in ((10.0, 1.0), (20.0, 1.5), (30.0, 2.5))
    ]
    got = verdict(found, "20 native filters").got
    assert got is not None
    assert got.median == pytest.approx(1.5)
    assert verdict(found, "JSON Web Token").word == "not measured"
