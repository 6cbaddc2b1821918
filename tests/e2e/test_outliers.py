"""Endpoints that answer badly are left alone for a while."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from testenv import Reply, connect, free_port, origin, read_response, running, send, wait_until
from testenv.origin import echo

CONFIG = """
    workers: {workers}
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {upstream}}}
    routes: [{{upstream: app}}]
    admin: "127.0.0.1:0"
    access_log: off
"""
QUICK = {"interval": "50ms", "base_ejection": "1500ms", "max_ejection": "1h"}


class Moody:
    """An origin that answers with the status that the test wants."""

    def __init__(self) -> None:
        self.status = 200

    def __call__(self, request) -> Reply:
        return echo(request) if self.status == 200 else Reply(self.status)


@contextlib.contextmanager
def served_by(
    n: int, *more: str, workers: int = 1, upstream: dict[str, Any] | None = None, **outlier: Any
) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        moods = [Moody() for _ in range(n)]
        origins = [stack.enter_context(origin(mood)) for mood in moods]
        group = {
            "endpoints": [*(o.address for o in origins), *more],
            "outlier_detection": {**QUICK, **outlier},
            **(upstream or {}),
        }
        text = CONFIG.format(workers=workers, upstream=json.dumps(group))
        yield stack.enter_context(running(text)), origins, moods


def rows(proxy) -> list[dict[str, Any]]:
    return json.loads(proxy.admin("/upstreams").body)["upstreams"]["app"]


def ejected(proxy) -> list[int]:
    return [i for i, row in enumerate(rows(proxy)) if "ejected" in row["reasons"]]


def ejections(proxy, address: str, reason: str) -> float:
    labels = f'endpoint="app/{address}",reason="{reason}"'
    return proxy.metrics()[f"pyproxy_endpoint_ejections_total{{{labels}}}"]


def test_errors_in_a_row_eject_it_in_all_workers_until_it_comes_back_by_itself() -> None:
    with served_by(3, workers=2, base_ejection="2s") as (proxy, origins, moods):
        moods[1].status = 500
        wait_until(lambda: proxy.get("/x") and ejected(proxy) == [1], "it is ejected")
        row = rows(proxy)[1]
        assert row["state"] == "ejected"
        assert row["ejection"]["reason"] == "consecutive_5xx"
        assert 0 < row["ejection"]["seconds_left"] <= 2
        address = origins[1].address
        assert ejections(proxy, address, "consecutive_5xx") == 1
        proxy.wait_for(f"app/{address} is ejected until")
        assert "ejected: consecutive_5xx" in proxy.ask("upstream").stdout or not ejected(proxy)
        moods[1].status = 200
        wait_until(lambda: not ejected(proxy), "it comes back")
        before = len(origins[1].requests)
        wait_until(lambda: proxy.get("/x") and len(origins[1].requests) > before, "it serves")
        proxy.wait_for(f"app/{address} is in use again")


def test_the_others_serve_meanwhile() -> None:
    with served_by(3, workers=2, base_ejection="1h") as (proxy, origins, moods):
        moods[0].status = 503
        wait_until(lambda: proxy.get("/x") and ejected(proxy) == [0], "it is ejected")
        assert ejections(proxy, origins[0].address, "consecutive_gateway_failures") == 1
        before = len(origins[0].requests)
        assert {proxy.get("/x").status for _ in range(20)} == {200}
        assert len(origins[0].requests) == before


def test_ejections_in_a_row_are_counted() -> None:
    with served_by(2, base_ejection="700ms", interval="1h") as (proxy, origins, moods):
        moods[0].status = 500
        wait_until(lambda: proxy.get("/x") and "(3 in a row)" in proxy.stderr, "a third one")
        assert ejections(proxy, origins[0].address, "consecutive_5xx") >= 3


def test_who_cannot_be_reached_is_ejected() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with served_by(2, nobody, base_ejection="1h") as (proxy, _, _moods):
        for _ in range(40):
            assert proxy.get("/x").status == 200  # by a retry, at first
        assert ejected(proxy) == [2]
        retries = proxy.metrics()['pyproxy_upstream_retries_total{upstream="app"}']
        assert retries == 5


def test_never_more_than_the_cap() -> None:
    with served_by(4, base_ejection="1h", max_ejected=50) as (proxy, _, moods):
        for mood in moods:
            mood.status = 502
        for _ in range(80):
            assert proxy.get("/x").status == 502
        assert len(ejected(proxy)) == 2
        prevented = [v for k, v in proxy.metrics().items() if "ejections_prevented_total{" in k]
        assert sum(prevented) > 0


def test_an_only_endpoint_goes_on() -> None:
    with served_by(1) as (proxy, _, moods):
        moods[0].status = 500
        assert {proxy.get("/x").status for _ in range(20)} == {500}
        assert ejected(proxy) == []


def test_who_fails_more_often_than_the_others_is_ejected() -> None:
    rate = {"min_hosts": 3, "min_volume": 5, "stdev_factor": 1}
    more = {"consecutive_5xx": 0, "consecutive_gateway_failures": 0, "base_ejection": "1h"}
    with served_by(4, workers=2, success_rate=rate, interval="500ms", **more) as served:
        proxy, origins, moods = served
        moods[2].status = 500

        def is_out() -> bool:
            for _ in range(24):
                proxy.get("/x")
            return ejected(proxy) == [2]

        wait_until(is_out, "it is ejected")
        assert ejections(proxy, origins[2].address, "success_rate") == 1


def test_connections_of_a_tcp_listener_find_out_as_well() -> None:
    with origin() as app:
        nobody = f"127.0.0.1:{free_port()}"
        group = {"endpoints": [nobody, app.address], "outlier_detection": {"base_ejection": "1h"}}
        text = f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0", protocol: tcp, upstream: app}}}}
            upstreams: {{app: {json.dumps(group)}}}
            admin: "127.0.0.1:0"
        """
        with running(text) as proxy:
            for _ in range(14):
                with connect(proxy.port()) as sock:
                    send(sock, "/")
                    assert read_response(sock).status == 200
            assert ejected(proxy) == [0]
            assert proxy.metrics()['pyproxy_upstream_retries_total{upstream="app"}'] == 5


def test_a_reload_without_it_lets_everybody_in_again() -> None:
    with served_by(2, base_ejection="1h") as (proxy, origins, moods):
        moods[0].status = 500
        wait_until(lambda: proxy.get("/x") and ejected(proxy) == [0], "it is ejected")
        moods[0].status = 200
        plain = {"endpoints": [o.address for o in origins]}
        text = CONFIG.format(workers=1, upstream=json.dumps(plain))
        assert proxy.reload(text).returncode == 0
        assert ejected(proxy) == []
        before = len(origins[0].requests)
        for _ in range(6):
            assert proxy.get("/x").status == 200
        assert len(origins[0].requests) == before + 3
