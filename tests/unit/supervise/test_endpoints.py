"""What is said of endpoints while they serve."""

import pytest

from pyproxy._counters import StatSegment, metric_rows
from pyproxy.config.compile import define_stats
from pyproxy.config.load import loads
from pyproxy.supervise.endpoints import EJECTED, UNHEALTHY, Endpoints, OrderError, UnknownEndpoint

FILE = """
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams:
  app:
    endpoints:
      - 127.0.0.1:1
      - {address: 127.0.0.1:2, weight: 3, drain: true}
      - {address: 127.0.0.1:3, backup: true}
routes: [{upstream: app}]
"""
CONFIG = loads(FILE)
FIRST, SECOND, THIRD = "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"


def segment_of(config, words=4096):
    columns = 3
    memory = bytearray(StatSegment.size(columns, words, 1 << 14))
    segment = StatSegment.format(memory, columns=columns, words=words, dir_bytes=1 << 14)
    define_stats(config, segment)
    return segment


@pytest.fixture
def segment():
    return segment_of(CONFIG)


@pytest.fixture
def endpoints(segment):
    return Endpoints(segment)


def changes(segment) -> int:
    word = next(r[2] for r in metric_rows() if r[4] == "endpoint_changes_total")
    base = next(base for kind, _, base, _ in segment.records() if kind == "supervisor")
    return segment.sum(base + word)


def base_of(segment, address: str) -> int:
    return next(base for _, name, base, _ in segment.records() if name == f"app/{address}")


def state_word() -> int:
    return next(r[2] for r in metric_rows() if r[4] == "endpoint_state")


def row(endpoints, address):
    return next(r for r in endpoints.rows(CONFIG)["app"] if r["address"] == address)


def test_rows_are_as_configured_at_first(endpoints) -> None:
    assert endpoints.rows(CONFIG)["app"] == [
        {
            "address": address,
            "weight": weight,
            "tier": tier,
            "state": state,
            "reasons": reasons,
            "active": 0,
            "requests": 0,
        }
        for address, weight, tier, state, reasons in (
            (FIRST, 1, 0, "ready", []),
            (SECOND, 3, 0, "drain", ["drain"]),
            (THIRD, 1, 1, "ready", []),
        )
    ]


def test_orders_change_the_words_and_announce_it(endpoints, segment) -> None:
    done = endpoints.order(CONFIG, "app", FIRST, state="down", weight=7)
    assert (done["state"], done["weight"], done["reasons"]) == ("down", 7, ["down"])
    assert row(endpoints, FIRST) == done
    assert changes(segment) == 1
    endpoints.order(CONFIG, "app", FIRST, state="ready")
    assert (row(endpoints, FIRST)["state"], row(endpoints, FIRST)["weight"]) == ("ready", 7)
    endpoints.order(CONFIG, "app", FIRST, weight=0)
    assert row(endpoints, FIRST)["weight"] == 1
    assert changes(segment) == 3


def test_ready_overrules_the_configuration_until_it_is_told_otherwise(endpoints) -> None:
    endpoints.order(CONFIG, "app", SECOND, state="ready")
    assert row(endpoints, SECOND)["state"] == "ready"
    endpoints.order(CONFIG, "app", SECOND, state="configured")
    assert row(endpoints, SECOND)["state"] == "drain"


def test_other_authors_are_not_disturbed(endpoints, segment) -> None:
    segment.change(base_of(segment, FIRST) + state_word(), 12, UNHEALTHY | EJECTED)
    endpoints.order(CONFIG, "app", FIRST, state="drain")
    assert row(endpoints, FIRST)["reasons"] == ["drain", "unhealthy", "ejected"]
    assert row(endpoints, FIRST)["state"] == "ejected"
    endpoints.order(CONFIG, "app", FIRST, state="configured")
    assert row(endpoints, FIRST)["reasons"] == ["unhealthy", "ejected"]


@pytest.mark.parametrize(
    ("error", "upstream", "address", "order", "said"),
    [
        (UnknownEndpoint, "b", FIRST, {"weight": 1}, 'no upstream "b"'),
        (UnknownEndpoint, "app", "c:1", {"weight": 1}, 'has no endpoint "c:1"'),
        (OrderError, "app", FIRST, {"state": "tired"}, '"tired" is no state'),
        (OrderError, "app", FIRST, {"weight": 65_536}, "a weight is from 1"),
        (OrderError, "app", FIRST, {"weight": -1}, "a weight is from 1"),
    ],
)
def test_what_cannot_be_done_is_told(
    endpoints, segment, error, upstream, address, order, said
) -> None:
    with pytest.raises(error, match=said):
        endpoints.order(CONFIG, upstream, address, **order)
    assert changes(segment) == 0


def test_an_endpoint_without_a_record_cannot_be_changed() -> None:
    other = loads(FILE.replace("127.0.0.1:1", "127.0.0.1:9"))
    endpoints = Endpoints(segment_of(other))
    with pytest.raises(OrderError, match="no room"):
        endpoints.order(CONFIG, "app", FIRST, weight=2)
    assert endpoints.rows(CONFIG)["app"][0]["state"] == "ready"
    assert "active" not in endpoints.rows(CONFIG)["app"][0]


def test_what_comes_again_is_as_configured(endpoints, segment) -> None:
    without = loads(FILE.replace("      - 127.0.0.1:1\n", ""))
    for address in (FIRST, THIRD):
        endpoints.order(CONFIG, "app", address, state="down", weight=5)
    endpoints.forget(CONFIG, without)
    assert row(endpoints, FIRST)["state"] == "down"
    before = changes(segment)
    endpoints.forget(without, CONFIG)
    assert changes(segment) == before + 1
    assert (row(endpoints, FIRST)["state"], row(endpoints, FIRST)["weight"]) == ("ready", 1)
    assert (row(endpoints, THIRD)["state"], row(endpoints, THIRD)["weight"]) == ("down", 5)
