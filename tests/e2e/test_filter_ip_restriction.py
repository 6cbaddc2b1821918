"""The filter `ip_restriction` against real traffic."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from testenv import Proxy, filter_example, read_response, running, send

EXAMPLE = json.dumps(filter_example("ip_restriction"))


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    config = f"""
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    routes:
      - {{match: {{path: /example}}, respond: {{}}, filters: {EXAMPLE}}}
      - match: {{path: /only}}
        respond: {{}}
        filters:
          - ip_restriction:
              allow: [127.0.0.8/29, 127.0.1.0/24, 127.0.1.7]
              status: 404
              message: ""
    """
    with running(config) as started:
        yield started


def status_from(proxy: Proxy, source: str, path: str) -> tuple[int, str]:
    with socket.create_connection(
        ("127.0.0.1", proxy.port()), timeout=30, source_address=(source, 0)
    ) as sock:
        send(sock, path)
        answer = read_response(sock)
    return answer.status, answer.text


def test_the_example_refuses_what_is_denied(proxy: Proxy) -> None:
    assert status_from(proxy, "127.0.0.1", "/example")[0] == 200
    assert status_from(proxy, "127.0.0.66", "/example") == (403, "not from there\n")


def test_where_something_is_allowed_all_else_is_refused(proxy: Proxy) -> None:
    outside = ("127.0.0.7", "127.0.0.16", "127.0.2.0")
    inside = ("127.0.0.8", "127.0.0.15", "127.0.1.0", "127.0.1.7", "127.0.1.255")
    for source in outside + inside:
        status = 200 if source in inside else 404
        assert status_from(proxy, source, "/only") == (status, ""), source
