"""The filter `response_rewrite` against real traffic."""

from __future__ import annotations

import gzip
import json

import pytest

from testenv import OriginRequest, Proxy, Reply, filter_example, origin, running

PAGE = (b'<a href="http://inside.example/x">x</a>' + b"." * 1000) * 3000
TEXTS = {"Content-Type": "text/html; charset=utf-8", "ETag": '"e"'}


def answer(request: OriginRequest) -> Reply:
    if request.path.endswith("/gzip"):
        body = gzip.compress(b"http://inside.example/")
        return Reply(headers={**TEXTS, "Content-Encoding": "gzip"}, body=body)
    if request.path.endswith("/long"):
        return Reply(headers=TEXTS, body=PAGE)
    if request.path.endswith("/image"):
        return Reply(headers={"Content-Type": "image/png"}, body=b"http://inside.example/")
    if request.path.endswith("/404"):
        return Reply(status=404, headers=TEXTS, body=b"<!--secret-->")
    return Reply(headers=TEXTS, body=b'<!--secret--><a href="http://inside.example/a">')


@pytest.fixture(scope="module")
def proxy() -> Proxy:
    config = """
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {{endpoints: "{address}"}}}}
    routes:
      - {{match: {{path: "/example/*"}}, upstream: app, filters: {example}}}
      - match: {{path: "/stream/*"}}
        upstream: app
        filters:
          - response_rewrite:
              replace: [{{text: "http://inside.example", with: "https://{{query.to}}"}}]
      - match: {{path: "/whole/*"}}
        upstream: app
        filters:
          - response_rewrite:
              status: 4xx
              set_status: 200
              type: text/html
              body: "<p>{{path}}</p>"
    """
    with origin(answer) as app:
        example = json.dumps(filter_example("response_rewrite"))
        with running(config.format(address=app.address, example=example)) as started:
            yield started


def test_the_example_does_what_it_says(proxy: Proxy) -> None:
    page = proxy.get("/example/a", host="out.example")
    assert page.text == '<a href="https://out.example/a">'
    assert page.headers["x-rewritten"] == "yes"
    assert page.headers["etag"] == 'W/"e"'


def test_long_bodies_are_changed_as_they_stream(proxy: Proxy) -> None:
    page = proxy.get("/stream/long?to=b")
    assert page.body == PAGE.replace(b"http://inside.example", b"https://b")
    assert page.headers["transfer-encoding"] == "chunked"


def test_what_is_put_in_is_no_markup(proxy: Proxy) -> None:
    assert "https://&lt;b&gt;/a" in proxy.get("/stream/a?to=%3Cb%3E").text


def test_other_bodies_pass_as_they_are(proxy: Proxy) -> None:
    image = proxy.get("/example/image")
    assert image.body == b"http://inside.example/"
    assert image.headers["content-length"] == "22"
    assert gzip.decompress(proxy.get("/example/gzip").body) == b"http://inside.example/"
    missing = proxy.get("/example/404")
    assert (missing.status, missing.body) == (404, b"<!--secret-->")
    assert "x-rewritten" not in missing.headers


def test_the_whole_body_and_the_status_are_replaced(proxy: Proxy) -> None:
    page = proxy.get("/whole/404")
    assert (page.status, page.text) == (200, "<p>/whole/404</p>")
    assert page.headers["content-type"] == "text/html"
    assert "etag" not in page.headers


def test_a_body_over_the_limit_is_refused(proxy: Proxy) -> None:
    answer = proxy.get("/example/long")
    assert (answer.status, json.loads(answer.text)["error"]) == (502, "upstream_body_too_large")
