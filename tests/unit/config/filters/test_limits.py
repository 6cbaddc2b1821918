"""The options of the filters that limit."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.filters.limits import parse_rate
from pyproxy.config.load import inspect_texts, loads

BASE = "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - "


@pytest.mark.parametrize(
    ("text", "count", "period"),
    [
        ("100/s", 100, 1000),
        ("5/10m", 5, 600_000),
        (" 1 / 250ms ", 1, 250),
        ("3/1h30m", 3, 5_400_000),
        ("1000000/d", 1_000_000, 86_400_000),
    ],
)
def test_rates(text: str, count: int, period: int) -> None:
    assert parse_rate(text) == (count, period)


@pytest.mark.parametrize(
    "text", ["", "100", "100/", "/s", "0/s", "1/0s", "x/s", "1.5/s", "-1/s", "1/40d", "10001/ms"]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r"rate|duration"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("rate_limit: {}", "4:17: filters[0].rate_limit.rate: one limit or several"),
        (
            "rate_limit: {rate: 1/s, limits: [{rate: 1/s}]}",
            "4:37: filters[0].rate_limit.limits: one limit or several",
        ),
        ("rate_limit: {rate: often}", "4:24: filters[0].rate_limit.rate: "),
        ("rate_limit: {rate: 0/s}", '4:24: filters[0].rate_limit.rate: "0/s" is out of range'),
        ("rate_limit: {rate: 1/s, burst: 0}", "4:36: filters[0].rate_limit.burst: "),
        ("rate_limit: {rate: 1/s, key: ''}", "4:34: filters[0].rate_limit.key: an empty key"),
        (
            "rate_limit: {rate: 1/s, key: '{client.adress}'}",
            "4:34: filters[0].rate_limit.key: there is no variable",
        ),
        (
            "rate_limit: {rate: 1/s, algorithm: fixed_window, queue: 1}",
            "4:61: filters[0].rate_limit.queue: a fixed_window has no queue",
        ),
        (
            "rate_limit: {rate: 1/d, burst: 40}",
            "4:36: filters[0].rate_limit.burst: at this rate, that takes longer",
        ),
        (
            "rate_limit: {limits: [{name: a, rate: 1/s}, {name: a, rate: 2/s}]}",
            "4:34: filters[0].rate_limit.limits[0].name: two limits are called",
        ),
        ("rate_limit: {rate: 1/s, status: 700}", "4:37: filters[0].rate_limit.status: "),
        ("rate_limit: {rate: 1/s, more: 1}", "4:29: filters[0].rate_limit.more: unknown key"),
        ("concurrency_limit: {}", "4:24: filters[0].concurrency_limit"),
        ("concurrency_limit: {max: 0}", "4:30: filters[0].concurrency_limit.max: "),
        (
            "concurrency_limit: {max: 1, content_type: 'a\tb\x7f'}",
            "",
        ),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options: str, fault: str) -> None:
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert faults
    assert str(faults[0]).removeprefix("f.yaml:")[: len(fault)] == fault


@pytest.mark.parametrize(
    "options",
    [
        "rate_limit: {rate: 100/s}",
        "rate_limit: {rate: 100/s, burst: 5, queue: 10, key: '{client.address} {path}'}",
        "rate_limit: {rate: 5/h, algorithm: sliding_window, group: x, headers: off, dry_run: true}",
        "rate_limit: {limits: [{rate: 268435455/d}, {rate: 1/ms}, {rate: 1/24d, key: all}]}",
        "rate_limit: {rate: 10000000/s, missing_key: refuse, on_error: refuse}",
        "concurrency_limit: {max: 16777214, key: route}",
    ],
)
def test_the_data_plane_takes_what_is_right(options: str) -> None:
    compile_snapshot(loads(BASE + options), SnapshotBuilder(), {})


def test_each_use_counts_apart_but_those_of_a_group() -> None:
    places = []

    class Builder(SnapshotBuilder):
        def add_native_filter(self, kind, name, options):
            places.append(options["place"])
            return super().add_native_filter(kind, name, options)

    text = """
    listeners: {w: {bind: "127.0.0.1:0"}}
    filters: [{rate_limit: {rate: 1/s}}]
    routes:
      - name: a
        respond: {}
        filters:
          - {rate_limit: {rate: 1/s}, name: x}
          - {rate_limit: {rate: 1/s}, name: x}
          - {rate_limit: {rate: 1/s, group: g}}
      - respond: {}
        match: {path: /b}
        filters: [{rate_limit: {rate: 1/s, group: g}}, {concurrency_limit: {max: 1}}]
    """
    compile_snapshot(loads(text), Builder(), {})
    assert places == [
        "all 1",
        *("route a 1", "route a 2", "group g"),
        *("group g", "route route-1 1"),
    ]
