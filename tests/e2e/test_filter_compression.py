"""The filter `compression` against real traffic, decoded by the libraries' own bindings."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import subprocess
import threading
import zlib
from collections.abc import Iterator

import brotli
import pytest
import zstandard

from testenv import OriginRequest, Proxy, Reply, filter_example, origin, running
from testenv.certificates import certificates
from testenv.raw import RawOrigin, dial, fields_of, request

TEXT = b"".join(b'{"id": %d, "name": "item-%d"},\n' % (i * i, i % 17) for i in range(9000))


def answer(request: OriginRequest) -> Reply:
    headers = {"Content-Type": "application/json", "ETag": '"v1"'}
    size = int(request.path.rpartition("/")[2] or len(TEXT))
    return Reply(body=TEXT[:size], headers=headers)


def decoded(coding: str, body: bytes) -> bytes:
    match coding:
        case "gzip":
            return gzip.decompress(body)
        case "br":
            return bytes(brotli.decompress(body))
        case "zstd":
            return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    raise AssertionError(coding)


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with origin(answer) as app:
        text = f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams: {{app: {{endpoints: "{app.address}"}}}}
        filters: {json.dumps(filter_example("compression"))}
        routes: [{{upstream: app}}]
        """
        with running(text) as started:
            yield started


@pytest.mark.parametrize("size", [1024, 20_000, len(TEXT)])
@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_what_arrives_is_what_was_sent(proxy: Proxy, coding: str, size: int) -> None:
    for _ in range(3):  # with a new stream, and with one that was used before
        got = proxy.get(f"/{size}", headers={"Accept-Encoding": coding})
        assert got.headers["content-encoding"] == coding
        assert got.headers["vary"] == "Accept-Encoding"
        assert got.headers["etag"] == 'W/"v1"'
        assert "content-length" not in got.headers
        assert len(got.body) < size / 2
        assert decoded(coding, got.body) == TEXT[:size]


def test_the_first_of_our_list_is_taken_among_equals(proxy: Proxy) -> None:
    got = proxy.get("/", headers={"Accept-Encoding": "gzip, deflate, br, zstd"})
    assert got.headers["content-encoding"] == "zstd"
    got = proxy.get("/", headers={"Accept-Encoding": "zstd;q=0.5, br;q=0.7, gzip;q=0"})
    assert got.headers["content-encoding"] == "br"


def test_short_bodies_keep_their_length(proxy: Proxy) -> None:
    got = proxy.get("/1000", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in got.headers
    assert got.headers["content-length"] == "1000"
    assert got.headers["etag"] == '"v1"'


@pytest.mark.parametrize("version", ["--http1.0", "--http1.1", "--http2-prior-knowledge"])
def test_curl_understands_it(proxy: Proxy, version: str) -> None:
    url = f"http://127.0.0.1:{proxy.port()}/"
    command = ["curl", "-sS", "--fail", "--compressed", version, "-D", "-", url]
    done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    assert b"content-encoding: " in head.lower()
    assert body == TEXT


EVENT_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
PKI = certificates()


def config(address: str, tls: str = "") -> str:
    return f"""
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {{endpoints: "{address}"{tls}}}}}
    filters: [compression: {{}}]
    routes: [{{upstream: app}}]
    """


def test_each_event_comes_before_the_next_is_sent() -> None:
    with RawOrigin() as app, running(config(app.address)) as proxy, dial(proxy.port()) as client:
        client.send(request("/", "Accept-Encoding: gzip"))
        up = app.accept()
        up.read_head()
        up.send(EVENT_STREAM)
        assert fields_of(client.read_head())["content-encoding"] == "gzip"
        inflate = zlib.decompressobj(31)
        for i in range(50):
            event = b"id: %d\ndata: %s\n\n" % (i, b"x" * i * 100)
            up.send(event)
            seen = b""
            while len(seen) < len(event):
                size = int(client.take_until(b"\r\n"), 16)
                seen += inflate.decompress(client.take(size + 2)[:-2])
            assert seen == event


def test_events_over_tls_do_not_wait_either() -> None:
    """Whether more is there is known only by trying when an endpoint speaks TLS."""
    heard = threading.Semaphore(0)
    events = [b"data: %s\n\n" % (b"%d" % i * 400) for i in range(20)]

    def serve(listener: socket.socket, context: ssl.SSLContext) -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True) as sock:
            sock.recv(65536)
            sock.sendall(EVENT_STREAM)
            for event in events:
                sock.sendall(event)
                if not heard.acquire(timeout=30):
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        context = PKI.server_context(PKI.server)
        thread = threading.Thread(target=serve, args=(listener, context), daemon=True)
        thread.start()
        address = f"localhost:{listener.getsockname()[1]}"
        text = config(address, f", tls: {{ca: {PKI.ca.cert}}}")
        with running(text) as proxy, dial(proxy.port()) as client:
            client.send(request("/", "Accept-Encoding: gzip"))
            client.read_head()
            inflate = zlib.decompressobj(31)
            for event in events:
                seen = b""
                while len(seen) < len(event):
                    size = int(client.take_until(b"\r\n"), 16)
                    seen += inflate.decompress(client.take(size + 2)[:-2])
                assert seen == event
                heard.release()
        thread.join(30)
