"""What is done about overload, as the file says it."""

from __future__ import annotations

import pytest

from pyproxy.config.load import inspect_texts, loads

BASE = """
listeners: {web: {bind: "127.0.0.1:0"}}
routes: [{name: health, respond: {}}, {respond: {}}]
"""


def overload_of(text: str):
    return loads(f"{BASE}overload: {{{text}}}").overload


def faults_of(text: str) -> list[str]:
    return [str(f) for f in inspect_texts([("f.yaml", f"{BASE}overload: {{{text}}}")]).faults]


def test_without_a_word_nothing_is_looked_at() -> None:
    assert loads(BASE).overload is None


def test_thresholds_are_bytes_and_microseconds() -> None:
    text = (
        "memory: {limit: 100MB, stop_keep_alive: 80, shed: 90}, "
        "loop_lag: {stop_keep_alive: 20ms, shed: 1s}, exempt: [health]"
    )
    numbers = overload_of(text).numbers()
    assert numbers == {"memory": (80_000_000, 90_000_000), "loop_lag": (20_000, 1_000_000)}


def test_one_thing_can_be_looked_at_alone() -> None:
    assert overload_of("loop_lag: {}").numbers() == {
        "memory": (0, 0),
        "loop_lag": (50_000, 200_000),
    }
    only_shed = overload_of("memory: {limit: 1000, stop_keep_alive: 0, shed: 90}")
    assert only_shed.numbers() == {"memory": (0, 900), "loop_lag": (0, 0)}


def test_a_limit_that_is_not_known_yet_is_never_reached() -> None:
    assert overload_of("memory: {}").numbers()["memory"] == (0, 0)


def test_routes_without_a_name_have_one() -> None:
    assert faults_of("loop_lag: {}, exempt: [route-1]") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", 'nothing is looked at; add "memory: {}", "loop_lag: {}" or both'),
        ("memory: {stop_keep_alive: 96}", "stop_keep_alive must not be more than shed"),
        ("memory: {shed: 101}", "101"),
        ("loop_lag: {stop_keep_alive: 300ms}", "stop_keep_alive must not be more than shed"),
        ("loop_lag: {stop_keep_alive: off, shed: off}", "must be more than 0"),
        ("loop_lag: {}, exempt: [helth]", 'there is no route "helth"; did you mean "health"?'),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, says: str) -> None:
    faults = faults_of(text)
    assert len(faults) == 1
    assert says in faults[0]
