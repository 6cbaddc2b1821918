"""The filter `headers` against real traffic."""

from __future__ import annotations

import json

import pytest

from testenv import OriginRequest, Proxy, Reply, filter_example, origin, running


def echo(request: OriginRequest) -> Reply:
    headers = {"X-Powered-By": "magic", "X-Frame-Options": "SAMEORIGIN"}
    return Reply(body=json.dumps(request.headers).encode(), headers=headers)


@pytest.fixture(scope="module")
def proxy() -> Proxy:
    config = """
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {{endpoints: "{address}"}}}}
    filters:
      - headers: {{response: {{set: {{x-common: "{{route}}"}}}}}}
    routes:
      - {{name: example, match: {{path: /example}}, upstream: app, filters: {example}}}
      - name: own
        match: {{path: "/own/{{id}}"}}
        upstream: app
        filters:
          - headers: {{request: {{set: {{host: inside, x-id: "{{param.id}}"}}}}}}
            name: own
          - {{headers: , enabled: off}}
      - {{name: answer, match: {{path: /answer}}, respond: {{status: 404}}}}
      - name: order
        match: {{path: /order}}
        upstream: app
        filters:
          - {{headers: {{request: {{add: {{x-order: second}}}}}}, name: b, priority: 1}}
          - {{headers: {{request: {{add: {{x-order: first}}}}}}, name: a, priority: 2}}
    """
    with origin(echo) as app:
        text = config.format(address=app.address, example=json.dumps(filter_example("headers")))
        with running(text) as started:
            yield started


def test_the_example_does_what_it_says(proxy: Proxy) -> None:
    answer = proxy.get("/example?x=1", headers={"X-Debug": "1", "X-Client": "forged"})
    seen = json.loads(answer.text)
    assert "x-debug" not in seen
    assert (seen["x-client"], seen["x-wants"]) == ("127.0.0.1", "GET /example")
    assert "x-powered-by" not in answer.headers
    assert answer.headers["x-frame-options"] == "DENY"
    assert [value for name, value in answer.fields if name == "set-cookie"] == ["a=1", "b=2"]
    assert answer.headers["cache-control"] == "no-store"


def test_values_are_taken_from_the_request(proxy: Proxy) -> None:
    answer = proxy.get("/own/a%20b")
    seen = json.loads(answer.text)
    assert seen["host"] == "inside"
    assert seen["x-id"] in ("a b", "a%20b")
    assert "x-common" not in answer.headers


def test_the_filters_of_all_routes_see_every_answer(proxy: Proxy) -> None:
    assert proxy.get("/answer").headers["x-common"] == "answer"
    assert proxy.get("/nowhere").headers["x-common"] == "-"
    assert proxy.get("/order").headers["x-common"] == "order"


def test_a_routes_filter_takes_the_place_of_that_of_all_routes(proxy: Proxy) -> None:
    assert "x-common" not in proxy.get("/example").headers


def test_the_higher_priority_comes_first(proxy: Proxy) -> None:
    assert json.loads(proxy.get("/order").text)["x-order"] == "first, second"
