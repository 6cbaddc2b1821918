"""Medians, ratios within a round, and A/A noise."""

from __future__ import annotations

import pytest

from benchmarks.stats import Spread, figure, noise, ratio

ROUNDS = [
    {"a": {"cpu": 10.0}, "b": {"cpu": 20.0}, "a2": {"cpu": 10.0}},
    {"a": {"cpu": 20.0}, "b": {"cpu": 20.0}, "a2": {"cpu": 22.0}},
    {"a": {"cpu": 12.0}, "b": {"cpu": 16.0}, "a2": {"cpu": 12.6}},
]


def test_a_spread_is_the_median_with_the_lowest_and_the_highest() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)


def test_a_spread_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="no rounds"):
        Spread.of([])


def test_a_spread_survives_json() -> None:
    s = Spread(2.0, 1.0, 3.0, 3)
    assert Spread.from_json(s.as_json()) == s


def test_a_figure_is_taken_from_the_rounds_that_have_it() -> None:
    assert figure([*ROUNDS, {}], "a", "cpu") == Spread(12.0, 10.0, 20.0, 3)
    assert figure(ROUNDS, "nobody", "cpu") is None


def test_the_ratio_is_the_median_of_ratios_not_the_ratio_of_medians() -> None:
    assert ratio(ROUNDS, "a", "b", "cpu") == Spread(0.75, 0.5, 1.0, 3)


def test_a_ratio_ignores_rounds_that_miss_a_side_or_divide_by_zero() -> None:
    rounds = [*ROUNDS, {"a": {"cpu": 1.0}}, {"a": {"cpu": 1.0}, "b": {"cpu": 0.0}}]
    found = ratio(rounds, "a", "b", "cpu")
    assert found is not None
    assert found.n == 3


def test_noise_is_the_worst_distance_of_a_pair_that_should_be_equal() -> None:
    assert noise(ROUNDS, "a", "a2", "cpu") == pytest.approx(0.1)
    assert noise(ROUNDS, "a", "nobody", "cpu") is None
