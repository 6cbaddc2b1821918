"""Retries by policy, with origins that fail in every way."""

from __future__ import annotations

import json

import pytest

from testenv import free_port, origin, running, wait_until
from testenv.raw import RawOrigin, dial, request, response


def config(*endpoints: str, retry: str, route: str = "", retries: int = 1) -> str:
    return f"""
        workers: 1
        admin: "127.0.0.1:0"
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams:
          app:
            endpoints: {json.dumps(endpoints)}
            retries: {retries}
            retry: {{{retry}}}
        routes: [{{upstream: app{route}}}]
    """


BUSY = response(b"busy", 503, "Busy")


def test_an_origin_that_is_busy_once_is_asked_again() -> None:
    with (
        RawOrigin() as app,
        running(config(app.address, retry="conditions: gateway_error")) as proxy,
        dial(proxy.port()) as client,
    ):
        client.send(request("/x"))
        up = app.accept()
        up.read_head()
        up.send(BUSY)
        other = app.accept()
        assert other.read_head().startswith(b"GET /x ")
        other.send(response(b"ok"))
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
        assert client.take(2) == b"ok"
        wait_until(
            lambda: proxy.metrics()['pyproxy_upstream_retries_total{upstream="app"}'] == 1,
            "the retry is counted",
        )
        assert proxy.metrics()['pyproxy_upstream_retries_active{upstream="app"}'] == 0


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_reset_is_tried_again_with_its_body(method) -> None:
    body = b"body" if method == "PUT" else b""
    with (
        RawOrigin() as app,
        running(config(app.address, retry="conditions: [reset]")) as proxy,
        dial(proxy.port()) as client,
    ):
        client.send(request("/x", method=method, body=body))
        up = app.accept()
        up.read_head()
        up.take(len(body))
        up.abort()
        other = app.accept()
        other.read_head()
        assert other.take(len(body)) == body
        other.send(response(b"ok"))
        assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_a_post_is_tried_again_only_when_it_is_allowed() -> None:
    for allowed in (False, True):
        retry = "conditions: [5xx], non_idempotent: " + ("on" if allowed else "off")
        with (
            RawOrigin() as app,
            running(config(app.address, retry=retry)) as proxy,
            dial(proxy.port()) as client,
        ):
            client.send(request("/x", method="POST", body=b"body"))
            up = app.accept()
            up.read_head()
            up.take(4)
            up.send(BUSY)
            if allowed:
                other = app.accept()
                other.read_head()
                assert other.take(4) == b"body"
                other.send(response(b"ok"))
            status = 200 if allowed else 503
            assert client.read_head().startswith(f"HTTP/1.1 {status} ".encode())
            assert not app.has_connection


def test_a_slow_origin_is_left_for_another() -> None:
    retry = "conditions: timeout, per_try_timeout: 200ms"
    with (
        RawOrigin() as slow,
        origin() as good,
        running(config(slow.address, good.address, retry=retry)) as proxy,
    ):
        for n in range(4):
            assert proxy.get(f"/{n}").status == 200
        assert len(good.requests) == 4


def test_half_an_answer_is_not_tried_again() -> None:
    with (
        RawOrigin() as app,
        running(config(app.address, retry="conditions: [5xx, reset]")) as proxy,
        dial(proxy.port()) as client,
    ):
        client.send(request("/x"))
        up = app.accept()
        up.read_head()
        up.send(response(b"0123456789")[:-5])
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
        assert client.take(5) == b"01234"
        up.abort()
        assert client.read_to_end() == b""
        assert not app.has_connection


def test_a_refused_connection_ends_with_the_last_try() -> None:
    gone = f"127.0.0.1:{free_port()}"
    with running(config(gone, retry="conditions: connect_failure", retries=3)) as proxy:
        assert proxy.get("/x").status == 502
        assert proxy.metrics()['pyproxy_upstream_retries_total{upstream="app"}'] == 3


def test_a_route_has_the_last_word() -> None:
    with (
        RawOrigin() as app,
        running(
            config(app.address, retry="conditions: 5xx", route=", retry: {conditions: reset}")
        ) as proxy,
        dial(proxy.port()) as client,
    ):
        client.send(request("/x"))
        up = app.accept()
        up.read_head()
        up.send(BUSY)
        assert client.read_head().startswith(b"HTTP/1.1 503 ")
        assert not app.has_connection


def test_an_answer_that_is_still_busy_goes_to_the_client() -> None:
    with (
        RawOrigin() as app,
        running(config(app.address, retry="statuses: 503")) as proxy,
        dial(proxy.port()) as client,
    ):
        client.send(request("/x"))
        for _ in range(2):
            up = app.accept()
            up.read_head()
            up.send(BUSY)
        assert client.read_head().startswith(b"HTTP/1.1 503 ")
        assert client.take(4) == b"busy"
