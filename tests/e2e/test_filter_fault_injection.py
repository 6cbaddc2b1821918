"""The filter `fault_injection` against real traffic."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator

import pytest

from testenv import Proxy, filter_example, running

EXAMPLE = json.dumps(filter_example("fault_injection"))


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    config = f"""
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    routes:
      - {{match: {{path: /example}}, respond: {{status: 204}}, filters: {EXAMPLE}}}
      - match: {{path: /never}}
        respond: {{status: 204}}
        filters:
          - fault_injection: {{delay: {{time: 10s, percent: 0}}, abort: {{percent: 0}}}}
      - match: {{path: /one}}
        respond: {{status: 204}}
        filters: [{{fault_injection: {{delay: {{time: 1h}}, max_active: 1}}}}]
    """
    with running(config) as started:
        yield started


def test_the_example_holds_up_and_answers_who_asks_for_it(proxy: Proxy) -> None:
    assert proxy.get("/example").status == 204
    before = time.monotonic()
    answer = proxy.get("/example", headers={"X-Fault": "1"})
    assert (answer.status, answer.text) == (503, "not today")
    assert time.monotonic() - before >= 0.2  # it cannot be earlier, however slow the machine is


def test_what_is_drawn_by_nobody_does_nothing(proxy: Proxy) -> None:
    assert [proxy.get("/never").status for _ in range(20)] == [204] * 20


def test_a_client_that_leaves_makes_room(proxy: Proxy) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", proxy.port())) as held:
            held.sendall(b"GET /one HTTP/1.1\r\nHost: a\r\n\r\n")
            # Held up, so all others pass.
            while True:
                with socket.create_connection(("127.0.0.1", proxy.port())) as other:
                    other.settimeout(0.5)
                    other.sendall(b"GET /one HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                    try:
                        assert b" 204 " in other.recv(100)
                        break
                    except TimeoutError:
                        continue  # this one is it, or was
