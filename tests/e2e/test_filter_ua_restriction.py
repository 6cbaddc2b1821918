"""The filter `ua_restriction` against real traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from testenv import Proxy, exchange, filter_example, running

EXAMPLE = json.dumps(filter_example("ua_restriction"))


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    config = f"""
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    routes:
      - {{match: {{path: /example}}, respond: {{}}, filters: {EXAMPLE}}}
      - match: {{path: /only}}
        respond: {{}}
        filters: [{{ua_restriction: {{allow: ["^App/[0-9]+$"], deny: [666]}}}}]
    """
    with running(config) as started:
        yield started


def status_of(proxy: Proxy, path: str, *agents: str) -> int:
    lines = "".join(f"User-Agent: {agent}\r\n" for agent in agents)
    raw = f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{lines}\r\n".encode()
    return int(exchange(proxy.port(), raw).split()[1])


def test_the_example_refuses_robots_and_the_nameless(proxy: Proxy) -> None:
    assert status_of(proxy, "/example", "Mozilla/5.0") == 200
    assert status_of(proxy, "/example", "SomeBot/1.0") == 403
    assert status_of(proxy, "/example", "curl/8") == 403
    assert status_of(proxy, "/example", "not curl/8") == 200
    assert status_of(proxy, "/example") == 403


def test_where_something_is_allowed_all_else_is_refused(proxy: Proxy) -> None:
    assert status_of(proxy, "/only", "App/7") == 200
    assert status_of(proxy, "/only", "App/x") == 403
    assert status_of(proxy, "/only", "App/1666") == 403
    assert status_of(proxy, "/only") == 200


def test_of_several_the_worst_counts(proxy: Proxy) -> None:
    assert status_of(proxy, "/only", "App/7", "App/8") == 200
    assert status_of(proxy, "/only", "App/7", "curl/8") == 403
