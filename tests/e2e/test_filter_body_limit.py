"""The filter `body_limit` against real traffic."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from testenv import OriginRequest, Proxy, Reply, filter_example, origin, running


def length(request: OriginRequest) -> Reply:
    return Reply(body=str(len(request.body)).encode())


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    config = """
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {{endpoints: "{address}"}}}}
    routes:
      - {{match: {{path: /example}}, upstream: app, filters: {example}}}
      - {{match: {{path: /free}}, upstream: app}}
    """
    with origin(length) as app:
        text = config.format(address=app.address, example=json.dumps(filter_example("body_limit")))
        with running(text) as started:
            yield started


def post(proxy: Proxy, path: str, n: int, *, chunked: bool = False, more: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{more}"
    if chunked:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (n, b"x" * n)
        head += "Transfer-Encoding: chunked\r\n\r\n"
    else:
        body = b"x" * n
        head += f"Content-Length: {n}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port())) as sock:
        sock.sendall(head.encode() + body)
        answer = b""
        with suppress(ConnectionResetError):  # of a body that nobody wants
            while piece := sock.recv(65536):
                answer += piece
        return answer


@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_over_the_limit_is_refused(proxy: Proxy, chunked: bool) -> None:
    assert post(proxy, "/example", 65536, chunked=chunked).endswith(b"65536")
    assert b" 413 " in post(proxy, "/example", 65537, chunked=chunked).splitlines()[0]
    assert post(proxy, "/free", 65537, chunked=chunked).endswith(b"65537")


def test_the_condition_lets_others_send_more(proxy: Proxy) -> None:
    assert post(proxy, "/example", 65537, more="X-Internal: 1\r\n").endswith(b"65537")
