"""The filter `rewrite` against real traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from testenv import OriginRequest, Proxy, Reply, filter_example, origin, running


def echo(request: OriginRequest) -> Reply:
    seen = [request.method, request.target, request.headers["host"]]
    return Reply(body=json.dumps(seen).encode())


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    config = """
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {{endpoints: "{address}"}}}}
    routes:
      - {{match: {{path: "/v1/*"}}, upstream: app, filters: {example}}}
      - match: {{path: "/t/{{tenant}}/*rest"}}
        upstream: app
        filters:
          - rewrite:
              path: "/{{param.rest}}"
              host: "{{param.tenant}}.internal"
              query: {{set: {{tenant: "{{param.tenant}}"}}}}
      - match: {{path: "/method"}}
        upstream: app
        filters: [{{rewrite: {{method: PUT}}, when: {{var: header.x-put, exists: on}}}}]
      - match: {{path: "/both/*"}}
        upstream: app
        rewrite: {{path: "/route{{path}}", host: of-the-route}}
        filters: [{{rewrite: {{strip_prefix: /both, host: of-the-filter, query: {{remove: [a]}}}}}}]
    """
    with origin(echo) as app:
        text = config.format(address=app.address, example=json.dumps(filter_example("rewrite")))
        with running(text) as started:
            yield started


def seen(proxy: Proxy, target: str, **more: str) -> list[str]:
    answer = proxy.get(target, headers={name.replace("_", "-"): v for name, v in more.items()})
    assert answer.status == 200
    found: list[str] = json.loads(answer.text)
    return found


def test_the_example_does_what_it_says(proxy: Proxy) -> None:
    host = "backend.internal"
    assert seen(proxy, "/v1/users/7?debug=1&a=b") == [
        "GET",
        "/api/people/7?a=b&client=127.0.0.1",
        host,
    ]
    assert seen(proxy, "/v1/x.json") == ["GET", "/api/x?client=127.0.0.1", host]


def test_captures_go_into_path_host_and_query(proxy: Proxy) -> None:
    assert seen(proxy, "/t/acme/a/b%20c?tenant=forged&x=1") == [
        "GET",
        "/a/b%20c?x=1&tenant=acme",
        "acme.internal",
    ]


def test_what_comes_out_as_no_host_is_a_bad_request(proxy: Proxy) -> None:
    assert proxy.get("/t/a@b/x").status == 400


def test_the_method_changes_where_the_condition_holds(proxy: Proxy) -> None:
    assert seen(proxy, "/method")[0] == "GET"
    assert seen(proxy, "/method", x_put="1")[0] == "PUT"


def test_the_routes_own_rewrite_comes_after_it(proxy: Proxy) -> None:
    assert seen(proxy, "/both/x?a=1&b=2") == ["GET", "/route/x?b=2", "of-the-filter"]
