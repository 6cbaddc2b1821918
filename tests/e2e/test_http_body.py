"""Bodies in both directions: framing, sizes, trailers, and memory that does not depend on them."""

from __future__ import annotations

import hashlib
import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testenv.raw import Wire, chunked, dial, fields_of, request, response

CHUNKED = "Transfer-Encoding: chunked"
MIB = 1 << 20
# How much a worker may grow for one body of any size; sanitizers keep freed memory for a while.
SLACK = (256 if os.environ.get("PYPROXY_SANITIZED") else 4) << 20

CONFIG = """
workers: 1
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams: {app: {endpoints: ["$app"], pool: {max_idle: 0}}}
routes:
  - {match: {path: /big}, upstream: app, max_body: unlimited}
  - {upstream: app}
"""


def unchunked(raw: bytes) -> bytes:
    """The content of a chunked body without trailers."""
    body, at = b"", 0
    while True:
        end = raw.index(b"\r\n", at)
        size = int(raw[at:end], 16)
        if size == 0:
            assert raw[end:] == b"\r\n\r\n"
            return body
        body += raw[end + 2 : end + 2 + size]
        at = end + 2 + size + 2


def splits(raw: bytes) -> Iterator[list[bytes]]:
    """Every way to cut in two, and one that cuts everywhere."""
    for at in range(1, len(raw)):
        yield [raw[:at], raw[at:]]
    yield [raw[i : i + 1] for i in range(len(raw))]


# ---- up


def test_a_request_body_with_length_is_passed_on_with_length(client, app) -> None:
    client.send(request("/", method="PUT", body=b"hello"))
    up = app.accept()
    head = fields_of(up.read_head())
    assert head["content-length"] == "5"
    assert "transfer-encoding" not in head
    assert up.take(5) == b"hello"
    up.send(response())
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_a_chunked_request_body_is_chunked_anew(client, app) -> None:
    raw = b'5;name=value\r\nhello\r\n1;q="a;b"\r\n \r\n005\r\nworld\r\n0\r\n\r\n'
    client.send(request("/", CHUNKED, method="POST") + raw)
    up = app.accept()
    head = fields_of(up.read_head())
    assert head["transfer-encoding"] == "chunked"
    assert "content-length" not in head
    passed = up.read_chunked()
    assert unchunked(passed) == b"hello world"
    assert b"name" not in passed
    up.send(response())
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_a_request_may_be_cut_at_every_place(client, app, kind) -> None:
    if kind == "length":
        raw = request("/p", method="POST", body=b"0123456789")
    else:
        raw = request("/p", CHUNKED, method="POST") + chunked(b"0123", b"456789")
    for pieces in splits(raw):
        client.send(*pieces)
        up = app.accept()
        up.read_head()
        if kind == "length":
            assert up.take(10) == b"0123456789"
        else:
            assert unchunked(up.read_chunked()) == b"0123456789"
        up.send(response(b"ok"))
        client.read_head()
        assert client.take(2) == b"ok"


def test_a_body_of_length_zero_is_said_to_be_empty(client, app) -> None:
    client.send(request("/", "Content-Length: 0", method="POST"))
    up = app.accept()
    assert fields_of(up.read_head())["content-length"] == "0"
    up.send(response())
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_an_empty_chunked_body_is_passed_on(client, app) -> None:
    client.send(request("/", CHUNKED, method="POST") + b"0\r\n\r\n")
    up = app.accept()
    up.read_head()
    assert up.read_chunked() == b"0\r\n\r\n"
    up.send(response())
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_get_may_have_a_body(client, app) -> None:
    client.send(request("/", method="GET", body=b"query"))
    up = app.accept()
    up.read_head()
    assert up.take(5) == b"query"
    up.send(response())
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_request_body_bytes_reach_the_origin_as_they_come(client, app) -> None:
    """Nothing waits for the end of the body: the origin can answer what it has."""
    client.send(request("/", CHUNKED, method="POST"))
    up = app.accept()
    up.read_head()
    for word in (b"ping", b"pong"):
        client.send(b"4\r\n" + word + b"\r\n")
        assert up.take(9) == b"4\r\n" + word + b"\r\n"
    client.send(b"0\r\n\r\n")
    assert up.take(5) == b"0\r\n\r\n"
    up.send(response())
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


# ---- down


