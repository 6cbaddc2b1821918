"""Limits of upstreams that follow how quickly they answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from testenv import Proxy, origin, running, wait_until
from testenv.origin import OriginRequest, Reply

CLIENTS = 12


def config(endpoint: str) -> str:
    return f"""
        workers: 1
        admin: "127.0.0.1:0"
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams:
          app:
            endpoints: "{endpoint}"
            limits: {{queue_timeout: 5m}}
            adaptive_concurrency:
              {{min_limit: 2, max_limit: {CLIENTS}, interval: 50ms, min_rtt_requests: 10,
              min_rtt_interval: 1h, buffer: 100}}
        routes: [{{upstream: app}}]
    """


@contextmanager
def clients(proxy: Proxy, statuses: set[int]) -> Iterator[None]:
    """Always as many requests as the limit can become."""
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            statuses.add(proxy.get("/").status)

    threads = [threading.Thread(target=ask) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def limit(proxy: Proxy) -> float:
    return proxy.metrics()['pyproxy_upstream_adaptive_limit{upstream="app"}']


def test_the_limit_sinks_with_the_origin_and_recovers() -> None:
    one_by_one = False
    turn = threading.Lock()
    statuses: set[int] = set()

    def answer(_: OriginRequest) -> Reply:
        if one_by_one:
            with turn:
                time.sleep(0.05)
        else:
            time.sleep(0.05)
        return Reply()

    with origin(answer) as app, running(config(app.address)) as proxy:
        assert limit(proxy) == 2
        with clients(proxy, statuses):
            wait_until(lambda: limit(proxy) == CLIENTS, "all may ask at once")
            one_by_one = True
            wait_until(lambda: limit(proxy) <= CLIENTS / 2, "the limit sinks")
            one_by_one = False
            wait_until(lambda: limit(proxy) == CLIENTS, "all may ask at once again")
        metrics = proxy.metrics()
        assert metrics['pyproxy_upstream_adaptive_workers{upstream="app"}'] == 1
        assert metrics['pyproxy_upstream_adaptive_min_rtt_microseconds{upstream="app"}'] >= 50_000
        assert metrics['pyproxy_upstream_queued_total{upstream="app"}'] > 0
    assert statuses == {200}
