"""Python filters on bodies: piece by piece, and whole."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testenv import Proxy, running
from testenv.raw import RawOrigin, Wire, chunked, dial, fields_of, request, response, same_workers

# How much a worker may grow for one body of any size; sanitizers keep freed memory for a while.
SLACK = (256 if os.environ.get("PYPROXY_SANITIZED") else 4) << 20

MODULE = '''
import asyncio

from pyproxy.filters.base import Filter, Reply


class Shout(Filter):
    def request_body(self, exchange, chunk, last):
        assert type(chunk) is bytes and type(last) is bool
        return chunk.upper()

    def response_body(self, exchange, chunk, last):
        return chunk.upper() + (b"!" if last else b"")


class Later(Shout):
    async def request_body(self, exchange, chunk, last):
        await asyncio.sleep(0.001)
        return super().request_body(exchange, chunk, last)

    async def response_body(self, exchange, chunk, last):
        await asyncio.sleep(0.001)
        return super().response_body(exchange, chunk, last)


class Watch(Filter):
    """Changes nothing."""

    def request_body(self, exchange, chunk, last):
        pass

    async def response_body(self, exchange, chunk, last):
        pass


class Drop(Filter):
    def request_body(self, exchange, chunk, last):
        return b""

    def response_body(self, exchange, chunk, last):
        return b""


class Whole(Filter):
    buffer_request_body = 100
    buffer_response_body = 100

    def request_body(self, exchange, chunk, last):
        assert last
        exchange.state["length"] = len(chunk)
        return b"<" + chunk + b">"

    def upstream_request(self, exchange):
        exchange.request.headers["x-length"] = str(exchange.state.get("length"))

    def response_body(self, exchange, chunk, last):
        assert last
        return b"[" + chunk + b"]"


class WholeLater(Whole):
    async def request_body(self, exchange, chunk, last):
        await asyncio.sleep(0.001)
        return super().request_body(exchange, chunk, last)

    async def response_body(self, exchange, chunk, last):
        await asyncio.sleep(0.001)
        return super().response_body(exchange, chunk, last)


class Grow(Filter):
    """Makes bodies a hundred times as long."""

    def request_body(self, exchange, chunk, last):
        return chunk * 100

    def response_body(self, exchange, chunk, last):
        return chunk * 100


class Refuse(Filter):
    """Answers once it has seen the whole body."""

    buffer_request_body = 100

    def request_body(self, exchange, chunk, last):
        if b"evil" in chunk:
            return Reply(403, body=b"no " + chunk)


class RefuseLater(Refuse):
    async def request_body(self, exchange, chunk, last):
        await asyncio.sleep(0)
        return super().request_body(exchange, chunk, last)


class RefuseStream(Filter):
    """Answers in the middle of a streamed body."""

    def request_body(self, exchange, chunk, last):
        if b"evil" in chunk:
            return Reply(403, body="no")


class Wrong(Filter):
    def response_body(self, exchange, chunk, last):
        return "text"
'''

FILTERS = (
    "Shout", "Later", "Watch", "Drop", "Whole", "WholeLater", "Grow", "Refuse", "RefuseLater",
    "RefuseStream", "Wrong",
)  # fmt: skip


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Proxy, RawOrigin]]:
    with RawOrigin() as app:
        routes = "".join(
            f"""
              - match: {{path: "/{name.lower()}"}}
                upstream: app
                max_body: unlimited
                filters: [{{python: {{use: "bodies:{name}"}}}}]"""
            for name in FILTERS
        )
        double = """
              - match: {path: "/double"}
                upstream: app
                filters:
                  - {python: {use: "bodies:Later"}}
                  - {python: {use: "bodies:Shout"}}
                  - {python: {use: "bodies:Later"}}"""
        with (
            running(
                f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams: {{app: {{endpoints: ["{app.address}"], pool: {{max_idle: 0}}}}}}
            routes:{routes}{double}
        """,
                files={"bodies.py": MODULE},
            ) as proxy,
            same_workers(proxy),
        ):
            yield proxy, app


@pytest.fixture
def app(shared) -> Iterator[RawOrigin]:
    yield shared[1]
    shared[1].drop()


@pytest.fixture
def client(shared) -> Iterator[Wire]:
    with dial(shared[0].port()) as wire:
        yield wire


