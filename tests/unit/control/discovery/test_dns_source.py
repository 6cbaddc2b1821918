"""The parts of asking name servers that need none."""

import random

import pytest

from pyproxy.config.sections_discovery import DnsSource
from pyproxy.control.discovery.base import Found
from pyproxy.control.discovery.dns_source import DnsWatch, divided, pause


def section(**more):
    return DnsSource(name="app.test", port=80, servers=("127.0.0.1:1",), **more)


@pytest.mark.parametrize(
    ("targets", "weights"),
    [
        ([(3, 1), (1, 1)], [3, 1]),
        ([(0, 1), (0, 1)], [1, 1]),  # all alike
        ([(10, 1), (0, 1)], [10, 1]),  # hardly ever
        ([(1, 2), (1, 1)], [30, 60]),  # a target has its weight, however many addresses
        ([(65_535, 2), (65_535, 1)], [32_767, 65_535]),
        ([(1, 0), (1, 3)], [60, 20]),
        ([(2, 200)], [1]),
    ],
)
def test_weights_of_services(targets, weights):
    assert divided(targets) == weights


def test_the_next_question_comes_a_little_early_and_within_bounds():
    rng = random.Random(1)
    bounded = section(min_ttl_ms=1000, max_ttl_ms=60_000)
    for ttl, least, most in ((0, 0.9, 1), (10, 9, 10), (86_400, 54, 60)):
        pauses = [pause(bounded, ttl, rng) for _ in range(100)]
        assert least <= min(pauses) < max(pauses) <= most


def test_more_than_the_bound_is_left_out_and_told_once(caplog):
    watch = DnsWatch(section(max_endpoints=2))
    found = [Found(f"10.0.0.{n}:80") for n in range(5)]
    caplog.set_level("WARNING", logger="pyproxy")
    assert watch._bounded(found) == watch._bounded(found) == found[:2]
    assert watch._bounded(found[:1]) == found[:1]
