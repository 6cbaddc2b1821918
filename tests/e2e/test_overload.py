"""Workers that have too much to do, or too much in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from testenv import Proxy, running, wait_until
from testenv.h2 import h2_dial
from testenv.raw import dial, fields_of, request

BLOCK = """
import time

from pyproxy import Filter

class Block(Filter):
    def request(self, exchange):
        time.sleep(0.2)
"""


def config(overload: str = "") -> str:
    return f"""
        workers: 1
        admin: "127.0.0.1:0"
        {f"overload: {{{overload}, exempt: [health, block]}}" if overload else ""}
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        routes:
          - {{name: health, match: {{path: /health}}, respond: {{body: "fine"}}}}
          - name: block
            match: {{path: /block}}
            respond: {{}}
            filters: [{{python: {{use: "filt:Block"}}}}]
          - {{respond: {{body: "hello"}}}}
    """


# A worker of Python has tens of megabytes in any case.
TOO_MUCH = config("memory: {limit: 1MiB, stop_keep_alive: 50, shed: 100}")
MUCH = config("memory: {limit: 1MiB, stop_keep_alive: 50, shed: 0}")
ENOUGH = config("memory: {limit: 1TiB}")


def level_of(proxy: Proxy, reason: str, level: str) -> float:
    return proxy.metrics()[f'pyproxy_overload_workers{{reason="{reason}",level="{level}"}}']


def test_a_worker_with_too_much_in_memory_refuses_all_but_health_checks() -> None:
    with running(TOO_MUCH, files={"filt.py": BLOCK}) as proxy:
        wait_until(lambda: proxy.get("/x").status == 503, "it sheds load")
        with dial(proxy.port()) as client:
            client.send(request("/x"))
            head = client.read_head()
        assert fields_of(head)["retry-after"] == "1"
        assert fields_of(head)["x-pyproxy-overloaded"] == "overload"
        assert fields_of(head)["connection"] == "close"
        assert proxy.get("/health").text == "fine"
        assert proxy.admin("/ready").status == 200
        metrics = proxy.metrics()
        assert level_of(proxy, "memory", "shed") == 1
        assert metrics["pyproxy_overload_memory_bytes"] > 2**20
        assert metrics['pyproxy_overload_requests_shed_total{listener="web"}'] >= 2
        assert metrics['pyproxy_overload_connections_closed_total{listener="web"}'] >= 1
        assert proxy.status()["generations"][0]["workers"][0]["overload"] == {"memory": "shed"}
        assert "memory: shed" in proxy.ask("status").stdout
        proxy.wait_for("overload: memory (")


def test_a_body_is_not_waited_for() -> None:
    with running(TOO_MUCH, files={"filt.py": BLOCK}) as proxy:
        wait_until(lambda: proxy.get("/x").status == 503, "it sheds load")
        with dial(proxy.port()) as client:
            client.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
            assert client.read_head().startswith(b"HTTP/1.1 503 ")


def test_a_reload_with_more_memory_ends_it() -> None:
    with running(TOO_MUCH, files={"filt.py": BLOCK}) as proxy:
        wait_until(lambda: proxy.get("/x").status == 503, "it sheds load")
        assert proxy.reload(ENOUGH).returncode == 0
        wait_until(lambda: proxy.get("/x").status == 200, "it serves again")
        assert level_of(proxy, "memory", "shed") == 0
        with dial(proxy.port()) as client:
            client.send(request("/x"))
            assert "connection" not in fields_of(client.read_head())
        assert proxy.reload(TOO_MUCH).returncode == 0
        wait_until(lambda: proxy.get("/x").status == 503, "it sheds load again")
        assert proxy.reload(config()).returncode == 0
        assert proxy.get("/x").status == 200
        assert "overload" not in proxy.status()["generations"][0]["workers"][0]


def test_no_connection_is_kept_open_from_the_first_threshold_on() -> None:
    with running(ENOUGH, files={"filt.py": BLOCK}) as proxy:
        with dial(proxy.port()) as idle, h2_dial(proxy.port()) as streams:
            idle.send(request("/x"))
            assert "connection" not in fields_of(idle.read_head())
            assert idle.take(5) == b"hello"
            assert streams.response(streams.request("GET", "/x")).status == 200
            assert proxy.reload(MUCH).returncode == 0
            assert idle.read_to_end() == b""
            streams.wait_closed()
            assert streams.goaways
        with dial(proxy.port()) as client:
            client.send(request("/x"))
            head = client.read_head()
            assert head.startswith(b"HTTP/1.1 200 ")
            assert fields_of(head)["connection"] == "close"
        assert level_of(proxy, "memory", "stop_keep_alive") == 1


@contextmanager
def blocked(proxy: Proxy) -> Iterator[None]:
    """Requests, one after the other, that hold the worker up."""
    over = threading.Event()

    def block() -> None:
        while not over.is_set():
            proxy.get("/block")

    thread = threading.Thread(target=block)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_loop_that_is_held_up_sheds_load_until_it_is_free() -> None:
    lag = config("loop_lag: {stop_keep_alive: 50ms, shed: 100ms}")
    with running(lag, files={"filt.py": BLOCK}) as proxy:
        with blocked(proxy):
            wait_until(lambda: proxy.get("/x").status == 503, "it sheds load")
            assert proxy.get("/health").text == "fine"
            assert level_of(proxy, "loop_lag", "shed") == 1
        wait_until(lambda: proxy.get("/x").status == 200, "it serves again")
        proxy.wait_for("ms late): it is over")
