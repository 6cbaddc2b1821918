"""The admin endpoints of a running service."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from testenv import connect, get, origin, read_response, running, send, wait_until

CONFIG = """
    workers: 2
    listeners: {web: {bind: ["127.0.0.1:0", "[::1]:0"]}}
    upstreams: {app: {endpoints: ["%s"]}}
    routes:
      - {name: hello, match: {path: /hello}, respond: {status: 200, body: hello}}
      - {name: gone, match: {path: /gone}, respond: {status: 410}}
      - {name: everything, upstream: app}
    admin: "127.0.0.1:0"
"""


@pytest.fixture(scope="module")
def proxy():
    with origin() as app, running(CONFIG % app.address) as started:
        yield started


def test_health_and_readiness(proxy) -> None:
    assert proxy.admin("/healthz").text == "ok\n"
    ready = proxy.admin("/ready")
    assert (ready.status, json.loads(ready.body)) == (200, {"ready": True, "reasons": []})


def test_listeners_tell_their_real_ports(proxy) -> None:
    rows = json.loads(proxy.admin("/listeners").body)["listeners"]
    assert [row["port"] for row in rows] == [proxy.port(index=0), proxy.port(index=1)]
    assert {row["name"] for row in rows} == {"web"}


def test_the_summary_names_routes_and_upstreams(proxy) -> None:
    summary = json.loads(proxy.admin("/config/summary").body)
    assert [route["name"] for route in summary["routes"]] == ["hello", "gone", "everything"]
    assert summary["routes"][2]["action"] == "upstream app"


def test_the_overview_shows_them_too(proxy) -> None:
    page = proxy.admin("/")
    assert page.headers["content-type"].startswith("text/html")
    for text in ("everything", "app", f":{proxy.port()}", "/metrics"):
        assert text in page.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(proxy, method) -> None:
    assert get(proxy.admin_port, "/ready", method=method).status == 405


def test_unknown_pages(proxy) -> None:
    assert proxy.admin("/nothing").status == 404


def test_answers_are_not_cached(proxy) -> None:
    assert proxy.admin("/metrics").headers["cache-control"] == "no-store"


def count(proxy, route: str, code: str) -> float:
    return proxy.metrics()[f'pyproxy_requests_total{{route="{route}",code="{code}"}}']


def test_requests_are_counted_by_route_and_status(proxy) -> None:
    before = count(proxy, "hello", "2xx"), count(proxy, "gone", "4xx")
    for _ in range(20):
        assert proxy.get("/hello").status == 200
    assert proxy.get("/gone").status == 410
    wait_until(lambda: count(proxy, "gone", "4xx") == before[1] + 1, "the request is counted")
    assert count(proxy, "hello", "2xx") == before[0] + 20


def test_latencies_are_histograms(proxy) -> None:
    assert proxy.get("/through").status == 200
    name = "pyproxy_request_duration_seconds"
    wait_until(
        lambda: proxy.metrics()[f'{name}_count{{route="everything"}}'] >= 1,
        "the request is counted",
    )
    metrics = proxy.metrics()
    bounds = [
        (float(m[1]), value)
        for key, value in metrics.items()
        if (m := re.fullmatch(name + r'_bucket\{route="everything",le="([^"]+)"\}', key))
    ]
    assert bounds == sorted(bounds)
    assert bounds[-1] == (float("inf"), metrics[f'{name}_count{{route="everything"}}'])
    assert [value for _, value in bounds] == sorted(value for _, value in bounds)
    assert metrics[f'{name}_sum{{route="everything"}}'] > 0
    assert metrics['pyproxy_upstream_first_byte_seconds_count{upstream="app"}'] >= 1


def test_every_family_is_declared_once(proxy) -> None:
    text = proxy.admin("/metrics").text
    types = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    helps = re.findall(r"^# HELP (\S+)", text, re.MULTILINE)
    assert types == helps
    assert len(types) == len(set(types))
    samples = {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line[0] != "#"}
    declared = set(types) | {f"{t}_{s}" for t in types for s in ("bucket", "sum", "count")}
    assert samples <= declared


def test_the_process_tree_is_measured(proxy) -> None:
    metrics = proxy.metrics()
    assert metrics['pyproxy_workers{state="ready"}'] == 2
    assert metrics["pyproxy_uptime_seconds"] > 0
    assert metrics["pyproxy_generation"] == 1
    assert metrics["pyproxy_config_generation"] == 1
    assert metrics["pyproxy_config_last_reload_successful"] == 1
    assert metrics["pyproxy_worker_restarts_total"] == 0
    assert any(name.startswith("pyproxy_build_info{version=") for name in metrics)


def replaced(now: list[int], old: list[int], slot: int) -> bool:
    """Another process serves in that slot, and all slots have one."""
    return len(now) == len(old) and now[slot] != old[slot]


def test_counters_never_fall_when_workers_die() -> None:
    with origin() as app, running(CONFIG % app.address) as proxy:
        served = 0
        for slot in (0, 1, 0):
            for _ in range(20):
                assert proxy.get("/hello").status == 200
            served += 20
            wait_until(lambda n=served: count(proxy, "hello", "2xx") == n, "requests are counted")
            old = proxy.workers()
            os.kill(old[slot], signal.SIGKILL)
            wait_until(
                lambda old=old, slot=slot: replaced(proxy.workers(), old, slot),
                "the worker is replaced",
            )
            assert count(proxy, "hello", "2xx") == served
            wait_until(lambda: proxy.admin("/ready").status == 200, "the proxy is ready again")
        metrics = proxy.metrics()
        assert metrics["pyproxy_worker_restarts_total"] == 3


def test_gauges_of_a_dead_worker_are_cleared() -> None:
    with (
        origin() as app,
        running(CONFIG.replace("workers: 2", "workers: 1") % app.address) as proxy,
    ):
        name = 'pyproxy_connections_active{listener="web"}'
        with connect(proxy.port()) as client:
            send(client, "/hello")
            assert read_response(client).status == 200
            assert proxy.metrics()[name] == 1
            (worker,) = proxy.workers()
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: proxy.metrics()[name] == 0, "the gauge is cleared")


def test_a_unix_socket_serves_the_admin_pages_too(tmp_path) -> None:
    config = CONFIG.replace('"127.0.0.1:0"\n', f'"unix:{tmp_path}/admin.sock"\n')
    with origin() as app, running(config % app.address):
        assert get(f"{tmp_path}/admin.sock", "/ready").status == 200
        assert (tmp_path / "admin.sock").stat().st_mode & 0o777 == 0o660
    assert not (tmp_path / "admin.sock").exists()
