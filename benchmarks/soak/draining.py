"""(j) Clients over TLS, of HTTP/1.1 and HTTP/2, over upgrades and reloads."""

from __future__ import annotations

from typing import Any

from benchmarks import certificate
from benchmarks.soak import load
from benchmarks.soak.line import Line
from benchmarks.soak.setting import Setting, proxying


def secure(setting: Setting) -> list[Line]:
    """(j)"""
    size = setting.size
    pair = certificate.pair(setting.folder / "tls")
    with load.own("secure", clients=size.posters, think=size.think) as clients:
        origin = clients.hear()["origin"]
        with setting.service(_config(origin, size.workers, pair)) as service:
            clients.tell(port=service.port("web"))
            clients.alive_for(0.5)
            for number in range(size.tunnel_upgrades):
                service.configure(_config(origin, size.workers + number % 2, pair))
                service.reload()
                service.upgrade()
                setting.step(number + 1, size.tunnel_upgrades, "reloads and upgrades")
            service.settle(90.0)
            report = clients.end()
    facts = {
        "upgrades": size.tunnel_upgrades,
        "requests": report["answered"],
        "sent again, unseen": report["again"],
    }
    counts = {**report["counts"], **service.remains()}
    title = "POSTs over TLS, HTTP/1.1 and HTTP/2, over upgrades"
    return [Line("j", title, counts, facts, tuple(report["notes"]))]


def _config(origin: int, workers: int, pair: certificate.Pair) -> dict[str, Any]:
    listener = {
        "bind": "127.0.0.1:0",
        "tls": {"certificates": [{"cert": str(pair.cert), "key": str(pair.key)}]},
    }
    return {**proxying(origin, workers), "listeners": {"web": listener}}
