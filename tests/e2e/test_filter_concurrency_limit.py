"""The filter `concurrency_limit` with several workers, and when they are killed."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from testenv import GUARD_SECONDS, Reply, filter_example, origin, running, wait_until


class Gate:
    """An origin that answers once the gate is open, and counts who waits there."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.waiting = 0
        self._lock = threading.Lock()

    def __call__(self, request: object) -> Reply:
        with self._lock:
            self.waiting += 1
        self.open.wait(GUARD_SECONDS)
        return Reply(body=b"late")


CONCURRENCY = """
    workers: 2
    admin: "127.0.0.1:0"
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {{endpoints: "{address}", retries: 0}}}}
    routes: [{{upstream: app, filters: {filters}}}]
"""


def test_no_more_than_so_many_at_once_and_a_killed_worker_gives_back() -> None:
    gate = Gate()
    filters = json.dumps([{"concurrency_limit": {"max": 5, "status": 503}}])
    with (
        origin(gate) as app,
        running(CONCURRENCY.format(address=app.address, filters=filters)) as proxy,
        ThreadPoolExecutor(40) as pool,
    ):

        def ask() -> int:
            try:
                return proxy.get("/").status
            except ConnectionError:
                return 0

        first = [pool.submit(ask) for _ in range(30)]
        wait_until(lambda: sum(f.done() for f in first) == 25, "the answers to the refused")
        assert gate.waiting == 5
        assert Counter(f.result() for f in first if f.done()) == {503: 25}
        for pid in proxy.workers():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: all(f.done() for f in first), "the end of what they had in hand")
        gate.open.set()

        def at_once(n: int) -> int:
            """How many of so many requests are let through while none is answered."""
            gate.open.clear()
            gate.waiting = 0
            asked = [pool.submit(ask) for _ in range(n)]
            wait_until(lambda: gate.waiting + sum(f.done() for f in asked) == n, "all have come")
            held = gate.waiting
            gate.open.set()
            assert Counter(f.result() for f in asked) == Counter({200: held, 503: n - held})
            return held

        # What they held comes back by itself, of one worker perhaps before that of the other; and
        # no more than they held.
        wait_until(lambda: at_once(5) == 5, "all places are free")
        assert at_once(30) == 5


def test_the_example_does_what_it_says() -> None:
    gate = Gate()
    filters = json.dumps(filter_example("concurrency_limit"))
    with (
        origin(gate) as app,
        running(CONCURRENCY.format(address=app.address, filters=filters)) as proxy,
        ThreadPoolExecutor(30) as pool,
    ):
        asked = [pool.submit(proxy.get, "/") for _ in range(25)]
        wait_until(lambda: sum(f.done() for f in asked) == 5, "the answers to the refused")
        gate.open.set()
        answers = [f.result() for f in asked]
        assert Counter(a.status for a in answers) == {200: 20, 503: 5}
        assert {a.text for a in answers if a.status == 503} == {"busy, come again"}
