"""The filter `bandwidth_limit` against real traffic.

What has arrived by any moment is at most the burst and the rate for the time until then; how much
less it is depends on the machine.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testenv import (
    Origin,
    OriginRequest,
    Proxy,
    Reply,
    filter_example,
    origin,
    running,
    wait_until,
)
from testenv.h2 import h2_dial

RATE, BURST, BODY = 200_000, 20_000, b"0123456789" * 10_000
FEW = "rate: 1, burst: 1"
CONFIG = """
workers: 1
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
upstreams: {{app: {{endpoints: "{app}", timeouts: {{read: 2s}}}}}}
routes:
  - {{match: {{path: /example}}, upstream: app, filters: {example}}}
  - match: {{path: /both}}
    upstream: app
    filters:
      - bandwidth_limit: {{download: {{{some}}}, upload: {{{some}}}}}
      - compression: {{}}
  - match: {{path: /few}}
    upstream: app
    filters: [{{bandwidth_limit: {{download: {{{few}}}, upload: {{{few}}}}}}}]
  - {{match: {{path: /free}}, upstream: app}}
"""


@pytest.fixture(scope="module")
def app() -> Iterator[Origin]:
    def answer(request: OriginRequest) -> Reply:
        return Reply(body=BODY if request.method == "GET" else str(len(request.body)).encode())

    with origin(answer) as started:
        yield started


@pytest.fixture(scope="module", params=["http/1", "h2c"])
def proxy(app: Origin, request: pytest.FixtureRequest) -> Iterator[Proxy]:
    """In front of the origin, or (h2c) of another proxy that has no limits."""
    text = CONFIG.format(
        app=app.address,
        example=json.dumps(filter_example("bandwidth_limit")),
        some=f"rate: {RATE}, burst: {BURST}",
        few=FEW,
    )
    if request.param == "http/1":
        with running(text) as started:
            yield started
        return
    plain = f"""
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {{endpoints: "{app.address}"}}}}
    routes: [{{upstream: app}}]
    """
    with running(plain) as behind:
        address = f"127.0.0.1:{behind.port()}"
        through = text.replace(app.address, address).replace(
            "timeouts:", "protocol: h2c, timeouts:"
        )
        with running(through) as started:
            yield started


class Meter:
    """Bytes, and whether there were ever too many of them."""

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.bytes = 0

    def add(self, count: int) -> None:
        self.bytes += count
        assert self.bytes <= BURST + RATE * (time.monotonic() - self.since)


def test_the_example_lets_bodies_pass(proxy: Proxy) -> None:
    assert proxy.get("/example").body == BODY
    assert proxy.get("/example", method="POST", body=BODY).text == str(len(BODY))


def test_a_download_is_never_faster(proxy: Proxy) -> None:
    meter, heard = Meter(), b""
    with socket.create_connection(("127.0.0.1", proxy.port())) as sock:
        sock.sendall(b"GET /both HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        while piece := sock.recv(65536):
            heard += piece
            head, _, body = heard.partition(b"\r\n\r\n")
            meter.bytes = 0
            meter.add(len(body))
    assert b"content-length: 100000" in head.lower()  # it keeps its length
    assert body == BODY


def test_a_download_over_http_2_is_never_faster(proxy: Proxy) -> None:
    meter = Meter()
    with h2_dial(proxy.port()) as client:
        stream = client.streams[client.request("GET", "/both")]
        while not stream.over:
            client.hear()
            meter.bytes = 0
            meter.add(len(stream.body))
    assert bytes(stream.body) == BODY


def _upload(proxy: Proxy) -> bytes:
    return proxy.get("/both", method="POST", body=BODY).body


def _upload_h2(proxy: Proxy) -> bytes:
    with h2_dial(proxy.port()) as client:
        number = client.request("POST", "/both", end=False)
        client.send(number, BODY, end=True)
        return bytes(client.response(number).body)


@pytest.mark.parametrize("upload", [_upload, _upload_h2])
def test_an_upload_is_never_faster(proxy: Proxy, upload: Callable[[Proxy], bytes]) -> None:
    meter = Meter()
    assert upload(proxy) == str(len(BODY)).encode()
    meter.add(len(BODY))


def test_what_is_held_back_holds_up_nobody_else(proxy: Proxy) -> None:
    held = [socket.create_connection(("127.0.0.1", proxy.port())) for _ in range(20)]
    try:
        for sock in held:
            sock.sendall(b"GET /few HTTP/1.1\r\nHost: a\r\n\r\n")
        assert proxy.get("/free").body == BODY
        with h2_dial(proxy.port()) as client:
            first, second = client.request("GET", "/few"), client.request("GET", "/free")
            assert bytes(client.response(second).body) == BODY
            assert len(client.streams[first].body) < len(BODY)
    finally:
        for sock in held:
            sock.close()
    assert proxy.get("/free").body == BODY


def test_the_time_of_a_limit_is_not_the_origins(proxy: Proxy) -> None:
    """It is held back for longer than the origin may be silent."""
    with socket.create_connection(("127.0.0.1", proxy.port())) as sock:
        sock.sendall(b"GET /few HTTP/1.1\r\nHost: a\r\n\r\n")
        heard = bytearray()

        def has_more() -> bool:
            heard.extend(sock.recv(65536))
            return len(heard.partition(b"\r\n\r\n")[2]) >= 4

        wait_until(has_more, "four bytes, one a second")


def test_files_are_held_back_as_bodies_of_origins_are(tmp_path: Path) -> None:
    """Without a filter that looks at them, the kernel would move them to the socket by itself."""
    (tmp_path / "file").write_bytes(BODY)
    text = f"""
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    routes:
      - respond: {{status: 404}}
        filters:
          - bandwidth_limit: {{download: {{rate: {RATE}, burst: {BURST}}}}}
          - static: {{root: {tmp_path}}}
    """
    with running(text) as proxy:
        meter = Meter()
        assert proxy.get("/file").body == BODY
        meter.add(len(BODY))
