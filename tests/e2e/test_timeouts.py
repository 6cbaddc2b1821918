"""Limits on what clients and origins may do, and on how long they may take."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from testenv import Proxy, running
from testenv.raw import RawOrigin, Wire, dial, fields_of, request, response, same_workers

IDLE = """
from pyproxy import Filter


class Idle(Filter):
    def request(self, exchange):
        pass
"""


class FullListener:
    """An address that never answers a connection: its accept queue is full."""

    def __init__(self) -> None:
        self._sock = socket.socket()
        self._sock.bind(("127.0.0.1", 0))
        self._sock.listen(0)
        self.address = f"127.0.0.1:{self._sock.getsockname()[1]}"
        self._fill = []
        for _ in range(8):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self._sock.getsockname())
            self._fill.append(filler)

    def close(self) -> None:
        for sock in (*self._fill, self._sock):
            sock.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Proxy, RawOrigin]]:
    full = FullListener()
    with (
        RawOrigin() as app,
        running(
            f"""
            workers: 1
            listeners:
              web: {{bind: "127.0.0.1:0"}}
              small:
                bind: "127.0.0.1:0"
                limits: {{max_head: 2KiB, max_line: 1KiB, max_target: 256, max_fields: 5}}
              hasty:
                bind: "127.0.0.1:0"
                timeouts: {{header: 300ms, idle: 300ms, body: 300ms, send: 300ms}}
              counted: {{bind: "127.0.0.1:0", limits: {{max_requests: 3}}}}
              aging: {{bind: "127.0.0.1:0", limits: {{max_age: 200ms}}}}
              few: {{bind: "127.0.0.1:0", limits: {{max_connections: 2}}}}
              slow: {{bind: "127.0.0.1:0", limits: {{body_min_rate: 1MiB}}}}
            upstreams:
              app: {{endpoints: ["{app.address}"], pool: {{max_idle: 0}}}}
              refused: {{endpoints: ["127.0.0.1:1"]}}
              absent: {{endpoints: ["unix:/absent.sock"]}}
              full: {{endpoints: ["{full.address}"], timeouts: {{connect: 200ms}}, retries: 0}}
              hasty:
                endpoints: ["{app.address}"]
                pool: {{max_idle: 0}}
                timeouts: {{first_byte: 200ms, read: 200ms, send: 200ms}}
              total: {{endpoints: ["{app.address}"], pool: {{max_idle: 0}},
                       timeouts: {{total: 300ms}}}}
              tight: {{endpoints: ["{app.address}"], pool: {{max_idle: 0}},
                       limits: {{max_head: 1KiB, max_fields: 4}}}}
            routes:
              - {{match: {{path: /own}}, respond: {{body: own}}}}
              - {{match: {{path: "/refused/*"}}, upstream: refused}}
              - {{match: {{path: "/absent/*"}}, upstream: absent}}
              - {{match: {{path: "/full/*"}}, upstream: full}}
              - {{match: {{path: "/hasty/*"}}, upstream: hasty, max_body: unlimited}}
              - {{match: {{path: "/total/*"}}, upstream: total}}
              - {{match: {{path: "/route-total/*"}}, upstream: app, timeout: 300ms}}
              - {{match: {{path: "/tight/*"}}, upstream: tight}}
              - {{match: {{path: "/nobody/*"}}, filters: [{{python: {{use: "idle:Idle"}}}}]}}
              - {{match: {{path: "/body/*"}}, upstream: app, max_body: 100}}
              - {{upstream: app, max_body: unlimited}}
            access_log: stdout
        """,
            files={"idle.py": IDLE},
        ) as proxy,
        same_workers(proxy),
    ):
        yield proxy, app
    full.close()


@pytest.fixture
def proxy(shared) -> Proxy:
    return shared[0]


@pytest.fixture
def to(shared):
    """Connect to a listener by name."""
    wires = []

    def open_wire(listener: str) -> Wire:
        wires.append(dial(shared[0].port(listener)))
        return wires[-1]

    yield open_wire
    for wire in wires:
        wire.close()


@pytest.fixture
def fault(shared):
    """The reason that the access log gives for a target."""

    def find(target: str) -> str | None:
        return shared[0].access_log(target=target)[-1]["fault"]

    return find


def error(client: Wire, status: int, *, closes: bool) -> str:
    """Read an error of the proxy; its word."""
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 %d " % status), head
    fields = fields_of(head)
    assert fields["content-type"] == "application/json"
    assert (fields.get("connection") == "close") is closes
    body = json.loads(client.take(int(fields["content-length"])))
    assert body["status"] == status
    assert body["detail"]
    if closes:
        assert client.read_to_end() == b""
    return body["error"]


# ---- what a request may weigh


@pytest.mark.parametrize(
    ("raw", "status", "word"),
    [
        (request("/" + "a" * 256), 414, "target_too_long"),
        (request("/", "X: " + "y" * 1024), 431, "line_too_long"),
        (request("/", *["X: y"] * 5), 431, "too_many_fields"),
        (request("/", *["X: " + "y" * 700] * 3), 431, "head_too_large"),
    ],
    ids=["target", "line", "fields", "head"],
)
def test_a_request_head_over_a_limit_is_refused(to, app, raw, status, word) -> None:
    client = to("small")
    client.send(raw)
    assert error(client, status, closes=True) == word
    assert not app.has_connection


def test_a_request_head_at_the_limits_passes(to, app) -> None:
    client = to("small")
    client.send(request("/" + "a" * 255, *["X: " + "y" * 400] * 4))
    up = app.accept()
    up.read_head()
    up.send(response(b"ok"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_over_the_limit_is_413(client, app, framing) -> None:
    if framing == "length":
        client.send(request("/body/x", method="POST", body=bytes(101)))
        assert error(client, 413, closes=True) == "body_too_large"
        assert not app.has_connection
    else:
        client.send(request("/body/x", "Transfer-Encoding: chunked", method="POST"))
        client.send(b"65\r\n" + bytes(101) + b"\r\n0\r\n\r\n")
        assert error(client, 413, closes=True) == "body_too_large"


def test_a_body_at_the_limit_passes(client, app) -> None:
    client.send(request("/body/x", method="POST", body=bytes(100)))
    up = app.accept()
    up.read_head()
    up.take(100)
    up.send(response(b"ok"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_a_response_head_over_a_limit_is_502(client, app, fault) -> None:
    for n, fields in enumerate((["X: " + "y" * 1100], ["X: y"] * 5)):
        client.send(request(f"/tight/{n}"))
        up = app.accept()
        up.read_head()
        up.send(response(b"ok", 200, "OK", *fields))
        assert error(client, 502, closes=False) == "upstream_bad_response"
        assert fault(f"/tight/{n}") == "upstream_bad_response"


# ---- how long a client may take


def test_a_head_that_drips_is_408(to, app) -> None:
    """The time is for the whole head: every byte in time does not help."""
    client = to("hasty")
    raw = request("/drip", "X: " + "y" * 4000)
    stop = threading.Event()

    def drip() -> None:
        for byte in raw:
            if stop.wait(0.01) or not client.try_send(bytes([byte])):
                return

    dripper = threading.Thread(target=drip)
    dripper.start()
    try:
        assert error(client, 408, closes=True) == "header_timeout"
    finally:
        stop.set()
        dripper.join()
    assert not app.has_connection


def test_a_client_that_says_nothing_is_let_go(to) -> None:
    assert to("hasty").read_to_end() == b""


def test_an_idle_connection_is_closed_in_order(to) -> None:
    client = to("hasty")
    client.send(request("/own"))
    client.read_head()
    client.take(3)
    assert client.read_to_end() == b""
    assert not client.was_reset


def test_a_second_head_has_its_own_time(to) -> None:
    client = to("hasty")
    client.send(request("/own") + b"GET /")
    client.read_head()
    client.take(3)
    assert error(client, 408, closes=True) == "header_timeout"


@pytest.mark.parametrize("framing", ["Content-Length: 10", "Transfer-Encoding: chunked"])
def test_a_body_that_stops_is_408(to, app, fault, framing) -> None:
    client = to("hasty")
    target = f"/stops/{framing[:7]}"
    client.send(request(target, framing, method="POST"))
    up = app.accept()
    up.read_head()
    assert error(client, 408, closes=True) == "body_timeout"
    assert up.read_to_end() == b""
    assert fault(target) == "body_timeout"


def test_a_body_below_the_minimum_rate_is_408(to, app, fault) -> None:
    client = to("slow")
    client.send(request("/crawls", "Content-Length: 100000", method="POST"))
    up = app.accept()
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.05) and client.try_send(b"x"):
            pass

    dripper = threading.Thread(target=drip)
    dripper.start()
    try:
        assert client.read_head().startswith(b"HTTP/1.1 408 ")
    finally:
        stop.set()
        dripper.join()
    up.read_to_end()
    assert fault("/crawls") == "body_timeout"


def test_a_client_that_does_not_read_is_let_go(to, app, fault) -> None:
    client = to("hasty")
    client.send(request("/unread"))
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30))
    while up.try_send(bytes(65536)):
        pass
    assert fault("/unread") == "send_timeout"


def test_a_slow_origin_is_not_the_clients_fault(to, app) -> None:
    """A body that waits because the origin does not read has no time limit of the client's."""
    client = to("hasty")
    size = 8 << 20
    client.send(request("/patient", f"Content-Length: {size}", method="POST"))
    sender = threading.Thread(target=lambda: client.sock.sendall(bytes(size)))
    sender.start()
    up = app.accept()
    up.read_head()
    threading.Event().wait(1)
    assert up.take(size) == bytes(size)
    sender.join()
    up.send(response(b"ok"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


# ---- requests and age of a connection


def test_a_connection_ends_after_its_number_of_requests(to) -> None:
    client = to("counted")
    client.send(request("/own") * 5)
    for n in range(3):
        head = fields_of(client.read_head())
        assert client.take(3) == b"own"
        assert head.get("connection") == ("close" if n == 2 else None)
    assert client.read_to_end() == b""
    assert not client.was_reset


def test_a_connection_ends_when_it_is_old(to) -> None:
    client = to("aging")
    client.send(request("/own"))
    assert "connection" not in fields_of(client.read_head())
    client.take(3)
    threading.Event().wait(0.3)
    client.send(request("/own"))
    assert fields_of(client.read_head())["connection"] == "close"
    client.take(3)
    assert client.read_to_end() == b""


def test_connections_over_the_limit_wait_for_their_turn(to) -> None:
    first, second, third = to("few"), to("few"), to("few")
    for wire in (first, second):
        wire.send(request("/own"))
        wire.read_head()
        wire.take(3)
    third.send(request("/own"))
    assert third.is_quiet
    first.close()
    assert third.read_head().startswith(b"HTTP/1.1 200 ")


# ---- how long an origin may take


def test_an_origin_that_refuses_is_502(client, fault) -> None:
    client.send(request("/refused/x"))
    assert error(client, 502, closes=False) == "connect_refused"
    assert fault("/refused/x") == "connect_refused"


def test_an_origin_that_is_not_there_is_502(client, fault) -> None:
    client.send(request("/absent/x"))
    assert error(client, 502, closes=False) in ("connect_failed", "connect_refused")
    assert fault("/absent/x") in ("connect_failed", "connect_refused")


def test_an_origin_that_does_not_accept_is_504(client, fault) -> None:
    client.send(request("/full/x"))
    assert error(client, 504, closes=False) == "connect_timeout"
    assert fault("/full/x") == "connect_timeout"


def test_an_origin_that_does_not_answer_is_504(client, app, fault) -> None:
    client.send(request("/hasty/first"))
    up = app.accept()
    up.read_head()
    assert error(client, 504, closes=False) == "first_byte_timeout"
    assert up.read_to_end() == b""
    assert fault("/hasty/first") == "first_byte_timeout"


def test_an_origin_that_stops_in_its_head_is_504(client, app, fault) -> None:
    client.send(request("/hasty/head"))
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\nX: ")
    assert error(client, 504, closes=False) == "first_byte_timeout"


def test_an_origin_that_stops_in_its_body_cuts_the_response(client, app, fault) -> None:
    client.send(request("/hasty/body"))
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    client.read_head()
    assert client.read_to_end() == b"half"
    assert fault("/hasty/body") == "read_timeout"


def test_an_origin_that_does_not_read_is_504(client, app, fault) -> None:
    client.send(request("/hasty/unread", f"Content-Length: {1 << 30}", method="POST"))
    app.accept()
    sender = threading.Thread(target=lambda: client.try_send(bytes(1 << 26)))
    sender.start()
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 504 ")
    assert fault("/hasty/unread") == "upstream_send_timeout"
    client.close()
    sender.join()


@pytest.mark.parametrize("path", ["/total/x", "/route-total/x"])
def test_an_exchange_has_a_total_time(client, app, fault, path) -> None:
    client.send(request(path))
    up = app.accept()
    up.read_head()
    assert error(client, 504, closes=False) == "total_timeout"
    assert fault(path) == "total_timeout"


def test_the_total_time_goes_on_inside_the_response(client, app, fault) -> None:
    client.send(request("/total/body"))
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.05) and up.try_send(b"1\r\nx\r\n"):
            pass

    dripper = threading.Thread(target=drip)
    dripper.start()
    client.read_head()
    assert b"0\r\n\r\n" not in client.read_to_end()
    stop.set()
    dripper.join()
    assert fault("/total/body") == "total_timeout"


def test_a_route_that_leads_nowhere_is_503(client, fault) -> None:
    client.send(request("/nobody/x"))
    assert error(client, 503, closes=False) == "no_endpoint"
    assert fault("/nobody/x") == "no_endpoint"
