"""The filter `error_pages` against real traffic."""

from __future__ import annotations

import json

import pytest

from testenv import OriginRequest, Proxy, Reply, filter_example, origin, running


def answer(request: OriginRequest) -> Reply:
    status = int(request.path.rsplit("/", 1)[1])
    headers = {"X-Kept": "1", "ETag": '"a"', "Content-Type": "text/x", "Retry-After": "7"}
    return Reply(status=status, headers=headers, body=b"the origin's own " * 5000)


@pytest.fixture(scope="module")
def proxy() -> Proxy:
    config = """
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {{endpoints: "{address}"}}, gone: {{endpoints: "127.0.0.1:1"}}}}
    filters:
      - error_pages: {{pages: [{{status: 5xx, text: "[{{error}}] {{detail}}"}}]}}
    routes:
      - {{match: {{path: "/example/*"}}, upstream: app, filters: {example}}}
      - {{match: {{path: "/own/*"}}, upstream: app}}
      - {{match: {{path: /gone}}, upstream: gone}}
      - {{match: {{path: /respond}}, respond: {{status: 503, body: as I said}}}}
    """
    with origin(answer) as app:
        text = config.format(address=app.address, example=json.dumps(filter_example("error_pages")))
        with running(text) as started:
            yield started


def test_the_example_does_what_it_says(proxy: Proxy) -> None:
    page = proxy.get("/example/404", headers={"Accept": "text/html, */*;q=0.5"}, host="h")
    assert page.status == 404
    assert page.text == "<h1>Nothing here</h1><p>There is no /example/404 at h.</p>"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["vary"] == "Accept"
    assert page.headers["x-kept"] == "1"
    assert "etag" not in page.headers
    data = proxy.get("/example/404", headers={"Accept": "application/json"})
    assert json.loads(data.text) == {"status": 404, "path": "/example/404"}
    late = proxy.get("/example/503")
    assert late.text == "503 Service Unavailable: please try again later\n"
    assert (late.headers["retry-after"], "vary" in late.headers) == ("7", False)


def test_what_no_page_is_for_stays_as_it_is(proxy: Proxy) -> None:
    for path in ("/example/200", "/example/403", "/own/500"):
        assert proxy.get(path).text.startswith("the origin's own")
    assert proxy.get("/respond").text == "as I said"
    assert json.loads(proxy.get("/nowhere").text)["error"] == "no_route"


def test_the_proxys_own_answers_have_pages(proxy: Proxy) -> None:
    answer = proxy.get("/gone")
    assert (answer.status, answer.text) == (
        502,
        "[connect_refused] the endpoint refused the connection",
    )
    head = proxy.get("/gone", method="HEAD")
    assert (head.status, head.body) == (502, b"")
    assert head.headers["content-length"] == str(len(answer.text))


def test_what_a_request_holds_is_no_markup(proxy: Proxy) -> None:
    page = proxy.get("/example/404", headers={"Accept": "text/html"})
    assert "<script>" not in page.text
    evil = proxy.get("/example/%3Cscript%3E'/404", headers={"Accept": "text/html"})
    assert "<script>" not in evil.text
    assert "'/404" not in evil.text