def content(wire: Wire, head: bytes) -> bytes:
    """A body, however it is framed."""
    fields = fields_of(head)
    if "content-length" in fields:
        return wire.take(int(fields["content-length"]))
    body = b""
    while size := int(wire.take_until(b"\r\n"), 16):
        body += wire.take(size)
        assert wire.take(2) == b"\r\n"
    assert wire.take(2) == b"\r\n"
    return body


def exchange(client: Wire, app: RawOrigin, path: str, body: bytes, answer: bytes) -> tuple:
    """One exchange; what the origin and the client get: head and body each."""
    client.send(request(path, method="POST", body=body))
    up = app.accept()
    up_head = up.read_head()
    up_body = content(up, up_head)
    up.send(response(answer))
    down_head = client.read_head()
    return up_head, up_body, down_head, content(client, down_head)


@pytest.mark.parametrize("path", ["/shout", "/later"])
def test_streamed_bodies_can_be_changed(client, app, path) -> None:
    for _ in range(3):
        up_head, up_body, down_head, down_body = exchange(client, app, path, b"hello", b"world")
        assert up_body == b"HELLO"
        assert down_body == b"WORLD!"
        for head in (up_head, down_head):
            assert fields_of(head)["transfer-encoding"] == "chunked"
            assert "content-length" not in fields_of(head)


def test_a_filter_that_returns_nothing_changes_nothing(client, app) -> None:
    _, up_body, _, down_body = exchange(client, app, "/watch", b"hello", b"world")
    assert (up_body, down_body) == (b"hello", b"world")


def test_a_filter_may_swallow_a_body(client, app) -> None:
    _, up_body, _, down_body = exchange(client, app, "/drop", b"hello", b"world")
    assert (up_body, down_body) == (b"", b"")


def test_a_filter_may_make_a_body_longer(client, app) -> None:
    body = bytes(range(256)) * 300
    _, up_body, _, down_body = exchange(client, app, "/grow", body, body)
    assert len(up_body) == len(down_body) == 100 * len(body)
    assert set(up_body) == set(body)


def test_filters_of_a_chain_see_each_others_results(client, app) -> None:
    _, up_body, _, down_body = exchange(client, app, "/double", b"hello", b"world")
    assert (up_body, down_body) == (b"HELLO", b"WORLD!!!")


@pytest.mark.parametrize("path", ["/shout", "/later"])
def test_pieces_are_passed_on_as_they_come(client, app, path) -> None:
    client.send(request(path, "Transfer-Encoding: chunked", method="POST"))
    up = app.accept()
    up.read_head()
    for word in (b"ping", b"pong"):
        client.send(b"4\r\n" + word + b"\r\n")
        assert up.take(9) == b"4\r\n" + word.upper() + b"\r\n"
    client.send(b"0\r\n\r\n")
    assert up.take(5) == b"0\r\n\r\n"
    up.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.read_head()
    for word in (b"tick", b"tock"):
        up.send(b"4\r\n" + word + b"\r\n")
        assert client.take(9) == b"4\r\n" + word.upper() + b"\r\n"
    up.send(b"0\r\n\r\n")
    assert client.read_chunked() == b"1\r\n!\r\n0\r\n\r\n"


def test_an_http10_client_gets_a_changed_body_until_close(client, app) -> None:
    client.send(b"GET /shout HTTP/1.0\r\n\r\n")
    up = app.accept()
    up.read_head()
    up.send(response(b"world"))
    assert "content-length" not in fields_of(client.read_head())
    assert client.read_to_end() == b"WORLD!"


@pytest.mark.parametrize("path", ["/shout", "/later"])
def test_a_body_until_close_is_filtered(client, app, path) -> None:
    client.send(request(path))
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\n\r\nworld")
    up.close()
    assert content(client, client.read_head()) == b"WORLD!"


@pytest.mark.parametrize("path", ["/shout", "/later"])
def test_big_bodies_pass_through_filters_in_bounded_memory(shared, client, app, path) -> None:
    block = hashlib.sha512(b"x").hexdigest().encode() * 512
    total = len(block) * 128
    expected = hashlib.sha256(block.upper() * 128).hexdigest()
    (worker,) = shared[0].workers()
    Path(f"/proc/{worker}/clear_refs").write_text("5")
    before = peak_memory(worker)
    client.send(request(path, f"Content-Length: {total}", method="POST"))
    up = app.accept()
    up.read_head()
    sender = threading.Thread(target=lambda: [client.sock.sendall(block) for _ in range(128)])
    sender.start()
    summed = hashlib.sha256()
    while size := int(up.take_until(b"\r\n"), 16):
        summed.update(up.take(size))
        up.take(2)
    assert summed.hexdigest() == expected
    sender.join()
    assert peak_memory(worker) - before < SLACK


