"""Circuit breakers, with origins that fail and come back."""

from __future__ import annotations

import json

from testenv import free_port, origin, running, wait_until
from testenv.origin import OriginRequest, Reply
from testenv.raw import dial, fields_of, request


def config(*endpoints: str, breaker: str) -> str:
    return f"""
        workers: 1
        admin: "127.0.0.1:0"
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams:
          app: {{endpoints: {json.dumps(endpoints)}, retries: 0, breaker: {{{breaker}}}}}
        routes: [{{upstream: app}}]
    """


def test_an_open_breaker_answers_itself_and_says_when_to_come_again() -> None:
    gone = f"127.0.0.1:{free_port()}"
    with running(config(gone, breaker="failures: 3, open: 1m")) as proxy:
        assert [proxy.get("/x").status for _ in range(3)] == [502] * 3
        with dial(proxy.port()) as client:
            client.send(request("/x"))
            head = client.read_head()
        assert head.startswith(b"HTTP/1.1 503 ")
        assert 1 <= int(fields_of(head)["retry-after"]) <= 60
        assert fields_of(head)["x-pyproxy-overloaded"] == "breaker_open"
        metrics = proxy.metrics()
        assert metrics['pyproxy_upstream_breaker_workers{upstream="app",state="open"}'] == 1
        assert metrics['pyproxy_upstream_breaker_opens_total{upstream="app"}'] == 1
        assert metrics['pyproxy_upstream_breaker_refused_total{upstream="app"}'] == 1


def test_an_open_breaker_lets_a_probe_through_after_a_while() -> None:
    fails = True

    def answer(_: OriginRequest) -> Reply:
        return Reply(status=500 if fails else 200)

    breaker = "failure_percent: 50, min_requests: 2, open: 300ms"
    with origin(answer) as app, running(config(app.address, breaker=breaker)) as proxy:
        assert [proxy.get("/x").status for _ in range(2)] == [500, 500]
        assert proxy.get("/x").status == 503
        fails = False
        wait_until(lambda: proxy.get("/x").status == 200, "a probe has closed it")
        assert [proxy.get("/x").status for _ in range(5)] == [200] * 5
        metrics = proxy.metrics()
        for state in ("open", "half_open"):
            label = f'upstream="app",state="{state}"'
            assert metrics[f"pyproxy_upstream_breaker_workers{{{label}}}"] == 0


def test_a_healthy_origin_opens_nothing() -> None:
    with origin() as app, running(config(app.address, breaker="failures: 1")) as proxy:
        for n in range(20):
            assert proxy.get(f"/{n}").status == 200
        metrics = proxy.metrics()
        assert metrics['pyproxy_upstream_breaker_opens_total{upstream="app"}'] == 0
