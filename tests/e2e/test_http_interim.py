"""100-continue, other interim responses, and responses that have no body."""

from __future__ import annotations

import pytest

from testenv.raw import chunked, fields_of, request, response

EXPECT = "Expect: 100-continue"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


CONFIG = """
workers: 1
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams:
  app: {endpoints: ["$app"], pool: {max_idle: 0}}
  gone: {endpoints: ["127.0.0.1:1"]}
routes:
  - {match: {path: /small}, upstream: app, max_body: 10}
  - {match: {path: /gone}, upstream: gone}
  - {match: {path: /own}, respond: {body: "own\\n"}}
  - {match: {path: /elsewhere}, redirect: "/there"}
  - {match: {path: /only-get, methods: GET}, upstream: app}
  - {match: {path: "/"}, upstream: app}
"""


# ---- 100-continue


def test_a_client_that_asks_gets_leave_to_send_its_body(client, app) -> None:
    client.send(request("/", EXPECT, "Content-Length: 4", method="POST"))
    assert client.read_head() == CONTINUE
    client.send(b"body")
    up = app.accept()
    head = fields_of(up.read_head())
    assert "expect" not in head
    assert up.take(4) == b"body"
    up.send(response(b"ok"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_leave_is_given_once(client, app) -> None:
    client.send(request("/", EXPECT, "Transfer-Encoding: chunked", method="POST"))
    assert client.read_head() == CONTINUE
    client.send(b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n")
    up = app.accept()
    up.read_head()
    assert up.read_chunked() == chunked(b"a", b"b")
    up.send(response(b"ok"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_no_leave_is_needed_when_the_body_is_there_already(client, app) -> None:
    client.send(request("/", EXPECT, method="POST", body=b"body"))
    up = app.accept()
    up.read_head()
    assert up.take(4) == b"body"
    up.send(response(b"ok"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_an_http10_client_gets_no_interim_response(client, app) -> None:
    client.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", b"body")
    up = app.accept()
    up.read_head()
    assert up.take(4) == b"body"
    up.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + response(b"ok"))
    assert client.read_to_end().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("target", "status"),
    [("/small", 413), ("/own", 200), ("/elsewhere", 302), ("/only-get", 405), ("/%zz", 400)],
)
def test_who_is_answered_without_the_body_gets_no_leave(client, app, target, status) -> None:
    client.send(request(target, EXPECT, "Content-Length: 100", method="POST"))
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert fields_of(head)["connection"] == "close"
    assert b"HTTP/1.1 100" not in client.read_to_end()
    assert not app.has_connection


def test_who_cannot_be_served_gets_no_leave(client) -> None:
    client.send(request("/gone", EXPECT, "Content-Length: 100", method="POST"))
    assert client.read_head().startswith(b"HTTP/1.1 502 ")


def test_other_expectations_fail(client, app) -> None:
    client.send(request("/", "Expect: the-moon"))
    assert client.read_head().startswith(b"HTTP/1.1 417 ")
    client.read_to_end()
    assert not app.has_connection


def test_the_origin_may_refuse_before_the_body(client, app) -> None:
    client.send(request("/", EXPECT, "Content-Length: 100", method="POST"))
    up = app.accept()
    up.read_head()
    assert client.read_head() == CONTINUE
    up.send(response(b"no", 403, "Forbidden"))
    assert client.read_head().startswith(b"HTTP/1.1 403 ")
    assert client.take(2) == b"no"


# ---- other interim responses


def test_early_hints_are_relayed(client, app) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    up.send(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n"
        b"Connection: X-A\r\nX-A: b\r\n\r\n"
    )
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 103 Early Hints\r\n")
    assert fields_of(head) == {"link": "</a.css>; rel=preload"}
    up.send(b"HTTP/1.1 102 Processing\r\n\r\n", response(b"done"))
    assert client.read_head() == b"HTTP/1.1 102 Processing\r\n\r\n"
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert client.take(4) == b"done"


def test_interim_and_final_responses_may_come_together(client, app) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3 + response(b"done"))
    for _ in range(3):
        assert client.read_head().startswith(b"HTTP/1.1 103 ")
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert client.take(4) == b"done"


def test_a_100_of_the_origin_is_the_proxys_business(client, app) -> None:
    client.send(request("/", method="POST", body=b"body"))
    up = app.accept()
    up.read_head()
    up.send(CONTINUE + response(b"done"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert client.take(4) == b"done"


# ---- no body


@pytest.mark.parametrize(
    "field", ["Content-Length: 1234", "Transfer-Encoding: chunked", "X-None: 1"]
)
def test_head_gets_the_fields_and_no_body(client, app, field) -> None:
    client.send(request("/", method="HEAD"))
    up = app.accept()
    assert up.read_head().startswith(b"HEAD / ")
    up.send(response(b"", 200, "OK", field, length=False))
    head = fields_of(client.read_head())
    if field.startswith("Content-Length"):
        assert head["content-length"] == "1234"
    client.send(request("/own"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert client.take(4) == b"own\n"


def test_head_for_an_answer_of_the_proxy(client) -> None:
    client.send(request("/own", method="HEAD") + request("/", "Bad Name: x", method="HEAD"))
    assert fields_of(client.read_head())["content-length"] == "4"
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert client.read_to_end() == b""


@pytest.mark.parametrize(("status", "reason"), [(204, "No Content"), (304, "Not Modified")])
def test_responses_without_body_do_not_stop_the_connection(client, app, status, reason) -> None:
    for _ in range(2):
        client.send(request())
        up = app.accept()
        up.read_head()
        up.send(response(b"", status, reason, 'ETag: "x"', length=False))
        head = client.read_head()
        assert head.startswith(b"HTTP/1.1 %d %s\r\n" % (status, reason.encode()))
        fields = fields_of(head)
        assert fields["etag"] == '"x"'
        assert "content-length" not in fields
        assert "transfer-encoding" not in fields


def test_304_may_say_how_long_the_body_would_be(client, app) -> None:
    client.send(request() + request("/own"))
    up = app.accept()
    up.read_head()
    up.send(response(b"", 304, "Not Modified", "Content-Length: 99", length=False))
    assert fields_of(client.read_head())["content-length"] == "99"
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert client.take(4) == b"own\n"
