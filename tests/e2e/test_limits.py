"""Limits of an upstream: what comes beyond them waits, in order, or is refused."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from testenv import Proxy, free_port, origin, running, wait_until
from testenv.h2 import h2_dial
from testenv.origin import Origin, OriginRequest, Reply
from testenv.raw import RawOrigin, Wire, dial, request


class Slow:
    """An origin that answers a request for /hold... only when the test says so."""

    def __init__(self) -> None:
        self.free: dict[str, threading.Event] = {}
        self.lock = threading.Lock()

    def _of(self, path: str) -> threading.Event:
        with self.lock:
            return self.free.setdefault(path, threading.Event())

    def answer(self, asked: OriginRequest) -> Reply:
        if asked.path.startswith("/hold"):
            self._of(asked.path).wait(30)
        return Reply(body=asked.path.encode())

    def let(self, path: str) -> None:
        self._of(path).set()


@contextmanager
def slow_origin() -> Iterator[tuple[Origin, Slow]]:
    slow = Slow()
    with origin(slow.answer) as app:
        try:
            yield app, slow
        finally:
            for path in list(slow.free):
                slow.let(path)


def config(app: Origin, limits: str, *, workers: int = 1) -> str:
    if "queue_timeout" not in limits:
        limits += ", queue_timeout: 1m"
    return f"""
        workers: {workers}
        admin: "127.0.0.1:0"
        access_log: stdout
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams:
          app: {{endpoints: {json.dumps(app.address)}, limits: {{{limits}}}}}
        routes: [{{upstream: app}}]
    """


def queued(proxy: Proxy) -> float:
    return proxy.metrics()['pyproxy_upstream_requests_queued{upstream="app"}']


def active(proxy: Proxy) -> float:
    return proxy.metrics()['pyproxy_upstream_requests_active{upstream="app"}']


def limited(proxy: Proxy, cause: str) -> float:
    return proxy.metrics()[f'pyproxy_upstream_limited_total{{upstream="app",cause="{cause}"}}']


def asked(app: Origin) -> list[str]:
    return [one.path for one in app.requests]


def ask(stack: ExitStack, proxy: Proxy, path: str) -> Wire:
    client = stack.enter_context(dial(proxy.port()))
    client.send(request(path))
    return client


def test_requests_wait_in_order_and_the_log_says_how_long() -> None:
    with slow_origin() as (app, slow), running(config(app, "requests: 1")) as proxy:
        with ExitStack() as stack:
            clients = []
            for n in range(4):
                clients.append(ask(stack, proxy, f"/hold{n}"))
                wait_until(lambda n=n: queued(proxy) == n, "it waits")
            for n in range(4):
                wait_until(lambda n=n: len(app.requests) == n + 1, "the next one goes on")
                assert asked(app)[-1] == f"/hold{n}"
                slow.let(f"/hold{n}")
                assert clients[n].read_head().startswith(b"HTTP/1.1 200 ")
        assert active(proxy) == queued(proxy) == 0
        assert proxy.metrics()['pyproxy_upstream_queued_total{upstream="app"}'] == 3
        lines = {line["target"]: line for line in proxy.access_log(4)}
        assert lines["/hold0"]["upstream_queue_ms"] == 0
        assert lines["/hold3"]["upstream_queue_ms"] > 0
        assert list(lines["/hold0"])[-1] == "upstream_queue_ms"


def test_too_many_that_wait_are_refused_at_once() -> None:
    limits = "requests: 1, pending: 1, queue_timeout: 1m"
    with slow_origin() as (app, slow), running(config(app, limits)) as proxy, ExitStack() as stack:
        ask(stack, proxy, "/hold0")
        wait_until(lambda: len(app.requests) == 1, "one is in progress")
        second = ask(stack, proxy, "/hold1")
        wait_until(lambda: queued(proxy) == 1, "one waits")
        refused = proxy.get("/x")
        assert refused.status == 503
        assert json.loads(refused.body)["error"] == "upstream_overflow"
        assert limited(proxy, "overflow") == 1
        slow.let("/hold0")
        slow.let("/hold1")
        assert second.read_head().startswith(b"HTTP/1.1 200 ")


def test_who_waits_too_long_is_refused() -> None:
    limits = "requests: 1, queue_timeout: 100ms"
    with slow_origin() as (app, slow), running(config(app, limits)) as proxy, ExitStack() as stack:
        first = ask(stack, proxy, "/hold0")
        wait_until(lambda: len(app.requests) == 1, "one is in progress")
        refused = proxy.get("/x")
        assert refused.status == 503
        assert json.loads(refused.body)["error"] == "queue_timeout"
        assert limited(proxy, "queue_timeout") == 1
        (line,) = proxy.access_log(1, target="/x")
        assert line["fault"] == "queue_timeout"
        assert line["upstream_queue_ms"] > 0
        slow.let("/hold0")
        assert first.read_head().startswith(b"HTTP/1.1 200 ")


def test_a_client_that_leaves_is_not_asked_for() -> None:
    with slow_origin() as (app, slow), running(config(app, "requests: 1")) as proxy:
        with ExitStack() as stack:
            ask(stack, proxy, "/hold0")
            wait_until(lambda: len(app.requests) == 1, "one is in progress")
            gone = ask(stack, proxy, "/gone")
            wait_until(lambda: queued(proxy) == 1, "it waits")
            last = ask(stack, proxy, "/last")
            wait_until(lambda: queued(proxy) == 2, "they wait")
            gone.abort()
            wait_until(lambda: queued(proxy) == 1, "it has left")
            slow.let("/hold0")
            assert last.read_head().startswith(b"HTTP/1.1 200 ")
        assert asked(app) == ["/hold0", "/last"]


def test_streams_of_one_http2_client_wait_as_well() -> None:
    with slow_origin() as (app, slow), running(config(app, "requests: 1")) as proxy:
        with h2_dial(proxy.port()) as client:
            streams = []
            for n in range(3):
                streams.append(client.request("GET", f"/hold{n}"))
                wait_until(lambda n=n: queued(proxy) == n, "it waits")
            client.reset(streams[1])
            wait_until(lambda: queued(proxy) == 1, "a reset stream has left")
            slow.let("/hold0")
            assert client.response(streams[0]).status == 200
            slow.let("/hold2")
            assert client.response(streams[2]).status == 200
        assert asked(app) == ["/hold0", "/hold2"]


@pytest.mark.parametrize("limit", [1, 3])
def test_the_limit_is_that_of_all_workers_and_none_starves(limit: int) -> None:
    most, now, lock = 0, 0, threading.Lock()

    def answer(asked: OriginRequest) -> Reply:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.01)
        with lock:
            now -= 1
        return Reply(body=b"x")

    limits = f"requests: {limit}, queue_timeout: 1m"
    with origin(answer) as app, running(config(app, limits, workers=2)) as proxy:
        with ExitStack() as stack:
            clients = [ask(stack, proxy, f"/{n}") for n in range(60)]
            for client in clients:
                assert client.read_head().startswith(b"HTTP/1.1 200 ")
        assert most == limit
        assert active(proxy) == queued(proxy) == 0


def test_a_killed_worker_keeps_no_place() -> None:
    with (
        slow_origin() as (app, _),
        running(config(app, "requests: 1")) as proxy,
        ExitStack() as stack,
    ):
        ask(stack, proxy, "/hold0")
        wait_until(lambda: len(app.requests) == 1, "one is in progress")
        (worker,) = proxy.workers()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: proxy.workers() not in ([], [worker]), "another one is there")
        assert proxy.get("/x").status == 200


def test_those_who_wait_outlast_a_reload() -> None:
    with slow_origin() as (app, slow), running(config(app, "requests: 1")) as proxy:
        with ExitStack() as stack:
            first = ask(stack, proxy, "/hold0")
            wait_until(lambda: len(app.requests) == 1, "one is in progress")
            second = ask(stack, proxy, "/hold1")
            wait_until(lambda: queued(proxy) == 1, "one waits")
            assert proxy.reload(config(app, "requests: 1, pending: 7")).returncode == 0
            third = ask(stack, proxy, "/hold2")
            wait_until(lambda: queued(proxy) == 2, "one more waits")
            assert proxy.reload(config(app, "requests: 2")).returncode == 0
            wait_until(lambda: len(app.requests) == 2, "there is room for one more")
            for n, client in enumerate((first, second, third)):
                slow.let(f"/hold{n}")
                assert client.read_head().startswith(b"HTTP/1.1 200 ")
        assert asked(app) == ["/hold0", "/hold1", "/hold2"]


def endpoints_config(*endpoints: str, limits: str = "{queue_timeout: 1m}", workers: int = 1) -> str:
    return f"""
        workers: {workers}
        admin: "127.0.0.1:0"
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams:
          app: {{endpoints: [{", ".join(endpoints)}], limits: {limits}}}
        routes: [{{upstream: app}}]
    """


def test_a_full_endpoint_is_left_out_and_when_all_are_requests_wait() -> None:
    with slow_origin() as (one, slow_one), slow_origin() as (two, slow_two), ExitStack() as stack:
        endpoints = [f"{{address: '{app.address}', max_requests: 1}}" for app in (one, two)]
        with running(endpoints_config(*endpoints)) as proxy:
            clients = [ask(stack, proxy, "/hold0"), ask(stack, proxy, "/hold1")]
            wait_until(lambda: len(one.requests) == len(two.requests) == 1, "both have one")
            clients.append(ask(stack, proxy, "/hold2"))
            wait_until(lambda: queued(proxy) == 1, "one waits")
            for path in ("/hold0", "/hold1"):
                slow_two.let(path)
            wait_until(lambda: len(two.requests) == 2, "it goes where there is room")
            assert len(one.requests) == 1
            for slow in (slow_one, slow_two):
                for n in range(3):
                    slow.let(f"/hold{n}")
            for client in clients:
                assert client.read_head().startswith(b"HTTP/1.1 200 ")


def test_the_limit_of_an_endpoint_is_that_of_all_workers() -> None:
    most, now, lock = 0, 0, threading.Lock()

    def answer(asked: OriginRequest) -> Reply:
        nonlocal most, now
        with lock:
            now += 1
            most = max(most, now)
        threading.Event().wait(0.005)
        with lock:
            now -= 1
        return Reply(body=b"x")

    with origin(answer) as app, ExitStack() as stack:
        endpoint = f"{{address: '{app.address}', max_requests: 2}}"
        with running(endpoints_config(endpoint, workers=2)) as proxy:
            for client in [ask(stack, proxy, f"/{n}") for n in range(60)]:
                assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert most == 2


def test_connections_are_limited_and_requests_wait_for_them() -> None:
    with slow_origin() as (app, slow), ExitStack() as stack:
        with running(
            endpoints_config(app.address, limits="{connections: 1, queue_timeout: 1m}")
        ) as proxy:
            clients = [ask(stack, proxy, "/hold0")]
            wait_until(lambda: len(app.requests) == 1, "one is in progress")
            clients.append(ask(stack, proxy, "/hold1"))
            wait_until(lambda: queued(proxy) == 1, "the other waits")
            for n, client in enumerate(clients):
                slow.let(f"/hold{n}")
                assert client.read_head().startswith(b"HTTP/1.1 200 ")
        assert {one.connection for one in app.requests} == {0}


def test_a_websocket_holds_its_place_as_long_as_it_lasts() -> None:
    text = """
        workers: 1
        admin: "127.0.0.1:0"
        listeners: {web: {bind: "127.0.0.1:0"}}
        upstreams: {app: {endpoints: "%s", limits: {requests: 1, queue_timeout: 1m}}}
        routes: [{upstream: app, upgrade: websocket}]
    """
    with RawOrigin() as app, ExitStack() as stack, running(text % app.address) as proxy:
        tunnel = stack.enter_context(dial(proxy.port()))
        fields = (
            "Connection: upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        )
        tunnel.send(request("/", *fields))
        there = stack.enter_context(app.accept())
        there.read_head()
        there.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
            b"Upgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        assert tunnel.read_head().startswith(b"HTTP/1.1 101 ")
        waits = ask(stack, proxy, "/x")
        wait_until(lambda: queued(proxy) == 1, "it waits")
        assert active(proxy) == 1
        tunnel.send(b"hello")
        assert there.take(5) == b"hello"
        tunnel.end()
        there.end()
        later = stack.enter_context(app.accept())
        later.read_head()
        later.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert waits.read_head().startswith(b"HTTP/1.1 200 ")


def test_what_limits_and_breakers_do_is_shown() -> None:
    gone = f"127.0.0.1:{free_port()}"
    with slow_origin() as (app, slow):
        text = f"""
            workers: 2
            admin: "127.0.0.1:0"
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams:
              app:
                endpoints: "{app.address}"
                limits: {{requests: 1, queue_timeout: 1m}}
                breaker: {{failures: 9}}
              bad: {{endpoints: "{gone}", breaker: {{failures: 1, open: 10m}}, retries: 0}}
            routes:
              - {{upstream: app, match: {{path: "/hold*"}}}}
              - {{upstream: bad}}
        """
        with running(text) as proxy, ExitStack() as stack:
            ask(stack, proxy, "/hold0")
            wait_until(lambda: len(app.requests) == 1, "one is in progress")
            ask(stack, proxy, "/hold1")
            wait_until(lambda: queued(proxy) == 1, "one waits")
            assert proxy.get("/x").status == 502
            groups = json.loads(proxy.admin("/upstreams").body)["groups"]
            assert (groups["app"]["active"], groups["app"]["queued"]) == (1, 1)
            assert groups["app"]["breaker"]["state"] == "closed"
            breaker = groups["bad"]["breaker"]
            assert breaker["state"] == "open"
            assert breaker["workers"] == {"open": 1, "half_open": 0}
            assert breaker["reason"] == "failures in a row"
            assert 500 < breaker["seconds_left"] <= 600
            shown = proxy.ask("upstream").stdout
            assert "app  1 of 1 in progress  1 of 1024 waiting" in shown
            assert "app  breaker closed" in shown
            assert "bad  breaker open in 1 worker: failures in a row, " in shown
            page = proxy.admin("/").text
            assert "open (failures in a row)" in page
            slow.let("/hold0")
            slow.let("/hold1")