def peak_memory(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


# ---- whole bodies


@pytest.mark.parametrize("path", ["/whole", "/wholelater"])
def test_whole_bodies_are_seen_at_once_and_sent_with_length(client, app, path) -> None:
    client.send(request(path, "Transfer-Encoding: chunked", method="POST"))
    client.send(b"3\r\nhel\r\n", b"2\r\nlo\r\n", b"0\r\n\r\n")
    up = app.accept()
    head = fields_of(up.read_head())
    assert head["content-length"] == "7"
    assert head["x-length"] == "5"
    assert up.take(7) == b"<hello>"
    up.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", chunked(b"wor"), b"")
    head = fields_of(client.read_head())
    assert head["content-length"] == "5"
    assert client.take(5) == b"[wor]"


@pytest.mark.parametrize("path", ["/whole", "/wholelater"])
def test_the_origin_hears_nothing_before_the_body_is_whole(client, app, path) -> None:
    client.send(request(path, "Content-Length: 5", method="POST"), b"hel")
    with pytest.raises(AssertionError):
        assert app.has_connection
    client.send(b"lo")
    up = app.accept()
    assert fields_of(up.read_head())["content-length"] == "7"
    up.send(response(b""))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_a_request_without_body_has_nothing_to_wait_for(client, app) -> None:
    client.send(request("/whole"))
    up = app.accept()
    assert "content-length" not in fields_of(up.read_head())
    up.send(response(b"", 204, "No Content", length=False))
    assert client.read_head().startswith(b"HTTP/1.1 204 ")


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_whole_body_over_the_limit_is_413(client, app, framing) -> None:
    if framing == "length":
        client.send(request("/whole", method="POST", body=bytes(101)))
    else:
        client.send(request("/whole", "Transfer-Encoding: chunked", method="POST"))
        client.send(chunked(bytes(60), bytes(60)))
    assert client.read_head().startswith(b"HTTP/1.1 413 ")
    client.read_to_end()
    assert not app.has_connection


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_whole_response_over_the_limit_is_502(client, app, framing) -> None:
    client.send(request("/whole"))
    up = app.accept()
    up.read_head()
    if framing == "length":
        up.try_send(response(bytes(101)))
    else:
        up.try_send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        up.try_send(chunked(bytes(60), bytes(60)))
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 502 ")
    assert json.loads(content(client, head))["error"] == "upstream_body_too_large"
    assert up.read_to_end() == b""


def test_bodies_of_exactly_the_limit_pass(client, app) -> None:
    _, up_body, _, down_body = exchange(client, app, "/whole", bytes(100), bytes(100))
    assert len(up_body) == len(down_body) == 102


@pytest.mark.parametrize("path", ["/refuse", "/refuselater"])
def test_a_whole_body_may_be_answered(client, app, path) -> None:
    for _ in range(2):
        client.send(request(path, method="POST", body=b"evil"))
        head = client.read_head()
        assert head.startswith(b"HTTP/1.1 403 ")
        assert content(client, head) == b"no evil"
    assert not app.has_connection
    assert exchange(client, app, path, b"good", b"")[1] == b"good"


def test_a_streamed_body_may_be_answered_in_the_middle(client, app) -> None:
    client.send(request("/refusestream", "Transfer-Encoding: chunked", method="POST"))
    client.send(b"4\r\ngood\r\n")
    up = app.accept()
    up.read_head()
    assert up.take(9) == b"4\r\ngood\r\n"
    client.send(b"4\r\nevil\r\n")
    assert client.read_head().startswith(b"HTTP/1.1 403 ")
    assert b"evil" not in up.read_to_end()


def test_a_result_that_is_no_body_ends_the_exchange(shared, client, app) -> None:
    client.send(request("/wrong"))
    up = app.accept()
    up.read_head()
    up.send(response(b"world"))
    client.read_head()
    assert b"0\r\n\r\n" not in client.read_to_end()
    shared[0].wait_for("response_body returned str")
