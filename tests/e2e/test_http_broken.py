"""Connections that break, end early or talk at the wrong time, on either side."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from testenv import running
from testenv.raw import RawOrigin, chunked, dial, fields_of, request, response

MIB = 1 << 20

CONFIG = """
workers: 1
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams:
  app: {endpoints: ["$app"], pool: {max_idle: 0}}
routes: [{upstream: app, max_body: unlimited}]
access_log: stdout
"""


@pytest.fixture
def logged(shared):
    """The access log's line for a target, when it is there."""

    def find(target: str) -> dict:
        return shared[0].access_log(target=target)[0]

    return find


# ---- responses that do not end in order


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("kind", ["length", "big", "chunked", "chunk-head"])
def test_a_truncated_response_looks_truncated_to_the_client(client, app, logged, kind, how) -> None:
    target = f"/cut/{kind}/{how}"
    client.send(request(target))
    up = app.accept()
    up.read_head()
    up.send(
        {
            "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            "big": b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n" + bytes(MIB),
            "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "chunk-head": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n3",
        }[kind]
    )
    client.read_head()
    client.take(4 if kind == "length" else MIB if kind == "big" else 9)
    up.close() if how == "close" else up.abort()
    rest = client.read_to_end()
    assert b"0\r\n\r\n" not in rest
    line = logged(target)
    assert line["fault"] == "upstream_reset"
    assert line["status"] == 200


def test_a_truncated_response_resets_a_client_that_reads_to_the_end(client, app) -> None:
    """Without length and chunks only a reset can say that something is missing."""
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
    client.read_head()
    assert client.take(4) == b"half"
    up.close()
    client.read_to_end()
    assert client.was_reset


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX: y\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    ],
    ids=["nothing", "half-a-head", "only-interim"],
)
@pytest.mark.parametrize("how", ["close", "abort"])
def test_an_origin_that_ends_before_its_response(client, app, logged, raw, how) -> None:
    target = f"/early/{len(raw)}/{how}"
    client.send(request(target, method="POST", body=b"x"))
    up = app.accept()
    up.read_head()
    up.take(1)
    up.send(raw)
    if raw.startswith(b"HTTP/1.1 103"):
        client.read_head()
    up.close() if how == "close" else up.abort()
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 502 ")
    body = json.loads(client.take(int(fields_of(head)["content-length"])))
    assert body["status"] == 502
    assert body["error"] == "upstream_reset"
    assert logged(target)["fault"] == "upstream_reset"


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 2000 High\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"v" * 70000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
    ],
)
def test_a_malformed_response_is_502_and_nothing_of_it_passes(client, app, raw) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    up.send(raw)
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 502 ")
    body = json.loads(client.take(int(fields_of(head)["content-length"])))
    assert body["error"] in ("upstream_bad_response", "upstream_reset", "head_too_large")
    up.read_to_end()
    client.send(request("/again"))
    up = app.accept()
    up.read_head()
    up.send(response(b"fine"))
    assert client.take_until(b"fine").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "bad", [b"zz\r\n", b"-1\r\n", b"4\r\nlonger\r\n", b"ffffffffffffffffff\r\n", b"4\nhalf\n"]
)
def test_malformed_chunks_of_the_origin_cut_the_response(client, app, bad) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n")
    client.read_head()
    assert client.take(9) == b"4\r\ngood\r\n"
    up.send(bad)
    assert b"0\r\n\r\n" not in client.read_to_end()


# ---- responses that come early


def test_an_early_response_passes_while_the_request_still_comes(client, app) -> None:
    client.send(request("/", "Transfer-Encoding: chunked", method="POST"))
    up = app.accept()
    up.read_head()
    up.send(response(b"early", 401, "Unauthorized"))
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 401 ")
    assert client.take(5) == b"early"


def test_after_an_early_response_the_connection_does_not_go_on(client, app) -> None:
    """What follows on the wire is the rest of a body, not a request."""
    client.send(request("/", "Content-Length: 100000", method="POST"))
    up = app.accept()
    up.read_head()
    up.send(response(b"early", 401, "Unauthorized"))
    client.read_head()
    assert client.take(5) == b"early"
    client.try_send(request("/smuggled"))
    assert client.read_to_end() == b""
    assert not app.has_connection


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("how", ["close", "abort"])
def test_an_origin_that_answers_and_hangs_up_during_the_body_is_heard(
    client, app, how, framing
) -> None:
    """Whichever the proxy sees first: that it cannot send any more, or that there is an answer."""
    piece = bytes(65536)
    if framing == "chunked":
        piece = b"10000\r\n" + piece + b"\r\n"
    for _ in range(10):
        with dial(client.sock.getpeername()) as wire:
            if framing == "chunked":
                wire.send(request("/", "Transfer-Encoding: chunked", method="POST"))
            else:
                wire.send(request("/", f"Content-Length: {64 * MIB}", method="POST"))
            up = app.accept()
            up.read_head()
            wire.send(piece)
            up.take(65536)
            up.send(response(b"too much" * 1000, 413, "Content Too Large", "Connection: close"))
            up.close() if how == "close" else up.abort()
            # Until the answer is there, the client goes on sending.
            wire.sock.setblocking(False)
            while wire.is_quiet:
                try:
                    wire.sock.send(piece)
                except BlockingIOError:
                    continue
                except ConnectionError:
                    break
            wire.sock.settimeout(30)
            assert wire.read_head().startswith(b"HTTP/1.1 413 ")
            assert wire.take(8000) == b"too much" * 1000


