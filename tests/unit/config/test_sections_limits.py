"""Limits of an upstream, as the file says them."""

import pytest

from pyproxy.config.load import inspect, loads

FILE = """
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
upstreams: {{app: {{endpoints: ["127.0.0.1:1"], {more}}}}}
routes: [{{upstream: app}}]
"""


def limits(more: str):
    return loads(FILE.format(more=more)).upstreams["app"].limits


def test_without_a_word_there_is_no_limit() -> None:
    assert not limits("retries: 1").admits
    assert not limits("limits: {max_fields: 10}").admits
    assert limits("limits: {max_fields: 10}").numbers()["max_fields"] == 10


def test_a_limit_has_a_queue_unless_told_otherwise() -> None:
    few = limits("limits: {requests: 5}")
    assert few.admits
    others = {"connections": 0, "retries": 0}
    assert few.admission() == {"requests": 5, "pending": 1024, "queue_ms": 5000, **others}
    none = limits("limits: {requests: 5, pending: 0, queue_timeout: 200ms}")
    assert none.admission() == {"requests": 5, "pending": 0, "queue_ms": 200, **others}


def test_each_limit_stands_alone() -> None:
    for name in ("requests", "connections", "retries"):
        one = limits(f"limits: {{{name}: 3}}")
        assert one.admits
        assert one.admission()[name] == 3


def test_endpoints_have_limits_of_their_own() -> None:
    text = FILE.replace(
        '"127.0.0.1:1"', '"127.0.0.1:1", {{address: "127.0.0.1:2", max_requests: 4}}'
    )
    upstream = loads(text.format(more="retries: 1")).upstreams["app"]
    assert upstream.is_limited
    assert not upstream.limits.admits
    assert upstream.endpoints[0].role == {}
    assert upstream.endpoints[1].role == {"max_requests": 4}


@pytest.mark.parametrize(
    "bad", ["requests: -1", "pending: x", "queue_timeout: 0", "queue_timeout: 2h", "max: 1"]
)
def test_what_makes_no_sense_is_refused(tmp_path, bad: str) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(FILE.format(more=f"limits: {{{bad}}}"))
    assert len(inspect(path).faults) == 1
