"""What health checks and outlier detection have found of endpoints, in words that all share.

The control process writes what checks have found, workers what they think of answers
(csrc/route/outlier.h). Everybody reads both. The words outlive all of these processes.
"""

from __future__ import annotations

import enum
import os
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from pyproxy import _counters
from pyproxy.config.compile import endpoint_name
from pyproxy.config.model import Config, Upstream

from .segment import Segment

# Bits of enum pp_cluster_out.
UNHEALTHY, EJECTED = 4, 8
_ALL = 2**64 - 1
_DETAIL_BITS = 32
_DETAIL_MASK = 0xFFFF_FFFF
# Of an ejection's word.
_UNTIL_SHIFT, _WHY_SHIFT, _WHY_MASK, _COUNT_MASK = 20, 16, 0xF, 0xFFFF
_WHY = {1: "consecutive_5xx", 2: "consecutive_gateway_failures", 3: "success_rate"}
# What the library says most often of a certificate (X509_V_ERR_*).
_CERTIFICATE = {
    10: "the certificate has expired",
    18: "the certificate is self-signed",
    19: "the certificate's authority is not trusted",
    20: "the certificate's authority is not trusted",
    62: "the certificate is for another name",
    64: "the certificate is for another address",
}
_SERVING = {0: "UNKNOWN", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


class Health(enum.IntEnum):
    """What checks have found."""

    UNKNOWN = 0
    UP = 1
    DOWN = 2


class Cause(enum.IntEnum):
    """Why a check has failed. Stands in shared memory: never renumbered."""

    NONE = 0
    CONNECT = 1  # detail: errno
    TIMEOUT = 2
    TLS = 3  # the library's verdict on the certificate, or 0
    STATUS = 4  # the status
    BODY = 5
    BROKEN = 6
    SERVING = 7  # grpc.health.v1
    GRPC = 8  # the status of the call


_RESULT = {
    Cause.NONE: "passed",
    Cause.CONNECT: "connect",
    Cause.TIMEOUT: "timeout",
    Cause.TLS: "tls",
}


class Reason(NamedTuple):
    """Why a check has failed; without a cause it has not."""

    cause: Cause = Cause.NONE
    detail: int = 0

    @property
    def word(self) -> int:
        """As one number."""
        return int(self.cause) << _DETAIL_BITS | min(max(self.detail, 0), _DETAIL_MASK)

    @classmethod
    def of(cls, word: int) -> Reason:
        """From that number; what is no cause is none."""
        cause = word >> _DETAIL_BITS
        if cause not in Cause.__members__.values():
            return cls()
        return cls(Cause(cause), word & (_DETAIL_MASK))

    @property
    def text(self) -> str:
        """For people; empty without a cause."""
        return {
            Cause.NONE: "",
            Cause.CONNECT: f"cannot connect: {os.strerror(self.detail)}"
            if self.detail
            else "cannot connect",
            Cause.TIMEOUT: "no answer in time",
            Cause.TLS: _CERTIFICATE.get(self.detail, "the TLS handshake failed"),
            Cause.STATUS: f"status {self.detail}",
            Cause.BODY: "the answer is not the expected one",
            Cause.BROKEN: "the answer is malformed, or ends too early",
            Cause.SERVING: f"it says {_SERVING.get(self.detail, self.detail)}",
            Cause.GRPC: f"the call failed with status {self.detail}",
        }[self.cause]


class Ejection(NamedTuple):
    """An ejection that lasts: until when on the monotonic clock, why, and how many in a row."""

    until_ms: int
    why: str
    times: int


class Verdicts:
    """The words of all endpoints that have a record, by the name of that."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._words = {
            (family, labels): word
            for kind, _, word, _, family, labels, _ in _counters.metric_rows()
            if kind in ("endpoint", "supervisor")
        }

    # ---- health checks

    def health(self, base: int) -> tuple[Health, int, Reason]:
        """What checks have found of a record, since when (Unix time), and why."""
        found = self._get(base, "endpoint_health")
        return (
            Health(found) if found in (1, 2) else Health.UNKNOWN,
            self._get(base, "endpoint_health_since_seconds"),
            Reason.of(self._get(base, "_endpoint_health_reason")),
        )

    def report(self, bases: Iterable[int], health: Health, reason: Reason, since: int) -> None:
        """Tell all workers what was found."""
        bits = UNHEALTHY if health is Health.DOWN else 0
        changed = False
        for base in bases:
            changed |= self._get(base, "endpoint_state") & UNHEALTHY != bits
            self._set(base, "endpoint_health", health)
            self._set(base, "endpoint_health_since_seconds", since)
            self._set(base, "_endpoint_health_reason", reason.word)
            self._segment.change(base + self._word("endpoint_state"), UNHEALTHY, bits)
        if changed:
            self.announce()

    def count(self, bases: Iterable[int], reason: Reason) -> None:
        """Count a check."""
        result = _RESULT.get(reason.cause, "answer")
        word = self._words["endpoint_health_checks_total", f'result="{result}"']
        for base in bases:
            self._segment.add(base + word, 1)

    # ---- outlier detection

    def ejection(self, base: int, now_ms: int | None = None) -> Ejection | None:
        """The ejection of a record, while it lasts."""
        word = self._get(base, "_endpoint_ejection")
        until = word >> _UNTIL_SHIFT
        if until <= (monotonic_ms() if now_ms is None else now_ms):
            return None
        why = _WHY.get(word >> _WHY_SHIFT & _WHY_MASK, "unknown")
        return Ejection(until, why, word & _COUNT_MASK)

    # ---- both

    def prepare(self, config: Config) -> None:
        """Before <config> is served: what nobody looks at any more is forgotten.

        And endpoints that are down until they are checked are, unless they have been.
        """
        changed = False
        bases = self.bases()
        for name, upstream in config.upstreams.items():
            for endpoint in upstream.endpoints:
                base = bases.get(endpoint_name(name, endpoint))
                if base is not None:
                    changed |= self._prepare(base, upstream)
        if changed:
            self.announce()

    def _prepare(self, base: int, upstream: Upstream) -> bool:
        state = self._word("endpoint_state")
        before = self._get(base, "endpoint_state")
        check = upstream.health_check
        if check is None:
            self._forget_health(base)
        elif check.start == "down" and self.health(base)[0] is Health.UNKNOWN:
            self._segment.change(base + state, UNHEALTHY, UNHEALTHY)
        if upstream.outlier_detection is None:
            self._forget_answers(base)
        return self._get(base, "endpoint_state") != before

    def forget(self, base: int) -> None:
        """All that was found of a record."""
        self._forget_health(base)
        self._forget_answers(base)

    def _forget_health(self, base: int) -> None:
        for family in (
            "endpoint_health",
            "endpoint_health_since_seconds",
            "_endpoint_health_reason",
        ):
            self._set(base, family, 0)
        self._segment.change(base + self._word("endpoint_state"), UNHEALTHY, 0)

    def _forget_answers(self, base: int) -> None:
        self._set(base, "_endpoint_streak", 0)
        self._set(base, "_endpoint_ejection", 0)
        self._segment.change(base + self._word("endpoint_state"), EJECTED, 0)

    def row(self, upstream: Upstream, base: int) -> dict[str, Any]:
        """What the admin server says of it besides its state."""
        row: dict[str, Any] = {}
        if upstream.health_check is not None:
            health, since, reason = self.health(base)
            row["health"] = {
                "state": health.name.lower(),
                "since": since or None,
                "reason": reason.text,
            }
        if upstream.outlier_detection is not None:
            now = monotonic_ms()
            ejection = self.ejection(base, now)
            row["ejection"] = ejection and {
                "reason": ejection.why,
                "count": ejection.times,
                "seconds_left": round((ejection.until_ms - now) / 1000, 1),
            }
        return row

    def announce(self) -> None:
        """Make all workers look at the states again."""
        base = next(base for kind, _, base, _ in self._segment.records() if kind == "supervisor")
        self._segment.add(base + self._word("endpoint_changes_total"), 1)

    def bases(self) -> dict[str, int]:
        """The first word of each endpoint's record."""
        return {name: base for kind, name, base, _ in self._segment.records() if kind == "endpoint"}

    def _word(self, family: str) -> int:
        return self._words[family, ""]

    def _get(self, base: int, family: str) -> int:
        return self._segment.get(0, base + self._word(family))

    def _set(self, base: int, family: str, value: int) -> None:
        """Words that nobody has touched stay so: their pages do not exist yet."""
        if self._get(base, family) != value:
            self._segment.change(base + self._word(family), _ALL, value)


def monotonic_ms() -> int:
    """The clock of the workers."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000
