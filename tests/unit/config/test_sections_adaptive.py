"""Limits that follow the answers of an upstream, as the file says them."""

from __future__ import annotations

import pytest

from pyproxy.config.load import inspect_texts, loads

FILE = """
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
upstreams: {{app: {{endpoints: "127.0.0.1:1", {more}}}}}
routes: [{{upstream: app}}]
"""


def adaptive(more: str):
    return loads(FILE.format(more=more)).upstreams["app"].adaptive_concurrency


def test_without_a_word_there_is_none() -> None:
    assert adaptive("") is None


def test_the_defaults_are_those_of_envoy() -> None:
    assert adaptive("adaptive_concurrency: {}").numbers() == {
        "least": 3,
        "most": 1000,
        "percentile": 50,
        "window_ms": 100,
        "min_rtt_ms": 60_000,
        "requests": 50,
        "jitter_percent": 15,
        "buffer_percent": 25,
    }


def test_everything_can_be_said() -> None:
    numbers = adaptive(
        "adaptive_concurrency: {min_limit: 1, max_limit: 20, interval: 1s, percentile: 90, "
        "buffer: 10, min_rtt_interval: 5m, min_rtt_requests: 7, jitter: 0}"
    ).numbers()
    assert list(numbers.values()) == [1, 20, 90, 1000, 300_000, 7, 0, 10]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("min_limit: 11, max_limit: 10", "min_limit must not be more than max_limit"),
        ("percentile: 0", "percentile"),
        ("interval: 0", "interval"),
        ("min_rtt_requests: 0", "min_rtt_requests"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, says: str) -> None:
    file = FILE.format(more=f"adaptive_concurrency: {{{text}}}")
    faults = [str(fault) for fault in inspect_texts([("f.yaml", file)]).faults]
    assert len(faults) == 1
    assert says in faults[0]
