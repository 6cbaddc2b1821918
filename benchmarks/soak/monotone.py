"""Counters that must never fall: read /metrics all the time, and compare with what was before."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

NEVER_FALL = {"counter", "histogram"}
# What a service is doing for clients just now.
AT_REST_ZERO = {
    "pyproxy_exchanges_active",
    "pyproxy_connections_active",
    "pyproxy_requests_active",
    "pyproxy_endpoint_requests_active",
}
# How often a service is looked at until it is at rest.
_REST_LOOKS = 100
# Connections that a worker has taken from another.
MOVED = "pyproxy_connections_moved_total{", 'direction="in"'


def samples(text: str) -> dict[str, float]:
    """The samples of all counters and histograms of a Prometheus page, by name and labels."""
    kinds: dict[str, str] = {}
    found: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ", 3)
            kinds[name] = kind.strip()
        elif line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            name = series.partition("{")[0]
            if _kind(name, kinds) in NEVER_FALL:
                found[series] = float(value)
    return found


def total(text: str, parts: Iterable[str]) -> int:
    """The sum of all samples in whose names and labels all <parts> occur."""
    parts = tuple(parts)
    found = samples(text)
    return int(sum(v for series, v in found.items() if all(part in series for part in parts)))


def busy(text: str) -> list[str]:
    """The gauges of what is going on now that are not zero."""
    found = []
    for line in text.splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] in AT_REST_ZERO and float(value):
            found.append(line)
    return found


def _kind(name: str, kinds: Mapping[str, str]) -> str:
    if name in kinds:
        return kinds[name]
    for ending in ("_bucket", "_sum", "_count", "_total"):
        if name.endswith(ending) and name.removesuffix(ending) in kinds:
            return kinds[name.removesuffix(ending)]
    return ""


class Monotone:
    """Pages of one service, one after the other."""

    def __init__(self) -> None:
        self.pages = 0
        self.fallen: list[str] = []
        self.vanished: list[str] = []
        self._last: dict[str, float] = {}

    def feed(self, text: str) -> None:
        """Compare the newest page with the one before."""
        now = samples(text)
        for series, before in self._last.items():
            value = now.get(series)
            if value is None:
                self.vanished.append(series)
            elif value < before:
                self.fallen.append(f"{series}: {before:.17g} -> {value:.17g}")
        self._last = now
        self.pages += 1

    @property
    def series(self) -> int:
        """How many there are."""
        return len(self._last)


class Scraper:
    """Feeds a `Monotone` from a thread until it is ended."""

    def __init__(self, read: Callable[[], str], pause: float = 0.05) -> None:
        self.seen = Monotone()
        self.failed: list[str] = []
        self.busy: list[str] = []
        self._read = read
        self._pause = pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.wait(self._pause):
            self._once()

    def _once(self) -> None:
        try:
            text = self._read()
            self.seen.feed(text)
            self.busy = busy(text)
        except (OSError, ValueError) as error:
            self.failed.append(repr(error))

    def end(self) -> None:
        """Stop when nothing is going on any more, or could not be for some time."""
        self._over.set()
        self._thread.join()
        for _ in range(_REST_LOOKS):
            self._once()
            if not self.busy:
                break
            time.sleep(self._pause)
