"""(d) Keep-alive clients that think between POSTs, over upgrades and reloads; the counters: (g)."""

from __future__ import annotations

from typing import Any

from benchmarks.soak import load
from benchmarks.soak.line import Line
from benchmarks.soak.monotone import MOVED, total
from benchmarks.soak.setting import Setting, proxying
from benchmarks.soak.upgrading import counters_line, scraped


def posts(setting: Setting) -> list[Line]:
    """(d)"""
    size = setting.size
    with load.own("posts", clients=size.posters, think=size.think) as clients:
        origin = clients.hear()["origin"]
        with setting.service(_config(origin, size.workers, 0)) as service:
            clients.tell(port=service.port("web"))
            clients.alive_for(0.5)
            with scraped(service) as scraper:
                for number in range(size.upgrades):
                    first, last = (n * size.reloads // size.upgrades for n in (number, number + 1))
                    for reload in range(first, last):
                        service.configure(_config(origin, size.workers, reload))
                        service.reload()
                    service.upgrade()
                    setting.step(number + 1, size.upgrades, "upgrades with reloads between")
                service.settle(90.0)
                moved = total(service.metrics(), MOVED)
                report = clients.end()
    facts = {
        "upgrades": size.upgrades,
        "reloads": size.reloads,
        "requests": report["answered"],
        "moves": moved,
    }
    counts = {**report["counts"], **service.remains()}
    title = "keep-alive POSTs over upgrades and reloads"
    return [Line("d", title, counts, facts, tuple(report["notes"])), counters_line(scraper)]


def _config(origin: int, workers: int, number: int) -> dict[str, Any]:
    """Something new each time: a route comes and goes, and now and then a worker."""
    config = proxying(origin, workers + 1 - (number // 5) % 2)
    if number % 2:
        extra = {"match": {"path": f"/{number}"}, "respond": {"body": "extra"}}
        config["routes"] = [extra, *config["routes"]]
    return config
