"""The state and weight of endpoints at run time, in words that all workers share.

Two words of each endpoint's record stand in the common column of the counter segment
(csrc/base/statseg.h): what is to be left out, as bits with one author each
(csrc/proxy/cluster.h), and a weight. Workers look at them when the count of changes has grown. They
outlive workers, reloads, and upgrades to programs that count the same things.
"""

from __future__ import annotations

from typing import Any

from pyproxy import _counters
from pyproxy.config.compile import endpoint_name
from pyproxy.config.model import Config, Endpoint, Upstream
from pyproxy.errors import PyproxyError

from .segment import Segment
from .verdicts import EJECTED, UNHEALTHY, Verdicts

# enum pp_cluster_out.
DRAIN, DOWN, READY = 1, 2, 16
# What an operator may say; the other bits have other authors.
ORDERS = {"configured": 0, "ready": READY, "drain": DRAIN, "down": DOWN}
_OPERATOR = DRAIN | DOWN | READY
_REASONS = {DRAIN: "drain", DOWN: "down", UNHEALTHY: "unhealthy", EJECTED: "ejected"}
_ALL = 2**64 - 1
MAX_WEIGHT = 65_535


class OrderError(PyproxyError):
    """What was asked for cannot be done."""


class UnknownEndpoint(OrderError):
    """There is no such upstream or endpoint."""


class Endpoints:
    """The endpoints of the configuration in force."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._verdicts = Verdicts(segment)
        self._words = {
            family: word
            for kind, _, word, _, family, _, _ in _counters.metric_rows()
            if kind in ("endpoint", "supervisor")
        }

    def rows(self, config: Config) -> dict[str, list[dict[str, Any]]]:
        """Every endpoint of each upstream, with what is known of it now."""
        bases = self._verdicts.bases()
        return {
            name: [self._row(name, upstream, e, bases) for e in upstream.endpoints]
            for name, upstream in config.upstreams.items()
        }

    def _row(
        self, upstream: str, group: Upstream, endpoint: Endpoint, bases: dict[str, int]
    ) -> dict[str, Any]:
        row: dict[str, Any] = {
            "address": endpoint.address,
            "weight": endpoint.weight,
            "tier": endpoint.tier,
            "state": "drain" if endpoint.drain else "ready",
            "reasons": ["drain"] if endpoint.drain else [],
        }
        if endpoint.found:
            row["found"] = True
        base = bases.get(endpoint_name(upstream, endpoint))
        if base is None:
            return row
        bits, weight = self._told(base, "endpoint_state"), self._told(base, "endpoint_weight")
        out = bits | (DRAIN if endpoint.drain and not bits & READY else 0)
        row["weight"] = weight or endpoint.weight
        row["reasons"] = [word for bit, word in _REASONS.items() if out & bit]
        row["state"] = next(reversed(row["reasons"]), "ready")
        row["active"] = self._segment.sum(base + self._words["endpoint_requests_active"])
        row["requests"] = self._segment.sum(base + self._words["endpoint_requests_total"])
        row.update(self._verdicts.row(group, base))
        return row

    def order(
        self,
        config: Config,
        upstream: str,
        address: str,
        *,
        state: str | None = None,
        weight: int | None = None,
    ) -> dict[str, Any]:
        """Change what is given; weight 0 is the configuration's. Returns the endpoint's row.

        Raises `OrderError` in words for people.
        """
        group = config.upstreams.get(upstream)
        if group is None:
            raise UnknownEndpoint(f'there is no upstream "{upstream}"')
        endpoint = next((e for e in group.endpoints if e.address == address), None)
        if endpoint is None:
            raise UnknownEndpoint(f'the upstream "{upstream}" has no endpoint "{address}"')
        if state is not None and state not in ORDERS:
            raise OrderError(f'"{state}" is no state: {", ".join(ORDERS)}')
        if weight is not None and not 0 <= weight <= MAX_WEIGHT:
            raise OrderError(f"a weight is from 1 to {MAX_WEIGHT}, or 0 for the configuration's")
        bases = self._verdicts.bases()
        base = bases.get(endpoint_name(upstream, endpoint))
        if base is None:
            raise OrderError("the counters have no room for this endpoint: restart the service")
        if state is not None:
            self._segment.change(base + self._words["endpoint_state"], _OPERATOR, ORDERS[state])
        if weight is not None:
            self._segment.change(base + self._words["endpoint_weight"], _ALL, weight)
        self._verdicts.announce()
        return self._row(upstream, group, endpoint, bases)

    def forget(self, old: Config, new: Config) -> None:
        """What was said of endpoints that come (again) with <new> is old news."""
        known, bases = _labels(old), self._verdicts.bases()
        fresh = [bases[label] for label in _labels(new) - known if label in bases]
        for base in fresh:
            for word in ("endpoint_state", "endpoint_weight"):
                self._segment.change(base + self._words[word], _ALL, 0)
            self._verdicts.forget(base)
        if fresh:
            self._verdicts.announce()

    def _told(self, base: int, family: str) -> int:
        return self._segment.get(0, base + self._words[family])


def _labels(config: Config) -> set[str]:
    return {
        endpoint_name(name, endpoint)
        for name, upstream in config.upstreams.items()
        for endpoint in upstream.endpoints
    }
