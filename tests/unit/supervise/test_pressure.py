"""What is going on at each upstream, put together from what workers count."""

import pytest

from pyproxy._counters import StatSegment, metric_rows
from pyproxy.config.compile import define_stats
from pyproxy.config.load import loads
from pyproxy.supervise.pressure import Pressure

CONFIG = loads(
    """
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams:
  plain: {endpoints: "127.0.0.1:1"}
  tight: {endpoints: "127.0.0.1:1", limits: {requests: 5, pending: 7}}
  weak: {endpoints: "127.0.0.1:1", breaker: {failures: 3}}
  small: {endpoints: {address: "127.0.0.1:1", max_requests: 2}}
routes: [{upstream: plain}]
"""
)
NOW_MS = 1_000_000


@pytest.fixture
def segment():
    memory = bytearray(StatSegment.size(3, 4096, 1 << 14))
    made = StatSegment.format(memory, columns=3, words=4096, dir_bytes=1 << 14)
    define_stats(CONFIG, made)
    return made


def write(segment, upstream: str, family: str, value: int, labels: str = "") -> None:
    """Into the common column, which counts as any other."""
    word = next(
        r[2] for r in metric_rows() if r[0] == "upstream" and (r[4], r[5]) == (family, labels)
    )
    base = next(b for k, n, b, _ in segment.records() if (k, n) == ("upstream", upstream))
    segment.change(base + word, 2**64 - 1, value)


def rows(segment):
    return Pressure(segment, lambda: NOW_MS).rows(CONFIG)


def test_without_limits_there_is_little_to_say(segment) -> None:
    write(segment, "plain", "upstream_connections_active", 4)
    assert rows(segment)["plain"] == {"connections": 4, "retries": 0}


def test_limits_tell_what_is_in_progress_and_what_waits(segment) -> None:
    write(segment, "tight", "upstream_requests_active", 5)
    write(segment, "tight", "upstream_requests_queued", 2)
    write(segment, "tight", "upstream_limited_total", 3, 'cause="queue_timeout"')
    row = rows(segment)["tight"]
    assert (row["active"], row["queued"], row["overflows"], row["timeouts"]) == (5, 2, 0, 3)
    assert (row["limits"]["requests"], row["limits"]["pending"]) == (5, 7)


def test_an_endpoint_with_a_limit_makes_its_upstream_one_with_limits(segment) -> None:
    assert rows(segment)["small"]["limits"]["requests"] == 0


def test_a_breaker_tells_where_and_why_it_is_open(segment) -> None:
    closed = {"open": 0, "half_open": 0}
    expected = {"state": "closed", "workers": closed, "reason": None, "seconds_left": None}
    assert rows(segment)["weak"]["breaker"] == expected
    write(segment, "weak", "upstream_breaker_workers", 1, 'state="half_open"')
    write(segment, "weak", "_upstream_breaker_last", (NOW_MS + 1500) << 8 | 3)
    row = rows(segment)["weak"]["breaker"]
    assert (row["state"], row["reason"], row["seconds_left"]) == (
        "half_open",
        "a probe failed",
        None,
    )
    write(segment, "weak", "upstream_breaker_workers", 2, 'state="open"')
    row = rows(segment)["weak"]["breaker"]
    assert (row["state"], row["seconds_left"]) == ("open", 1.5)
    assert row["workers"] == {"open": 2, "half_open": 1}


def test_an_upstream_without_a_record_has_nothing(segment) -> None:
    memory = bytearray(StatSegment.size(3, 4096, 1 << 14))
    empty = StatSegment.format(memory, columns=3, words=4096, dir_bytes=1 << 14)
    assert Pressure(empty).rows(CONFIG) == {"plain": {}, "tight": {}, "weak": {}, "small": {}}