def test_a_response_body_with_length_is_passed_on_with_length(client, app) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    up.send(response(b"hello"))
    head = fields_of(client.read_head())
    assert head["content-length"] == "5"
    assert "transfer-encoding" not in head
    assert client.take(5) == b"hello"


def test_a_chunked_response_body_is_chunked_anew(client, app) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    up.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;name=value\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n"
    )
    head = fields_of(client.read_head())
    assert head["transfer-encoding"] == "chunked"
    assert "content-length" not in head
    assert unchunked(client.read_chunked()) == b"hello world"


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_a_response_may_be_cut_at_every_place(client, app, kind) -> None:
    if kind == "length":
        raw = response(b"0123456789")
    else:
        raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"0123", b"456789")
    for pieces in splits(raw):
        client.send(request())
        up = app.accept()
        up.read_head()
        up.send(*pieces)
        client.read_head()
        if kind == "length":
            assert client.take(10) == b"0123456789"
        else:
            assert unchunked(client.read_chunked()) == b"0123456789"


def test_response_body_bytes_reach_the_client_as_they_come(client, app) -> None:
    client.send(request())
    up = app.accept()
    up.read_head()
    up.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    client.read_head()
    for word in (b"tick", b"tock"):
        up.send(b"4\r\n" + word + b"\r\n")
        assert client.take(9) == b"4\r\n" + word + b"\r\n"
    up.send(b"0\r\n\r\n")
    assert client.take(5) == b"0\r\n\r\n"


# ---- trailers


def test_request_trailers_are_passed_on(client, app) -> None:
    client.send(
        request("/", CHUNKED, "Trailer: X-Sum", method="POST")
        + chunked(b"data", trailers=b"X-Sum: 42\r\nX-Other: y\r\n")
    )
    up = app.accept()
    up.read_head()
    assert up.read_chunked() == b"4\r\ndata\r\n0\r\nX-Sum: 42\r\nX-Other: y\r\n\r\n"
    up.send(response())
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_response_trailers_are_passed_on(client, app) -> None:
    client.send(request("/", "TE: trailers", "Connection: TE"))
    up = app.accept()
    assert fields_of(up.read_head())["te"] == "trailers"
    up.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
        + chunked(b"data", trailers=b"X-Sum: 42\r\n")
    )
    client.read_head()
    assert client.read_chunked() == b"4\r\ndata\r\n0\r\nX-Sum: 42\r\n\r\n"


# ---- big