def test_bytes_that_the_origin_sends_before_it_was_asked_are_no_response(shared) -> None:
    """A greeting on a fresh connection must not become the answer to somebody's request unseen."""
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
        up.send(response(b"1") + response(b"stolen"))
        client.read_head()
        assert client.take(1) == b"1"
        client.send(request("/2"))
        other = app.accept()
        other.read_head()
        other.send(response(b"2"))
        client.read_head()
        assert client.take(1) == b"2"


# ---- clients that go


def test_a_client_that_closes_while_it_waits_cancels_the_request(client, app, logged) -> None:
    client.send(request("/gone/waiting"))
    up = app.accept()
    up.read_head()
    client.close()
    assert up.read_to_end() == b""
    line = logged("/gone/waiting")
    assert line["fault"] == "client_abort"
    assert line["upstream_status"] in (0, None)


@pytest.mark.parametrize("how", ["close", "abort", "end"])
def test_a_client_that_goes_right_after_its_request_cancels_it(client, app, logged, how) -> None:
    """The end of its bytes may come in one packet with the request. To half-close is to leave."""
    for n in range(10):
        target = f"/gone/at-once/{how}/{n}"
        with dial(client.sock.getpeername()) as other:
            other.send(request(target))
            getattr(other, how)()
            assert logged(target)["fault"] == "client_abort"


def test_a_client_that_resets_while_it_waits_cancels_the_request(client, app, logged) -> None:
    client.send(request("/gone/reset"))
    up = app.accept()
    up.read_head()
    client.abort()
    assert up.read_to_end() == b""
    assert logged("/gone/reset")["fault"] == "client_abort"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size", [100, 300_000, 3 * MIB])
def test_a_client_that_half_closes_behind_a_body_is_answered(client, app, size, framing) -> None:
    """`Connection: close` said with TCP: the request is whole, and an answer can still be read."""
    body = b"x" * size
    if framing == "length":
        raw = request("/half", method="POST", body=body)
    else:
        raw = request("/half", "Transfer-Encoding: chunked", method="POST") + chunked(body)

    def upload() -> None:
        client.send(raw)
        client.end()

    with ThreadPoolExecutor(1) as pool:
        sent = pool.submit(upload)
        up = app.accept()
        head = up.read_head()
        assert head.startswith(b"POST /half ")
        got = up.take(size) if framing == "length" else up.read_chunked()
        assert got.count(b"x") == size
        sent.result()
        time.sleep(0.2)  # so that the end of the client's bytes has been seen
        up.send(response(b"y" * MIB))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert client.read_to_end() == b"y" * MIB
    assert not client.was_reset


@pytest.mark.parametrize("kind", ["length", "chunked"])
@pytest.mark.parametrize("how", ["close", "abort", "end"])
def test_a_client_that_goes_inside_its_body_cancels_the_request(
    client, app, logged, kind, how
) -> None:
    target = f"/gone/body/{kind}/{how}"
    if kind == "length":
        client.send(request(target, "Content-Length: 10", method="POST"), b"half")
    else:
        client.send(request(target, "Transfer-Encoding: chunked", method="POST"), b"4\r\nhalf\r\n")
    up = app.accept()
    up.read_head()
    up.take(4 if kind == "length" else 9)
    getattr(client, how)()
    assert b"0\r\n\r\n" not in up.read_to_end()
    assert logged(target)["fault"] == "client_abort"


@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_client_that_goes_inside_the_response_cancels_it(client, app, logged, how) -> None:
    target = f"/gone/response/{how}"
    client.send(request(target))
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 30), bytes(MIB))
    client.read_head()
    client.abort() if how == "abort" else client.close()
    while up.try_send(bytes(65536)):
        pass
    line = logged(target)
    assert line["fault"] == "client_abort"
    assert line["status"] == 200


def test_a_client_that_goes_inside_its_head_costs_nothing(shared, client, app) -> None:
    client.send(b"GET /gone/head HTTP/1.1\r\nHost: te")
    client.close()
    with dial(shared[0].port()) as other:
        other.send(request("/after"))
        up = app.accept()
        assert up.read_head().startswith(b"GET /after ")
