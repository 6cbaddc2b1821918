"""(a) Upgrade after upgrade under new connections at full rate; (b) with the number of workers
changing in between. A scraper watches the counters meanwhile: (g)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from benchmarks.soak import load
from benchmarks.soak.line import Line
from benchmarks.soak.monotone import Scraper
from benchmarks.soak.service import Service
from benchmarks.soak.setting import Setting, proxying


@contextmanager
def scraped(service: Service) -> Iterator[Scraper]:
    """Read the counters all the time."""
    scraper = Scraper(service.metrics)
    try:
        yield scraper
    finally:
        scraper.end()


def counters_line(scraper: Scraper) -> Line:
    """What a scraper saw."""
    seen = scraper.seen
    return Line(
        "g",
        "counters during (a) and (d)",
        {
            "went backwards": len(seen.fallen),
            "vanished": len(seen.vanished),
            "gauges not zero at rest": len(scraper.busy),
            "scrapes failed": len(scraper.failed),
        },
        {"scrapes": seen.pages, "series": seen.series},
        (*seen.fallen[:10], *seen.vanished[:10], *scraper.busy[:10], *scraper.failed[:10]),
    )


def upgrades(setting: Setting) -> list[Line]:
    """(a)"""
    size = setting.size
    with (
        setting.origin() as origin,
        setting.service(proxying(origin, size.workers)) as service,
        load.new_connections(service.port("web"), size.clients) as clients,
        scraped(service) as scraper,
    ):
        seconds = _upgrade(setting, service, lambda number: None)
        service.settle()
        report = clients.end()
    line = _line("a", "upgrades under new connections", service, report, seconds)
    return [line, counters_line(scraper)]


def resizes(setting: Setting) -> list[Line]:
    """(b)"""
    size = setting.size
    with (
        setting.origin() as origin,
        setting.service(proxying(origin, size.many_workers)) as service,
        load.new_connections(service.port("web"), size.clients) as clients,
    ):

        def resize(number: int) -> None:
            workers = size.workers if number % 2 == 0 else size.many_workers
            service.configure(proxying(origin, workers))
            service.reload()

        seconds = _upgrade(setting, service, resize)
        service.settle()
        report = clients.end()
    title = f"the same, workers {size.many_workers} -> {size.workers} -> {size.many_workers}"
    return [_line("b", title, service, report, seconds)]


def _upgrade(setting: Setting, service: Service, before: Callable[[int], None]) -> list[float]:
    """Upgrade as often as the size says; seconds that each took until the new one was ready."""
    took = []
    for number in range(setting.size.upgrades):
        before(number)
        took.append(float(service.upgrade()["seconds"]))
        setting.step(number + 1, setting.size.upgrades, "upgrades")
    return took


def _line(
    key: str, title: str, service: Service, report: Mapping[str, Any], took: list[float]
) -> Line:
    counts = {
        **load.failed(report),
        "commands unanswered": len(service.unanswered),
        **service.remains(),
    }
    facts = {
        "upgrades": len(took),
        "requests": report["requests"],
        "s each": sum(took) / max(len(took), 1),
        "ms longest": report["latency_us"]["max"] / 1000,
    }
    notes = [f"{f['kind']} from {f['from']}" for f in report["failures"][:20]]
    return Line(key, title, counts, facts, (*notes, *service.unanswered[:10]))
