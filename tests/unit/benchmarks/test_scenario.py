"""Scenario files and the order of measurements."""

from __future__ import annotations

import pytest

from benchmarks.goals import GOALS
from benchmarks.peers import everyone
from benchmarks.scenario import load_all, parse, slots, turn

TEXT = """
[[scenario]]
name = "one"
title = "One"
connections = 8
contenders = ["relay", "pyproxy", "nginx"]
routes = [1, 10000]
again = true
"""


def test_the_scenarios_of_the_tree_can_be_read_and_name_known_contenders() -> None:
    everybody = everyone()
    for scenario in load_all():
        assert set(scenario.contenders) <= everybody.keys()
        assert any(scenario.flavour in everybody[c].flavours for c in scenario.contenders)


def test_scenario_names_are_unique() -> None:
    names = [s.name for s in load_all()]
    assert len(names) == len(set(names))
    assert GOALS


@pytest.mark.parametrize(
    ("line", "message"),
    [("colour = 'red'", "unknown keys: colour"), ("", "missing")],
)
def test_a_bad_scenario_is_refused_with_its_place(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        parse(f'[[scenario]]\nname = "x"\n{line}\n', "bad.toml")
    assert "bad.toml: scenario 1 (x)" in str(caught.value)


def test_slots_cover_route_counts_and_repeat_only_the_subject() -> None:
    (scenario,) = parse(TEXT, "x.toml")
    keys = [s.key for s in slots(scenario, ["pyproxy", "nginx"], "pyproxy")]
    assert keys == [
        "pyproxy",
        "pyproxy (again)",
        "pyproxy (10,000 routes)",
        "nginx",
        "nginx (10,000 routes)",
    ]


def test_a_set_of_filters_is_a_column() -> None:
    text = """
[[scenario]]
name = "filters"
title = "x"
connections = 1
contenders = ["pyproxy"]
sets = ["", "twenty"]
again = true
"""
    (scenario,) = parse(text, "x.toml")
    found = slots(scenario, ["pyproxy"], "pyproxy")
    assert [(s.key, s.set) for s in found] == [
        ("pyproxy", ""),
        ("pyproxy (twenty)", "twenty"),
        ("pyproxy (again)", ""),
    ]


def test_every_slot_is_first_in_some_round() -> None:
    (scenario,) = parse(TEXT, "x.toml")
    order = slots(scenario, ["relay", "pyproxy", "nginx"], "pyproxy")
    assert {turn(order, i)[0].key for i in range(len(order))} == {s.key for s in order}
    assert turn([], 3) == []
