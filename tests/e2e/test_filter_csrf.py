"""The filter `csrf` against real traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from testenv import Proxy, Response, filter_example, origin, running


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with origin() as app:
        config = {
            "workers": 1,
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "upstreams": {"app": {"endpoints": app.address}},
            "routes": [
                {
                    "match": {"path": "/example"},
                    "upstream": "app",
                    "filters": filter_example("csrf"),
                },
                {
                    "match": {"path": "/token"},
                    "upstream": "app",
                    "filters": [{"csrf": {"token_secret": "0123456789abcdef" * 2}}],
                },
            ],
        }
        with running(json.dumps(config)) as started:
            yield started


def post(proxy: Proxy, path: str, **headers: str) -> Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return proxy.get(path, method="POST", headers=named, host="a.example:8080")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://a.example:8080"},
        {"origin": "https://app.example"},
        {"origin": "https://b.shop.example", "sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-origin"},
        {"referer": "http://a.example:8080/page"},
    ],
)
def test_pages_of_the_host_and_of_listed_origins_may_ask(
    proxy: Proxy, headers: dict[str, str]
) -> None:
    assert post(proxy, "/example", **headers).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://a.example"},
        {"origin": "\xff" * 5000},
        {"sec_fetch_site": "cross-site"},
        {"referer": "http://evil.example/http://a.example:8080"},
    ],
)
def test_all_others_are_refused(proxy: Proxy, headers: dict[str, str]) -> None:
    answer = post(proxy, "/example", **headers)
    assert (answer.status, json.loads(answer.text)) == (403, {"error": "cross_site_request"})
    assert proxy.get("/example", headers={"origin": "http://evil.example"}).status == 200


def test_a_token_is_handed_out_and_wanted_back(proxy: Proxy) -> None:
    cookie = proxy.get("/token").headers["set-cookie"].partition(";")[0]
    token = cookie.partition("=")[2]
    here = "http://a.example:8080"
    assert post(proxy, "/token", origin=here, cookie=cookie, x_csrf_token=token).status == 200
    answer = post(proxy, "/token", origin=here, cookie=cookie, x_csrf_token=token[:-1])
    assert (answer.status, json.loads(answer.text)) == (403, {"error": "invalid_csrf_token"})
    answer = post(proxy, "/token", origin=here)
    assert answer.status == 403
    assert answer.headers["set-cookie"].startswith("csrf-token=")
