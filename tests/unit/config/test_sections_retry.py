"""What is tried again, as the file says it."""

import pytest

from pyproxy.config.load import inspect, loads

FILE = """
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
upstreams: {{app: {{endpoints: ["127.0.0.1:1"], {more}}}}}
routes: [{{upstream: app{route}}}]
"""


def config(more: str, route: str = ""):
    return loads(FILE.format(more=more, route=route))


def faults(tmp_path, more: str) -> list[str]:
    path = tmp_path / "f.yaml"
    path.write_text(FILE.format(more=more, route=""))
    return [str(fault) for fault in inspect(path).faults]


def test_without_a_word_only_what_is_safe_is_tried_again() -> None:
    loaded = config("retries: 2")
    assert loaded.upstreams["app"].retry is None
    assert loaded.routes[0].retry is None


def test_everything_can_be_said() -> None:
    numbers = (
        config(
            "retry: {conditions: [5xx, reset, grpc_unavailable], statuses: [429], "
            "non_idempotent: on, backoff: 10ms, max_backoff: 1s, per_try_timeout: 2s, "
            "max_retry_after: 5s, budget: 10, min_concurrent: 1}"
        )
        .upstreams["app"]
        .retry.numbers()
    )
    assert numbers == {
        "conditions": "5xx,reset,grpc_unavailable,429",
        "non_idempotent": True,
        "base_ms": 10,
        "most_ms": 1000,
        "per_try_ms": 2000,
        "after_ms": 5000,
        "budget_percent": 10,
        "budget_least": 1,
    }


def test_what_is_not_said_is_as_envoy_has_it() -> None:
    numbers = config("retry: {conditions: reset}").upstreams["app"].retry.numbers()
    assert numbers["conditions"] == "reset"
    assert (numbers["base_ms"], numbers["most_ms"]) == (25, 250)
    assert (numbers["budget_percent"], numbers["budget_least"]) == (20, 3)
    assert numbers["non_idempotent"] is False


def test_a_route_may_have_its_own() -> None:
    loaded = config("retry: {conditions: reset}", ", retry: {statuses: 503}")
    assert loaded.routes[0].retry.numbers()["conditions"] == "503"


@pytest.mark.parametrize(
    "retry",
    [
        "conditions: [sometimes]",
        "statuses: [200]",
        "statuses: [600]",
        "budget: 101",
        "backoff: 2h",
        "on: 5xx",
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, retry) -> None:
    assert len(faults(tmp_path, f"retry: {{{retry}}}")) == 1


def test_a_breaker_has_what_it_needs(tmp_path) -> None:
    assert config("retries: 1").upstreams["app"].breaker is None
    numbers = config("breaker: {failures: 5, open: 3s}").upstreams["app"].breaker.numbers()
    assert numbers == {
        "in_a_row": 5,
        "percent": 0,
        "least": 20,
        "window_ms": 10_000,
        "open_ms": 3000,
        "probes": 1,
    }
    assert len(faults(tmp_path, "breaker: {probes: 2}")) == 1
    assert len(faults(tmp_path, "breaker: {failures: 1, failure_percent: 101}")) == 1
    assert len(faults(tmp_path, "breaker: {failures: 1, window: 1ms}")) == 1
