"""HTTP/1.1 connections on both sides: who may go on, who must close, and in which order."""

from __future__ import annotations

import pytest

from testenv import running
from testenv.raw import RawOrigin, chunked, dial, fields_of, request, response

CONFIG = """
workers: 1
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams: {app: {endpoints: ["$app"], pool: {max_idle: 0}}}
routes:
  - match: {path: /hello}
    respond: {body: "hello\\n"}
  - upstream: app
"""


def test_requests_of_one_connection_are_answered_one_after_the_other(client, app) -> None:
    for n in range(5):
        client.send(request(f"/{n}"))
        up = app.accept()
        assert up.read_head().startswith(b"GET /%d HTTP/1.1\r\n" % n)
        up.send(response(b"body %d" % n))
        head = client.read_head()
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert "connection" not in fields_of(head)
        assert client.take(6) == b"body %d" % n


def test_pipelined_requests_are_answered_in_order(client, app) -> None:
    client.send(b"".join(request(f"/{n}") for n in range(20)))
    for n in range(20):
        up = app.accept()
        assert up.read_head().startswith(b"GET /%d " % n)
        up.send(response(b"%02d" % n))
    for n in range(20):
        client.read_head()
        assert client.take(2) == b"%02d" % n


def test_a_pipelined_request_waits_until_the_one_before_it_is_answered(client, app) -> None:
    client.send(request("/first"), request("/second"))
    up = app.accept()
    up.read_head()
    assert not app.has_connection
    up.send(response(b"1"))
    assert app.accept().read_head().startswith(b"GET /second ")


def test_answers_of_the_proxy_and_of_the_origin_keep_their_order(client, app) -> None:
    client.send(request("/hello") + request("/far") + request("/hello"))
    client.read_head()
    assert client.take(6) == b"hello\n"
    up = app.accept()
    up.read_head()
    up.send(response(b"far"))
    client.read_head()
    assert client.take(3) == b"far"
    client.read_head()
    assert client.take(6) == b"hello\n"


def test_many_requests_for_the_proxy_itself_in_one_packet(client) -> None:
    client.send(request("/hello") * 500)
    for _ in range(500):
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
        assert client.take(6) == b"hello\n"


def test_pipelined_requests_with_bodies_are_told_apart(client, app) -> None:
    first = request("/1", method="POST", body=b"one")
    second = request("/2", "Transfer-Encoding: chunked", method="POST") + chunked(b"tw", b"o")
    client.send(first + second + request("/3"))
    up = app.accept()
    up.read_head()
    assert up.take(3) == b"one"
    up.send(response(b"1"))
    up = app.accept()
    up.read_head()
    assert up.read_chunked().endswith(b"0\r\n\r\n")
    up.send(response(b"2"))
    up = app.accept()
    assert up.read_head().startswith(b"GET /3 ")
    up.send(response(b"3"))
    assert [client.read_head() and client.take(1) for _ in range(3)] == [b"1", b"2", b"3"]


def test_pipelined_requests_behind_a_large_body_are_not_lost(client, app) -> None:
    body = bytes(range(256)) * 4096
    client.send(request("/1", method="POST", body=body) + request("/2") + request("/3"))
    up = app.accept()
    up.read_head()
    assert up.take(len(body)) == body
    up.send(response(b"1"))
    for n in (b"2", b"3"):
        up = app.accept()
        assert up.read_head().startswith(b"GET /%s " % n)
        up.send(response(n))
    assert [client.read_head() and client.take(1) for _ in range(3)] == [b"1", b"2", b"3"]


