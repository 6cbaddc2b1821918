"""The options of the filters that limit."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.filters import packages
from pyproxy.config.filters.limits import parse_rate
from pyproxy.config.filters.redis_options import Redis
from pyproxy.config.load import inspect_texts, loads
from pyproxy.filters.chain import bind_filters

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
    ("redis", "fault"),
    [
        ("{}", '"url" is missing'),
        ("localhost:6379", ": this is no address of Redis; write redis://HOST"),
        ("http://a:1", ": this is no address of Redis"),
        ("'redis://'", ": this is no address of Redis"),
        ("redis://a:70000", ": this is no address of Redis"),
        ("redis://a:0", ": this is no address of Redis"),
        ("redis://a/b", ": this is no address of Redis"),
        ("'redis://a?db=1'", ": this is no address of Redis"),
        ("redis://a/10000000", ": this is no address of Redis"),
        ("'redis://[a'", ": this is no address of Redis"),
        ("unix://a/b", ": this is no address of Redis"),
        ("'unix:///a?more=1'", ": this is no address of Redis"),
        ("{url: redis://:a@b, password: c}", "password: there is a password in the url already"),
        ("{url: redis://b, username: c}", "username: who logs in needs a password"),
        ("{url: redis://b, ca: c.pem}", "ca: nothing is signed without TLS; write rediss://"),
        ("{url: rediss://b, ca: /nowhere/c.pem}", "ca: /nowhere/c.pem cannot be read"),
        ("{url: redis://b, timeout: 0}", "timeout: "),
        ("{url: redis://b, timeout: 1h}", "timeout: "),
        ("{url: redis://b, on_failure: pray}", "on_failure: "),
        ("{url: redis://b, more: 1}", "more: unknown key"),
    ],
)
def test_what_is_no_redis(redis: str, fault: str) -> None:
    text = f"{BASE}rate_limit: {{rate: 1/s, redis: {redis}}}"
    _, faults = inspect_texts([("f.yaml", text)])
    assert len(faults) == 1
    assert "filters[0].rate_limit.redis" in str(faults[0])
    assert fault in str(faults[0])


def test_redis_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda _name: None)
    text = f"{BASE}rate_limit: {{rate: 1/s, redis: redis://a}}"
    _, faults = inspect_texts([("f.yaml", text)])
    cure = "this filter needs the package redis; pip install 'pyproxy[redis]'"
    assert [str(fault).partition("redis: ")[2] for fault in faults] == [cure]
    assert inspect_texts([("f.yaml", f"{BASE}rate_limit: {{rate: 1/s}}")])[1] == []


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ({"url": "redis://a"}, {"tls": False, "host": "a", "port": 6379, "db": 0}),
        ({"url": "rediss://[::1]:7/3"}, {"tls": True, "host": "::1", "port": 7, "db": 3}),
        ({"url": "unix:///run/r.sock?db=2"}, {"path": "/run/r.sock", "db": 2}),
        (
            {"url": "redis://u:p%40@a", "prefix": "x"},
            {
                "tls": False,
                "host": "a",
                "port": 6379,
                "db": 0,
                "username": "u",
                "password": "p@",
            },
        ),
        (
            {"url": "unix:///r", "username": "u", "password": "p"},
            {"path": "/r", "db": 0, "username": "u", "password": "p"},
        ),
    ],
)
def test_how_a_redis_is_reached(given: dict[str, str], made: dict[str, object]) -> None:
    assert Redis(**given).connection() == made


def test_a_limit_in_redis_has_a_native_one_that_stands_in() -> None:
    added: list[tuple[str, str]] = []

    class Builder(SnapshotBuilder):
        def add_filter(self, name, phases, **more):
            added.append(("python", ",".join(phases)))
            return super().add_filter(name, phases, **more)

        def add_native_filter(self, kind, name, options):
            added.append((kind, options["place"]))
            return super().add_native_filter(kind, name, options)

    for redis in ("redis://a", "{url: redis://a, on_failure: allow}"):
        text = f"{BASE}rate_limit: {{rate: 1/s, redis: {redis}, headers: off}}"
        config = loads(text)
        compile_snapshot(config, Builder(), bind_filters(config))
    assert added == [("python", "request"), ("rate_limit", "all 1"), ("python", "request")]


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
