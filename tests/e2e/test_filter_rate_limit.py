"""The filter `rate_limit` with several workers, and through what ends or replaces them."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pyproxy.supervise.channel import Channel, Kind
from pyproxy.supervise.control_socket import PROTOCOL
from testenv import GUARD_SECONDS, Proxy, connect, filter_example, running, wait_until

CONFIG = """
    workers: {workers}
    admin: "127.0.0.1:0"
    control_socket: {folder}/control.sock
    shared_memory: {memory}
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    routes:
      - name: limited
        match: {{path: /}}
        respond: {{body: {body}}}
        filters: [{{rate_limit: {limit}}}]
      - {{match: {{path: /free}}, respond: {{}}}}
"""
# So slow that nothing comes back while a test runs.
THREE = "{rate: 3/d}"


def config(folder: Path, limit: str = THREE, workers: int = 2, **more: str) -> str:
    fields = {"body": "one", "memory": "4MiB", **more}
    return CONFIG.format(folder=folder, limit=limit, workers=workers, **fields)


def statuses(proxy: Proxy, n: int, path: str = "/", threads: int = 8) -> Counter[int]:
    """What so many requests get, each on a connection of its own."""
    with ThreadPoolExecutor(threads) as pool:
        return Counter(pool.map(lambda _: proxy.get(path).status, range(n)))


@pytest.mark.parametrize(
    "limit",
    [
        "{rate: 50/d, burst: 50}",
        "{rate: 50/30m, algorithm: sliding_window}",
        "{rate: 50/d, algorithm: fixed_window, key: host}",
    ],
)
def test_all_workers_together_let_exactly_so_many_pass(tmp_path: Path, limit: str) -> None:
    with running(config(tmp_path, limit, workers=4), folder=tmp_path) as proxy:
        assert statuses(proxy, 300) == {200: 50, 429: 250}
        assert statuses(proxy, 5, "/free") == {200: 5}
        limited = 'pyproxy_limited_total{route="limited",by="rate"}'
        wait_until(lambda: proxy.metrics()[limited] == 250, "the count of the refused")
        metrics = proxy.metrics()
        assert metrics["pyproxy_shared_memory_evictions_total"] == 0
        assert metrics["pyproxy_shared_memory_cells"] > 200_000


def test_the_example_does_what_it_says() -> None:
    text = """
    workers: 2
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    routes: [{{respond: {{}}, filters: {example}}}]
    """
    with running(text.format(example=json.dumps(filter_example("rate_limit")))) as proxy:
        answers = [proxy.get("/", headers={"X-Api-Key": "k"}) for _ in range(60)]
        refused = next(answer for answer in answers if answer.status == 429)
        assert refused.text == "slow down"
        assert int(refused.headers["retry-after"]) >= 1
        assert answers[0].headers["ratelimit-policy"] == '"second";q=10;w=1, "day";q=5000;w=86400'
        assert answers[0].headers["ratelimit"].startswith('"second";r=19;t=1, "day";r=4999;t=')


def test_a_reload_keeps_the_counts(tmp_path: Path) -> None:
    with running(config(tmp_path), folder=tmp_path) as proxy:
        assert statuses(proxy, 4) == {200: 3, 429: 1}
        asked = proxy.reload(config(tmp_path, body="two"))
        assert asked.returncode == 0, asked.stderr
        assert statuses(proxy, 4) == {429: 4}
        proxy.reload(config(tmp_path, "{rate: 3/d, burst: 5}"))
        assert statuses(proxy, 4) == {200: 2, 429: 2}


def test_another_size_of_the_memory_waits_for_an_upgrade_and_begins_anew(tmp_path: Path) -> None:
    with running(config(tmp_path), folder=tmp_path) as proxy:
        assert statuses(proxy, 4) == {200: 3, 429: 1}
        asked = proxy.reload(config(tmp_path, memory="1MiB"))
        assert "`shared_memory` has changed; that takes effect with" in proxy.stderr + asked.stdout
        assert statuses(proxy, 4) == {429: 4}
        assert proxy.ask("upgrade").returncode == 0
        proxy.wait_for("limits begin anew: `shared_memory` has changed")
        assert statuses(proxy, 4) == {200: 3, 429: 1}


def test_an_upgrade_keeps_the_counts(tmp_path: Path) -> None:
    with running(config(tmp_path), folder=tmp_path) as proxy:
        assert statuses(proxy, 2) == {200: 2}
        for _ in range(2):
            assert proxy.ask("upgrade").returncode == 0
        assert statuses(proxy, 4) == {200: 1, 429: 3}


@pytest.mark.parametrize("ability", [{}, {"shared": True}])
def test_only_programs_that_know_the_memory_are_given_it(
    tmp_path: Path, ability: dict[str, bool]
) -> None:
    with running(config(tmp_path), folder=tmp_path) as proxy:
        caller = Channel(connect(str(tmp_path / "control.sock")))
        hello = {"protocol": PROTOCOL, "command": "takeover", **ability}
        caller.send(Kind.HELLO, hello)
        manifest = caller.receive_blocking(GUARD_SECONDS)[0]
        assert manifest.kind is Kind.MANIFEST
        names = [os.readlink(f"/proc/self/fd/{fd}").partition(" ")[0] for fd in manifest.fds]
        assert names[0] == "/memfd:pyproxy-counters"
        assert ("/memfd:pyproxy-shared" in names) is bool(ability)
        # One that does not know it finds as many descriptors as it reckons with.
        assert len(names) == 2 + len(ability)  # the counters, the control socket
        manifest.close()
        caller.close()
        proxy.wait_for("hung up before it was ready")
        assert statuses(proxy, 1) == {200: 1}


def test_killed_workers_take_no_counts_along(tmp_path: Path) -> None:
    with running(config(tmp_path), folder=tmp_path) as proxy:
        assert statuses(proxy, 2) == {200: 2}
        old = proxy.workers()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_until(
            lambda: len(proxy.workers()) == 2 and not set(old) & set(proxy.workers()),
            "new workers",
        )
        assert statuses(proxy, 4) == {200: 1, 429: 3}


def test_a_queue_delays_instead_of_refusing(tmp_path: Path) -> None:
    text = config(tmp_path, "{rate: 10/s, burst: 1, queue: 4, key: all}")
    with running(text, folder=tmp_path) as proxy:
        assert statuses(proxy, 5) == {200: 5}
        delays = 'pyproxy_limit_delays_total{route="limited"}'
        wait_until(lambda: proxy.metrics()[delays] >= 1, "the count of the delayed")
