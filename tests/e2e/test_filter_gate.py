"""`when` of filters against real traffic: native ones and Python's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from testenv import OriginRequest, Proxy, Reply, origin, running

MODULE = """
from pyproxy import Filter, Reply

class Stop(Filter):
    def request(self, exchange):
        return Reply(403, body="stopped")

class Note(Filter):
    def request(self, exchange):
        exchange.request.headers["x-mode"] = "changed"
    def response(self, exchange):
        exchange.response.headers["x-noted"] = "1"

class Upper(Filter):
    def response_body(self, exchange, chunk, last):
        return chunk.upper()
    def request_body(self, exchange, chunk, last):
        return chunk.upper()

def is_tester(exchange):
    return exchange.request.headers.get("x-user") == "tester"
"""
CONFIG = """
workers: 1
listeners: {web: {bind: "127.0.0.1:0"}}
filters:
  - headers: {response: {set: {x-mobile: "1"}}}
    when: {var: header.user-agent, contains: Mobile}
routes:
  - match: {path: /stop}
    respond: {}
    filters:
      - python: {use: "filt:Stop"}
        when: {any: [{var: query.stop, exists: on}, {var: method, equals: DELETE}]}
  - match: {path: /once}
    respond: {}
    filters:
      - python: {use: "filt:Note"}
        when: {var: header.x-mode, equals: note}
  - match: {path: /python}
    respond: {}
    filters:
      - headers: {response: {set: {x-tester: "1"}}}
        when: {python: "filt:is_tester"}
  - match: {path: /body}
    upstream: app
    filters:
      - python: {use: "filt:Upper"}
        when: {var: query.upper, exists: on}
upstreams: {app: {endpoints: [$app]}}
"""


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    def framed(request: OriginRequest) -> Reply:
        """How the request's body came, and the body."""
        return Reply(body=f"{request.headers.get('content-length')} ".encode() + request.body)

    with (
        origin(framed) as app,
        running(CONFIG.replace("$app", app.address), files={"filt.py": MODULE}) as started,
    ):
        yield started


def test_a_filter_takes_part_only_where_its_condition_holds(proxy: Proxy) -> None:
    assert "x-mobile" not in proxy.get("/stop").headers
    assert proxy.get("/stop", headers={"User-Agent": "X Mobile"}).headers["x-mobile"] == "1"


def test_a_class_of_ones_own_may_have_a_condition(proxy: Proxy) -> None:
    assert proxy.get("/stop").status == 200
    assert proxy.get("/stop?stop").status == 403
    assert proxy.get("/stop", method="DELETE").status == 403


def test_the_answer_holds_for_all_phases(proxy: Proxy) -> None:
    assert proxy.get("/once", headers={"X-Mode": "note"}).headers["x-noted"] == "1"
    assert "x-noted" not in proxy.get("/once").headers


def test_a_condition_may_be_in_python(proxy: Proxy) -> None:
    assert proxy.get("/python", headers={"X-User": "tester"}).headers["x-tester"] == "1"
    assert "x-tester" not in proxy.get("/python").headers


def test_a_body_filter_that_takes_no_part_costs_no_content_length(proxy: Proxy) -> None:
    asis = proxy.get("/body", method="POST", body=b"abc")
    assert asis.headers["content-length"] == str(len("3 abc"))
    assert asis.text == "3 abc"
    filtered = proxy.get("/body?upper", method="POST", body=b"abc")
    assert filtered.headers["transfer-encoding"] == "chunked"
    assert filtered.text == "NONE ABC"
