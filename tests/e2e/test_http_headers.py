"""What the proxy adds to messages, what it takes away, and which request targets it understands."""

from __future__ import annotations

import re

import pytest

from testenv.raw import dial, fields_of, request, response

CONFIG = """
workers: 1
listeners:
  web: {bind: "127.0.0.1:0"}
  trusting: {bind: "127.0.0.1:0", trusted_proxies: [127.0.0.0/8]}
  distant: {bind: "127.0.0.1:0", trusted_proxies: [10.0.0.0/8]}
  quiet: {bind: "127.0.0.1:0", via: "", server_header: front}
  local: {bind: "unix:web.sock", trusted_proxies: unix}
upstreams: {app: {endpoints: ["$app"], pool: {max_idle: 0}}}
routes: [{upstream: app}]
"""


@pytest.fixture
def sent(shared, app):
    """Send a request to a listener; the head that the origin gets."""

    def send(*fields: str, listener: str = "web", target: str = "/") -> bytes:
        proxy = shared[0]
        local = listener == "local"
        place = str(proxy.folder / proxy.path(listener)) if local else proxy.port(listener)
        with dial(place) as wire:
            wire.send(request(target, *fields))
            up = app.accept()
            head = up.read_head()
            up.send(response())
            assert wire.read_head().startswith(b"HTTP/1.1 200 ")
        return head

    return send


@pytest.fixture
def got(client, app):
    """Let the origin answer with these fields; the head that the client gets."""

    def get(*fields: str) -> bytes:
        client.send(request())
        up = app.accept()
        up.read_head()
        up.send(response(b"", 200, "OK", *fields))
        return client.read_head()

    return get


# ---- hop by hop


def test_hop_by_hop_fields_end_at_the_proxy(sent) -> None:
    head = fields_of(
        sent(
            "Connection: keep-alive, X-Mine",
            "X-Mine: 1",
            "x-mine: 2",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic eA==",
            "TE: gzip",
            "Trailer: X-A",
            "Upgrade: h2c",
            "HTTP2-Settings: AAMAAABkAAQAAP__",
            "X-Stays: 3",
        )
    )
    assert head["x-stays"] == "3"
    assert set(head) == {
        "host", "x-stays", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
    }  # fmt: skip


def test_hop_by_hop_fields_of_responses_end_at_the_proxy(got) -> None:
    head = fields_of(
        got(
            "Connection: keep-alive, X-Mine",
            "X-Mine: 1",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "Proxy-Authenticate: Basic",
            "Trailer: X-A",
            "Upgrade: h2c",
            "X-Stays: 3",
        )
    )
    assert head["x-stays"] == "3"
    assert set(head) == {"x-stays", "date", "content-length"}


def test_connection_cannot_take_away_what_the_origin_relies_on(sent) -> None:
    head = fields_of(
        sent(
            "Connection: close, X-Forwarded-For, X-Forwarded-Proto, Via, Host",
            "Connection: Authorization, Cookie",
            "Authorization: Bearer x",
            "Cookie: a=b",
        )
    )
    assert head["host"] == "test"
    assert head["authorization"] == "Bearer x"
    assert head["cookie"] == "a=b"
    assert head["x-forwarded-for"] == "127.0.0.1"
    assert head["x-forwarded-proto"] == "http"
    assert head["via"] == "1.1 pyproxy"


def test_other_fields_pass_in_order_and_unchanged(sent, got) -> None:
    fields = [
        "X-B: 1",
        "x-a:  two  words ",
        "X-B: 3",
        "Accept: */*",
        "X-Empty:",
        "X-8bit: \xfc\xff",
    ]
    expected = [
        "X-B: 1",
        "x-a: two  words",
        "X-B: 3",
        "Accept: */*",
        "X-Empty: ",
        "X-8bit: \xfc\xff",
    ]
    for head in (sent(*fields), got(*fields)):
        lines = head.decode("latin-1").split("\r\n")
        own = [line for line in lines if re.match(r"(?i)(x-(a|b|empty|8bit)|accept):", line)]
        assert [line.rstrip() for line in own] == [line.rstrip() for line in expected]


# ---- Via and X-Forwarded-*


def test_via_names_the_proxy_and_comes_last_in_the_list(sent) -> None:
    assert fields_of(sent())["via"] == "1.1 pyproxy"
    assert (
        fields_of(sent("Via: 1.0 fred", "Via: 1.1 mid"))["via"] == "1.0 fred, 1.1 mid, 1.1 pyproxy"
    )
    assert "via" not in fields_of(sent(listener="quiet"))


def test_forwarding_fields_of_strangers_are_replaced(sent) -> None:
    for listener in ("web", "distant"):
        head = fields_of(
            sent(
                "X-Forwarded-For: 1.2.3.4",
                "x-forwarded-for: 5.6.7.8",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Host: evil",
                "X-Real-IP: 1.2.3.4",
                "Forwarded: for=1.2.3.4",
                listener=listener,
            )
        )
        assert head["x-forwarded-for"] == "127.0.0.1"
        assert head["x-forwarded-proto"] == "http"
        assert head["x-forwarded-host"] == "test"
        assert "x-real-ip" not in head
        assert "forwarded" not in head


