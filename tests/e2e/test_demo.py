"""The built-in demonstration origin, seen through the proxy."""

from __future__ import annotations

import html
import json

import pytest

from testenv import connect, read_response, running, send


@pytest.fixture(scope="module")
def proxy():
    config = """
        workers: 1
        listeners: {web: {bind: "127.0.0.1:0"}}
        upstreams: {app: {endpoints: ["demo:"]}}
        routes: [{upstream: app}]
    """
    with running(config) as started:
        yield started


def test_the_welcome_page_shows_what_the_proxy_added(proxy) -> None:
    page = proxy.get("/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "x-forwarded-for" in page.text.lower()


def test_the_welcome_page_escapes_what_came_from_the_client(proxy) -> None:
    value = """<b>&"'</b>"""
    page = proxy.get("/", headers={"x-one": value})
    assert f"<code>{html.escape(value)}</code>" in page.text


def test_echo_tells_the_request_as_the_origin_saw_it(proxy) -> None:
    seen = json.loads(
        proxy.get("/echo?a=1", method="POST", body=b"12345", headers={"x-one": "1"}).body
    )
    fields = {name.lower(): value for name, value in seen["headers"]}
    assert (seen["method"], seen["path"], seen["query"]) == ("POST", "/echo", {"a": "1"})
    assert seen["body_bytes"] == 5
    assert fields["x-one"] == "1"
    assert fields["x-forwarded-for"] == "127.0.0.1"


def test_bytes_come_in_full(proxy) -> None:
    assert len(proxy.get("/bytes/1000000").body) == 1_000_000
    assert proxy.get("/bytes/0").body == b""


def test_a_stream_is_chunked(proxy) -> None:
    response = proxy.get("/stream?n=3")
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.text.splitlines() == [f"chunk {n} of 3" for n in (1, 2, 3)]


def test_slow_answers_arrive(proxy) -> None:
    assert proxy.get("/slow?ms=50").text == "waited 50 ms\n"


@pytest.mark.parametrize("status", [204, 304, 404, 418, 503])
def test_any_status_can_be_had(proxy, status) -> None:
    assert proxy.get(f"/status/{status}").status == status


def test_unknown_pages_say_what_there_is(proxy) -> None:
    assert proxy.get("/nothing").status == 404
    assert "/echo" in proxy.get("/nothing").text


def test_a_connection_serves_many_requests(proxy) -> None:
    with connect(proxy.port()) as client:
        for number in range(5):
            send(client, f"/echo/{number}")
            assert json.loads(read_response(client).body)["path"] == f"/echo/{number}"


def test_head_has_no_body(proxy) -> None:
    response = proxy.get("/bytes/100", method="HEAD")
    assert response.headers["content-length"] == "100"
    assert response.body == b""