def test_a_head_may_come_byte_by_byte(client, app) -> None:
    raw = request("/slow", "X-Long: " + "v" * 300)
    client.send(*(raw[i : i + 1] for i in range(len(raw))))
    up = app.accept()
    assert b"X-Long: " + b"v" * 300 in up.read_head()
    up.send(response(b"ok"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_a_response_head_may_come_byte_by_byte(client, app) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    raw = response(b"ok", 200, "OK", "X-Long: " + "v" * 300)
    up.send(*(raw[i : i + 1] for i in range(len(raw))))
    assert fields_of(client.read_head())["x-long"] == "v" * 300
    assert client.take(2) == b"ok"


def test_an_empty_line_between_requests_is_skipped(client) -> None:
    client.send(request("/hello") + b"\r\n" + request("/hello"))
    for _ in range(2):
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
        client.take(6)


def test_the_client_may_ask_for_the_end(client, app) -> None:
    client.send(request("/", "Connection: close") + request("/never"))
    up = app.accept()
    assert "connection" not in fields_of(up.read_head())
    up.send(response(b"last"))
    head = client.read_head()
    assert fields_of(head)["connection"] == "close"
    assert client.read_to_end() == b"last"
    assert not app.has_connection


def test_the_origins_wish_to_close_is_not_the_clients(client, app) -> None:
    client.send(request("/1"))
    up = app.accept()
    up.read_head()
    up.send(response(b"1", 200, "OK", "Connection: close"))
    assert "connection" not in fields_of(client.read_head())
    assert client.take(1) == b"1"
    client.send(request("/hello"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


# ---- HTTP/1.0


def test_an_http10_client_gets_a_connection_that_closes(client, app) -> None:
    client.send(b"GET /old HTTP/1.0\r\n\r\n")
    up = app.accept()
    head = up.read_head()
    assert head.startswith(b"GET /old HTTP/1.1\r\n")
    up.send(response(b"ten"))
    assert client.read_head().startswith(b"HTTP/1.1 200 OK\r\n")
    assert client.read_to_end() == b"ten"


def test_an_http10_client_may_ask_to_keep_the_connection(client, app) -> None:
    for n in range(2):
        client.send(b"GET /%d HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n" % n)
        up = app.accept()
        up.read_head()
        up.send(response(b"ten"))
        assert fields_of(client.read_head())["connection"].lower() == "keep-alive"
        assert client.take(3) == b"ten"


def test_an_http10_client_gets_no_chunks(client, app) -> None:
    client.send(b"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    up = app.accept()
    up.read_head()
    up.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A\r\n\r\n"
        + chunked(b"one ", b"two", trailers=b"X-A: b\r\n")
    )
    head = fields_of(client.read_head())
    assert "transfer-encoding" not in head
    assert "content-length" not in head
    assert head["connection"] == "close"
    assert client.read_to_end() == b"one two"


def test_an_http10_origin_is_understood(client, app) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nold")
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert fields_of(head)["content-length"] == "3"
    assert client.take(3) == b"old"


# ---- responses that end with their connection


def test_a_response_until_close_is_chunked_for_the_client(client, app) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b"all ", b"of it")
    up.close()
    head = fields_of(client.read_head())
    assert head["transfer-encoding"] == "chunked"
    assert "connection" not in head
    raw = client.read_chunked()
    assert raw.endswith(b"0\r\n\r\n")
    assert b"".join(raw.split(b"\r\n")[1::2]) == b"all of it"
    client.send(request("/hello"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_an_empty_response_until_close_is_complete(client, app) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\n\r\n")
    up.close()
    client.read_head()
    assert client.read_chunked() == b"0\r\n\r\n"


def test_a_response_until_close_reaches_an_http10_client(client, app) -> None:
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.0 200 OK\r\n\r\n", b"all of it")
    up.close()
    client.read_head()
    assert client.read_to_end() == b"all of it"
    assert not client.was_reset


# ---- connections to the origin


def test_a_connection_to_the_origin_is_used_again() -> None:
    with (
        RawOrigin() as app,
        running(f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
            routes: [{{upstream: app}}]
        """) as proxy,
    ):
        up = None
        for n in range(4):
            with dial(proxy.port()) as client:
                client.send(request(f"/{n}", method="POST", body=b"body"))
                up = up or app.accept()
                assert up.read_head().startswith(b"POST /%d " % n)
                assert up.take(4) == b"body"
                up.send(response(b"ok"))
                client.read_head()
                assert client.take(2) == b"ok"
        assert not app.has_connection


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=["close", "http10", "more-than-was-asked-for", "body-where-none-may-be"],
)
def test_a_connection_to_the_origin_that_cannot_go_on_is_closed(answer) -> None:
    with (
        RawOrigin() as app,
        running(f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
            routes: [{{upstream: app}}]
        """) as proxy,
        dial(proxy.port()) as client,
    ):
        client.send(request("/1"))
        up = app.accept()
        up.read_head()
        up.send(answer)
        assert client.read_head().startswith(b"HTTP/1.1 20")
        client.send(request("/2"))
        other = app.accept()
        assert other.read_head().startswith(b"GET /2 ")
        other.send(response(b"fresh"))
        assert b"fresh" in client.take_until(b"fresh")
        assert up.read_to_end() == b""
