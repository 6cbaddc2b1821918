"""Answers that come little by little: each piece reaches the client before the next one exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from testenv import Proxy, running
from testenv.raw import RawOrigin, dial, fields_of, request, same_workers

MODULE = """
import asyncio

from pyproxy.filters.base import Filter


class Watch(Filter):
    def response_body(self, exchange, chunk, last):
        return chunk


class Later(Filter):
    async def response_body(self, exchange, chunk, last):
        await asyncio.sleep(0)
        return chunk


class Heads(Filter):
    def response(self, exchange):
        exchange.response.headers["x-seen"] = "yes"
"""

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Iterator[tuple[Proxy, RawOrigin]]:
    folder = Path(tmp_path_factory.mktemp("stream"))
    (folder / "streamfilters.py").write_text(MODULE)
    routes = "".join(
        f"""
          - match: {{path: "/{name.lower()}"}}
            filters: [{{python: {{use: "streamfilters:{name}"}}}}]
            upstream: app"""
        for name in ("Watch", "Later", "Heads")
    )
    with RawOrigin() as app:
        text = f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
        routes:{routes}
          - upstream: app
        """
        with running(text, folder=folder) as proxy, same_workers(proxy):
            yield proxy, app


PATHS = ["/", "/watch", "/later", "/heads"]


@pytest.mark.parametrize("path", PATHS)
def test_each_event_of_a_chunked_stream_comes_at_once(client, app, path) -> None:
    client.send(request(path, "Accept: text/event-stream"))
    up = app.accept()
    up.read_head()
    up.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    assert fields_of(client.read_head())["content-type"] == "text/event-stream"
    for i in range(20):
        event = b"id: %d\ndata: %s\n\n" % (i, b"x" * i * 50)
        up.send(b"%x\r\n%s\r\n" % (len(event), event))
        assert event in client.take_until(event)
    up.send(b"0\r\n\r\n")
    assert client.take_until(b"0\r\n\r\n")


@pytest.mark.parametrize("path", PATHS)
def test_an_event_comes_when_its_chunk_is_not_whole(client, app, path) -> None:
    client.send(request(path))
    up = app.accept()
    up.read_head()
    up.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n400\r\ndata: one\n\n")
    assert client.take_until(b"data: one\n\n")
    up.send(b"data: two\n\n")
    assert client.take_until(b"data: two\n\n")


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_until_the_end_of_the_connection(client, app, path) -> None:
    client.send(request(path))
    up = app.accept()
    up.read_head()
    up.send(HEAD + b"\r\n")
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    for event in (b"data: one\n\n", b"data: two\n\n"):
        up.send(event)
        assert client.take_until(event)
    up.end()
    assert client.take_until(b"0\r\n\r\n")


@pytest.mark.parametrize("path", PATHS)
def test_an_http10_client_gets_the_stream_as_it_comes(client, app, path) -> None:
    client.send(f"GET {path} HTTP/1.0\r\nHost: a\r\n\r\n".encode())
    up = app.accept()
    up.read_head()
    up.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    for event in (b"data: one\n\n", b"data: two\n\n"):
        up.send(b"%x\r\n%s\r\n" % (len(event), event))
        assert client.take_until(event)


@pytest.mark.parametrize("path", PATHS)
def test_a_long_poll_is_answered_in_parts_of_any_size(client, app, path) -> None:
    client.send(request(path))
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    for piece in (b"a", b"bcd", b"efghij"):
        up.send(piece)
        assert client.take_until(piece)


def test_a_client_that_goes_away_ends_the_stream_at_the_origin(shared, app) -> None:
    with dial(shared[0].port()) as client:
        client.send(request())
        up = app.accept()
        up.read_head()
        up.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n4\r\ntick\r\n")
        assert client.take_until(b"tick")
    up.read_to_end()