def test_forwarding_fields_of_trusted_proxies_are_kept_and_extended(sent) -> None:
    head = fields_of(
        sent(
            "X-Forwarded-For: 1.2.3.4",
            "X-Forwarded-For: 5.6.7.8",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: real.example",
            "X-Real-IP: 1.2.3.4",
            listener="trusting",
        )
    )
    assert head["x-forwarded-for"] == "1.2.3.4, 5.6.7.8, 127.0.0.1"
    assert head["x-forwarded-proto"] == "https"
    assert head["x-forwarded-host"] == "real.example"
    assert head["x-real-ip"] == "1.2.3.4"


def test_trusted_proxies_that_say_nothing_get_what_others_get(sent) -> None:
    head = fields_of(sent(listener="trusting"))
    assert head["x-forwarded-for"] == "127.0.0.1"
    assert head["x-forwarded-proto"] == "http"
    assert head["x-forwarded-host"] == "test"


def test_clients_of_a_unix_socket_can_be_trusted(sent) -> None:
    head = fields_of(sent("X-Forwarded-For: 1.2.3.4", listener="local"))
    assert head["x-forwarded-for"].startswith("1.2.3.4")


# ---- what responses get


def test_date_is_added_only_where_it_is_missing(got) -> None:
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", fields_of(got())["date"])
    old = "Thu, 01 Jan 1970 00:00:00 GMT"
    assert fields_of(got(f"Date: {old}"))["date"] == old


def test_the_server_field_is_the_origins_unless_configured(shared, app, got) -> None:
    assert fields_of(got("Server: mine"))["server"] == "mine"
    with dial(shared[0].port("quiet")) as wire:
        wire.send(request())
        up = app.accept()
        up.read_head()
        up.send(response(b"", 200, "OK", "Server: mine", "Server: too"))
        assert fields_of(wire.read_head())["server"] == "front"


def test_repeated_fields_of_responses_stay_apart(got) -> None:
    head = got("Set-Cookie: a=1", "Set-Cookie: b=2")
    assert b"Set-Cookie: a=1\r\n" in head
    assert b"Set-Cookie: b=2\r\n" in head


@pytest.mark.parametrize(
    "line", ["HTTP/1.1 299 Odd One", "HTTP/1.1 200 ", "HTTP/1.1 404 Nicht da \xfc"]
)
def test_status_and_reason_pass(client, app, line) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    up.send(f"{line}\r\nContent-Length: 0\r\n\r\n".encode("latin-1"))
    assert (
        client.read_head().split(b"\r\n")[0].decode("latin-1").split(" ")[:2] == line.split(" ")[:2]
    )


# ---- targets


def test_the_path_is_sent_in_normal_form_and_the_query_as_it_came(sent) -> None:
    head = sent(target="/a/./b/../%7Ec%2d%C3%A9?x=%7e&y=/../")
    assert head.startswith(b"GET /a/~c-%C3%A9?x=%7e&y=/../ HTTP/1.1\r\n")


def test_absolute_form_is_sent_on_in_origin_form(client, app) -> None:
    client.send(b"GET http://other.example:8080/p?q HTTP/1.1\r\nHost: other.example:8080\r\n\r\n")
    up = app.accept()
    head = up.read_head()
    assert head.startswith(b"GET /p?q HTTP/1.1\r\n")
    assert fields_of(head)["host"] == "other.example:8080"
    up.send(response())
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_absolute_form_without_a_path_asks_for_the_root(client, app) -> None:
    client.send(b"GET http://test HTTP/1.1\r\nHost: test\r\n\r\n")
    up = app.accept()
    assert up.read_head().startswith(b"GET / HTTP/1.1\r\n")
    up.send(response())
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_options_for_the_server_reaches_the_origin(client, app) -> None:
    client.send(b"OPTIONS * HTTP/1.1\r\nHost: test\r\n\r\n")
    up = app.accept()
    assert up.read_head().startswith(b"OPTIONS * HTTP/1.1\r\n")
    up.send(response())
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_connect_is_refused_and_the_connection_closes(client, app) -> None:
    client.send(b"CONNECT test:443 HTTP/1.1\r\nHost: test:443\r\n\r\n" + request("/smuggled"))
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 501 ")
    assert fields_of(head)["connection"] == "close"
    assert b"HTTP/1.1" not in client.read_to_end()
    assert not app.has_connection


@pytest.mark.parametrize("method", ["PATCH", "DELETE", "PROPFIND", "M-SEARCH", "a!#$%&'*+-.^_`|~9"])
def test_methods_that_the_proxy_does_not_know_pass(client, app, method) -> None:
    client.send(request("/", method=method))
    up = app.accept()
    assert up.read_head().startswith(method.encode() + b" / HTTP/1.1\r\n")
    up.send(response(b"ok"))
    assert client.take_until(b"ok").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("protocol", ["h2c", "foo", "TLS/1.0, HTTP/2.0"])
def test_an_upgrade_that_the_route_does_not_allow_is_not_passed_on(client, app, protocol) -> None:
    client.send(request("/x", "Connection: Upgrade, X-A", f"Upgrade: {protocol}", "X-A: b"))
    up = app.accept()
    head = fields_of(up.read_head())
    assert head.keys().isdisjoint({"upgrade", "connection", "x-a", "http2-settings"})
    up.send(response(b"no"))
    assert client.take_until(b"no").startswith(b"HTTP/1.1 200 ")


def test_101_that_nobody_asked_for_is_a_bad_response(client, app) -> None:
    client.send(request("/ws"))
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    assert client.read_head().startswith(b"HTTP/1.1 502 ")
    assert up.read_to_end() == b""
