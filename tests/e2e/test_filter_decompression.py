"""The filter `decompression` against real traffic, encoded by the libraries' own bindings."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator

import brotli
import pytest
import zstandard

from testenv import OriginRequest, Proxy, Reply, filter_example, origin, running

TEXT = b"".join(b'{"id": %d, "name": "item-%d"},\n' % (i * i, i % 17) for i in range(9000))
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": lambda data: bytes(brotli.compress(data, quality=5)),
    "zstd": zstandard.compress,
}


def answer(request: OriginRequest) -> Reply:
    """What it was sent, by its length and last bytes; or, encoded, what the path asks for."""
    coding = request.path.strip("/")
    if coding in ENCODERS:
        headers = {"Content-Encoding": coding, "ETag": '"v1"', "Content-Type": "application/json"}
        return Reply(body=ENCODERS[coding](TEXT), headers=headers)
    said = {"length": len(request.body), "same": request.body == TEXT}
    return Reply(body=json.dumps({**said, "fields": request.headers}).encode())


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with origin(answer) as app:
        text = f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams: {{app: {{endpoints: "{app.address}"}}}}
        filters: {json.dumps(filter_example("decompression"))}
        routes: [{{upstream: app}}]
        """
        with running(text) as started:
            yield started


@pytest.mark.parametrize("coding", ENCODERS)
def test_responses_are_decoded_for_who_does_not_take_them(proxy: Proxy, coding: str) -> None:
    for _ in range(3):
        got = proxy.get(f"/{coding}", headers={"Accept-Encoding": f"{coding};q=0"})
        assert "content-encoding" not in got.headers
        assert got.headers["etag"] == 'W/"v1"'
        assert got.headers["vary"] == "Accept-Encoding"
        assert got.body == TEXT
    got = proxy.get(f"/{coding}", headers={"Accept-Encoding": coding})
    assert got.headers["content-encoding"] == coding
    assert got.headers["etag"] == '"v1"'


@pytest.mark.parametrize("coding", ENCODERS)
def test_requests_are_decoded(proxy: Proxy, coding: str) -> None:
    headers = {"Content-Encoding": coding}
    got = proxy.get("/", method="POST", headers=headers, body=ENCODERS[coding](TEXT))
    said = json.loads(got.text)
    assert (said["length"], said["same"]) == (len(TEXT), True)
    assert "content-encoding" not in said["fields"]


def test_a_coding_that_is_unknown_is_told(proxy: Proxy) -> None:
    got = proxy.get("/", method="POST", headers={"Content-Encoding": "compress"}, body=b"x")
    assert got.status == 415
    assert got.headers["accept-encoding"] == "gzip, deflate, br, zstd"


@pytest.mark.parametrize("coding", ENCODERS)
def test_a_bomb_is_refused(proxy: Proxy, coding: str) -> None:
    bomb = ENCODERS[coding](bytes(32 << 20))
    got = proxy.get("/", method="POST", headers={"Content-Encoding": coding}, body=bomb)
    assert got.status == 413
    assert json.loads(got.text)["error"] == "decompression_bomb"
