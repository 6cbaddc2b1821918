"""Two results side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.compare import differences, main
from unit.benchmarks.result import result, scenario


def pair(before: float, after: float, noise: float | None = 0.03) -> list[str]:
    old = result(small_64=scenario(before, {"relay": 10.0}, noise))
    new = result(small_64=scenario(after, {"relay": 10.0}, noise))
    return [d.word for d in differences(old, new)]


def test_a_difference_within_the_noise_does_not_count() -> None:
    assert pair(10.0, 10.2) == ["within noise"]


def test_a_difference_beyond_the_noise_counts_in_both_directions() -> None:
    assert pair(10.0, 11.0) == ["worse"]
    assert pair(10.0, 9.0) == ["better"]


def test_without_a_pair_the_spread_of_the_rounds_is_the_noise() -> None:
    assert pair(10.0, 10.9, noise=None) == ["within noise"]
    assert pair(10.0, 11.2, noise=None) == ["worse"]


def test_the_relay_is_the_yardstick_where_both_have_it_and_nginx_elsewhere() -> None:
    old = result(a=scenario(8.0, {"relay": 10.0, "nginx": 20.0}), b=scenario(8.0, {"nginx": 10.0}))
    new = result(a=scenario(8.0, {"nginx": 20.0}), b=scenario(8.0, {"nginx": 10.0}))
    assert [(d.scenario, d.yardstick) for d in differences(old, new)] == [
        ("a", "nginx"),
        ("b", "nginx"),
    ]


@pytest.mark.parametrize(("after", "status"), [(10.0, 0), (20.0, 1)])
def test_the_command_fails_only_on_a_regression(tmp_path: Path, after: float, status: int) -> None:
    files = []
    for name, cpu in (("a", 10.0), ("b", after)):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(result(small_64=scenario(cpu, {"relay": 10.0}, 0.02))))
        files.append(str(path))
    assert main(files) == status


def test_results_with_nothing_in_common_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(result()))
    assert main([str(path), str(path)]) == 2
