"""The filter `key_auth` against real traffic."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testenv import OriginRequest, Proxy, Reply, filter_example, origin, running


def echo(request: OriginRequest) -> Reply:
    seen = {"target": request.target, "headers": request.headers}
    return Reply(body=json.dumps(seen).encode())


@pytest.fixture(scope="module")
def proxy() -> Proxy:
    config = """
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {{endpoints: "{address}"}}}}
    access_log: {{format: "{{request.path}} {{request.header.x-consumer}}"}}
    routes:
      - {{name: example, match: {{path: "/example"}}, upstream: app, filters: {example}}}
      - name: cookie
        match: {{path: /cookie}}
        upstream: app
        filters:
          - key_auth: {{keys: {{a: k}}, header: "", cookie: key, anonymous: nobody,
                        hide_credentials: yes, realm: here, consumer_header: x-who}}
    """
    with origin(echo) as app:
        text = config.format(address=app.address, example=json.dumps(filter_example("key_auth")))
        with running(text) as started:
            yield started


def test_who_shows_a_key_is_its_consumer(proxy: Proxy) -> None:
    for key, consumer in (("k-7d1c4f", "shop"), ("k-old", "reports"), ("k-new", "reports")):
        answer = proxy.get("/example", headers={"X-API-Key": key, "X-Consumer": "root"})
        headers = json.loads(answer.text)["headers"]
        assert headers["x-consumer"] == consumer
        assert "x-api-key" not in headers


def test_a_key_in_the_query_does_not_go_on(proxy: Proxy) -> None:
    seen = json.loads(proxy.get("/example?a=1&api%5Fkey=k-old&b=%41").text)
    assert seen["target"] == "/example?a=1&b=%41"
    assert json.loads(proxy.get("/example?api_key=k-old").text)["target"] == "/example"


@pytest.mark.parametrize(
    ("path", "headers", "word"),
    [
        ("/example", {}, "missing_key"),
        ("/example", {"x-consumer": "shop"}, "missing_key"),
        ("/example", {"x-api-key": ""}, "invalid_key"),
        ("/example", {"x-api-key": "k-7d1c4"}, "invalid_key"),
        ("/example", {"x-api-key": "shop"}, "invalid_key"),
        ("/example", {"x-api-key": "k-old", "X-Api-Key": "k-old"}, "invalid_key"),
        ("/example", {"x-api-key": "x" * 8000}, "invalid_key"),
        ("/example?api_key=k-old&api_key=k-new", {}, "invalid_key"),
        ("/example?api_key=%zz", {}, "invalid_key"),
    ],
)
def test_all_others_are_refused(
    proxy: Proxy, path: str, headers: dict[str, str], word: str
) -> None:
    answer = proxy.get(path, headers=headers)
    assert (answer.status, json.loads(answer.text)) == (401, {"error": word})
    assert answer.headers["www-authenticate"] == 'ApiKey realm="pyproxy"'


def test_a_cookie_does_as_well_and_others_stay(proxy: Proxy) -> None:
    seen = json.loads(proxy.get("/cookie", headers={"cookie": "a=1; key=k; b=2"}).text)
    assert seen["headers"]["x-who"] == "a"
    assert seen["headers"]["cookie"] == "a=1; b=2"
    assert (
        "cookie"
        not in json.loads(proxy.get("/cookie", headers={"cookie": "key=k"}).text)["headers"]
    )


def test_who_shows_none_may_be_let_in_under_a_name(proxy: Proxy) -> None:
    seen = json.loads(proxy.get("/cookie", headers={"x-who": "a"}).text)
    assert seen["headers"]["x-who"] == "nobody"
    answer = proxy.get("/cookie", headers={"cookie": "key=x"})
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'ApiKey realm="here"'


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(key=st.text(st.characters(min_codepoint=0x21, max_codepoint=0xFF)))
def test_no_other_key_lets_in(proxy: Proxy, key: str) -> None:
    assert proxy.get("/example", headers={"x-api-key": key}).status in (400, 401)
