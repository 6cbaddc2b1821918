"""The filter `cors` against real traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from testenv import Origin, OriginRequest, Proxy, Reply, filter_example, origin, running

EXAMPLE = json.dumps(filter_example("cors"))

SITE = "https://app.example.com"


def answer(request: OriginRequest) -> Reply:
    headers = {"Access-Control-Allow-Origin": "https://theirs.example", "Vary": "Accept, Cookie"}
    return Reply(headers=headers, body=request.method.encode())


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Proxy, Origin]]:
    with origin(answer) as app:
        config = f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams: {{app: {{endpoints: "{app.address}"}}}}
        routes:
          - {{match: {{path: /example}}, upstream: app, filters: {EXAMPLE}}}
          - match: {{path: /any}}
            upstream: app
            filters: [{{cors: {{origins: ["*"], headers: ["*"], max_age: 0}}}}]
          - match: {{path: /own}}
            respond: {{status: 403}}
            filters: [{{cors: {{origins: ["{SITE}", "null"]}}}}]
        """
        with running(config) as started:
            yield started, app


@pytest.fixture
def proxy(shared) -> Proxy:
    return shared[0]


def preflight(proxy: Proxy, path: str, site: str = SITE, **more: str):
    fields = {"Origin": site, "Access-Control-Request-Method": "DELETE", **more}
    return proxy.get(path, method="OPTIONS", headers=fields)


def of_cors(response) -> dict[str, str]:
    start = "access-control-"
    return {n.removeprefix(start): v for n, v in response.headers.items() if n.startswith(start)}


def test_a_preflight_is_answered_here(shared) -> None:
    proxy, app = shared
    before = len(app.requests)
    response = preflight(proxy, "/example")
    assert (response.status, response.body) == (204, b"")
    assert of_cors(response) == {
        "allow-origin": SITE,
        "allow-credentials": "true",
        "allow-methods": "GET, POST, DELETE",
        "allow-headers": "authorization, content-type",
        "max-age": "600",
        "expose-headers": "x-request-id",
    }
    assert response.headers["vary"] == "Origin"
    assert len(app.requests) == before


def test_a_preflight_of_another_site_is_refused(proxy: Proxy) -> None:
    for site in ("https://evil.example", f"{SITE}.evil.example", "http://app.example.com", "null"):
        response = preflight(proxy, "/example", site)
        assert response.status == 403
        assert of_cors(response) == {}
        assert response.headers["vary"] == "Origin"


def test_answers_say_who_may_read_them(proxy: Proxy) -> None:
    for site in (SITE, "https://pr-7.preview.example.com"):
        response = proxy.get("/example", headers={"Origin": site})
        assert of_cors(response) == {
            "allow-origin": site,
            "allow-credentials": "true",
            "expose-headers": "x-request-id",
        }
        assert response.headers["vary"] == "Accept, Cookie, Origin"


def test_what_the_origin_server_says_of_it_is_replaced(proxy: Proxy) -> None:
    for headers in ({}, {"Origin": "https://evil.example"}):
        response = proxy.get("/example", headers=headers)
        assert response.status == 200
        assert of_cors(response) == {}
        assert response.headers["vary"] == "Accept, Cookie, Origin"


def test_an_answer_for_every_origin_does_not_vary(proxy: Proxy) -> None:
    response = proxy.get("/any", headers={"Origin": "https://x.example"})
    assert of_cors(response) == {"allow-origin": "*"}
    assert response.headers["vary"] == "Accept, Cookie"
    response = preflight(proxy, "/any", **{"Access-Control-Request-Headers": "x-a, x-b"})
    assert of_cors(response) == {
        "allow-origin": "*",
        "allow-methods": "GET, HEAD, POST",
        "allow-headers": "x-a, x-b",
        "max-age": "0",
    }
    assert response.headers["vary"] == "access-control-request-headers"


def test_options_without_a_preflight_goes_on(proxy: Proxy) -> None:
    response = proxy.get("/example", method="OPTIONS", headers={"Origin": SITE})
    assert (response.status, response.text) == (200, "OPTIONS")


def test_answers_of_the_proxys_own_can_be_read_too(proxy: Proxy) -> None:
    response = proxy.get("/own", headers={"Origin": "null"})
    assert (response.status, of_cors(response)) == (403, {"allow-origin": "null"})