def feed(wire: Wire, total: int, seed: int) -> str:
    """Send <total> bytes; their SHA-256."""
    block = hashlib.sha512(bytes([seed])).digest() * 1024
    summed = hashlib.sha256()
    for _ in range(total // len(block)):
        summed.update(block)
        wire.sock.sendall(block)
    return summed.hexdigest()


def swallow(wire: Wire, total: int) -> str:
    """Read <total> bytes; their SHA-256."""
    summed = hashlib.sha256()
    while total:
        got = bytes(wire.rest) or wire.sock.recv(min(total, 262144))
        wire.rest.clear()
        assert got
        summed.update(got)
        total -= len(got)
    return summed.hexdigest()


def swallow_chunks(wire: Wire) -> str:
    """Read a chunked body; the SHA-256 of its content."""
    summed = hashlib.sha256()
    while size := int(wire.take_until(b"\r\n"), 16):
        summed.update(wire.take(size))
        assert wire.take(2) == b"\r\n"
        wire.seen.clear()
    assert wire.take(2) == b"\r\n"
    return summed.hexdigest()


def peak_memory(pid: int) -> int:
    """The most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def forget_peak(pid: int) -> int:
    """Begin anew with the peak; the memory of now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak_memory(pid)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_64_mib_pass_unchanged_in_bounded_memory(shared, app, client, direction) -> None:
    total = 64 * MIB
    (worker,) = shared[0].workers()
    before = forget_peak(worker)
    sums: list[str] = []
    if direction == "up":
        head = request("/big", f"Content-Length: {total}", method="PUT")
        client.send(head)
        up = app.accept()
        assert fields_of(up.read_head())["content-length"] == str(total)
        sender = threading.Thread(target=lambda: sums.append(feed(client, total, 1)))
        sender.start()
        sums.append(swallow(up, total))
        sender.join()
        up.send(response(b"thanks"))
        client.read_head()
        assert client.take(6) == b"thanks"
    else:
        client.send(request("/big"))
        up = app.accept()
        up.read_head()
        up.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        sender = threading.Thread(target=lambda: sums.append(feed(up, total, 2)))
        sender.start()
        client.read_head()
        sums.append(swallow(client, total))
        sender.join()
    assert sums[0] == sums[1]
    assert peak_memory(worker) - before < SLACK


@pytest.mark.parametrize("direction", ["up", "down"])
def test_big_chunked_bodies_pass_unchanged_in_bounded_memory(
    shared, app, client, direction
) -> None:
    blocks = [hashlib.sha512(bytes([n])).digest() * (n * 97 + 1) for n in range(100)]
    raw = chunked(*blocks)
    expected = hashlib.sha256(b"".join(blocks)).hexdigest()
    (worker,) = shared[0].workers()
    before = forget_peak(worker)
    if direction == "up":
        client.send(request("/big", CHUNKED, method="PUT"))
        source, sink = client, app.accept()
        sink.read_head()
    else:
        client.send(request("/big"))
        source, sink = app.accept(), client
        source.read_head()
        source.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        sink.read_head()
    sender = threading.Thread(target=source.send, args=(raw,))
    sender.start()
    assert swallow_chunks(sink) == expected
    sender.join()
    if direction == "up":
        sink.send(response())
        client.read_head()
    assert peak_memory(worker) - before < SLACK


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_receiver_that_does_not_read_stops_the_sender(shared, app, client, direction) -> None:
    """Back-pressure: the sender gets stuck long before 64 MiB, and then everything arrives."""
    total = 64 * MIB
    (worker,) = shared[0].workers()
    before = forget_peak(worker)
    if direction == "up":
        client.send(request("/big", f"Content-Length: {total}", method="PUT"))
        source, sink = client, app.accept()
        sink.read_head()
    else:
        client.send(request("/big"))
        source, sink = app.accept(), client
        source.read_head()
        source.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        sink.read_head()
    block, sent, refused = bytes(65536), 0, 0
    source.sock.setblocking(False)
    while refused < 200 and sent < total:
        try:
            sent += source.sock.send(block)
            refused = 0
        except BlockingIOError:
            refused += 1
            threading.Event().wait(0.005)
    assert sent < total
    assert peak_memory(worker) - before < SLACK
    source.sock.settimeout(30)
    rest = threading.Thread(target=lambda: source.sock.sendall(bytes(total - sent)))
    rest.start()
    assert swallow(sink, total) == hashlib.sha256(bytes(total)).hexdigest()
    rest.join()


def test_bodies_flow_both_ways_at_once(shared, app, client) -> None:
    """An origin that echoes while the request still comes."""
    client.send(request("/big", CHUNKED, method="POST"))
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.read_head()
    for n in range(50):
        piece = chunked(bytes([n]) * 3000)[:-5]
        client.send(piece)
        assert up.take(len(piece)) == piece
        up.send(piece)
        assert client.take(len(piece)) == piece
    client.send(b"0\r\n\r\n")
    assert up.take(5) == b"0\r\n\r\n"
    up.send(b"0\r\n\r\n")
    assert client.take(5) == b"0\r\n\r\n"


def test_many_clients_at_once_get_their_own_bodies(shared, app) -> None:
    wires = [dial(shared[0].port()) for _ in range(40)]
    for n, wire in enumerate(wires):
        wire.send(request(f"/{n}", method="POST", body=b"%03d" % n))
    for _ in wires:
        up = app.accept()
        n = int(up.read_head().split(b" ")[1][1:])
        assert up.take(3) == b"%03d" % n
        up.send(response(b"%03d" % n * 1000))
    for n, wire in enumerate(wires):
        wire.read_head()
        assert wire.take(3000) == b"%03d" % n * 1000
        wire.close()


def test_sizes_around_every_buffer_pass(client, app) -> None:
    edges = (4096, 8192, 16384, 32768, 65536, 131072, 262144)
    sizes = [edge + d for edge, d in itertools.product(edges, (-1, 0, 1))]
    for size in sizes:
        body = hashlib.sha512(size.to_bytes(4, "big")).digest() * (size // 64 + 1)
        body = body[:size]
        client.send(request("/", method="POST", body=body))
        up = app.accept()
        up.read_head()
        assert up.take(size) == body
        up.send(response(body))
        client.read_head()
        assert client.take(size) == body
