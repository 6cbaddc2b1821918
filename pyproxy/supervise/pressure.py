"""What is going on at each upstream: its limits, its queue, its retries and its circuit breaker.

Workers count in their columns of the counter segment (csrc/proxy/admission.h, proxy/circuit.h);
here the numbers of all of them come together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyproxy import _counters
from pyproxy.config.model import Config, Upstream

from .segment import Segment
from .verdicts import monotonic_ms

# enum pp_breaker_why.
_WHY = {1: "failures in a row", 2: "share of failures", 3: "a probe failed"}
_WHY_BITS, _WHY_MASK = 8, 0xFF


class Pressure:
    """The upstreams of the configuration in force."""

    def __init__(self, segment: Segment, clock: Callable[[], int] = monotonic_ms) -> None:
        self._segment = segment
        self._clock = clock
        self._words = {
            (family, labels): word
            for kind, _, word, _, family, labels, _ in _counters.metric_rows()
            if kind == "upstream"
        }

    def rows(self, config: Config) -> dict[str, dict[str, Any]]:
        """Every upstream, with what is known of it now; without a record of its own, nothing."""
        bases = {
            name: base for kind, name, base, _ in self._segment.records() if kind == "upstream"
        }
        return {
            name: self._row(upstream, bases[name]) if name in bases else {}
            for name, upstream in config.upstreams.items()
        }

    def _row(self, upstream: Upstream, base: int) -> dict[str, Any]:
        row: dict[str, Any] = {"connections": self._sum(base, "upstream_connections_active")}
        if upstream.is_limited:
            row["active"] = self._sum(base, "upstream_requests_active")
            row["queued"] = self._sum(base, "upstream_requests_queued")
            row["overflows"] = self._sum(base, "upstream_limited_total", 'cause="overflow"')
            row["timeouts"] = self._sum(base, "upstream_limited_total", 'cause="queue_timeout"')
            row["limits"] = upstream.limits.admission()
        row["retries"] = self._sum(base, "upstream_retries_active")
        if upstream.breaker is not None:
            row["breaker"] = self._breaker(base)
        return row

    def _breaker(self, base: int) -> dict[str, Any]:
        """The state of the worst off, and of how many; why and for how long it opened last."""
        workers = {
            state: self._sum(base, "upstream_breaker_workers", f'state="{state}"')
            for state in ("open", "half_open")
        }
        state = next((state for state, n in workers.items() if n), "closed")
        told = self._segment.get(0, base + self._words["_upstream_breaker_last", ""])
        left = max((told >> _WHY_BITS) - self._clock(), 0) / 1000
        return {
            "state": state,
            "workers": workers,
            "reason": None if state == "closed" else _WHY.get(told & _WHY_MASK, ""),
            "seconds_left": round(left, 1) if state == "open" else None,
        }

    def _sum(self, base: int, family: str, labels: str = "") -> int:
        return self._segment.sum(base + self._words[family, labels])
