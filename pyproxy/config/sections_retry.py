"""What is done about an upstream that fails.

The engine's side is csrc/route/retry_policy.h and csrc/route/breaker.h.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, field

from pyproxy.config.section import ONE_OR_NONE, Count, Positive, Section
from pyproxy.config.units import Duration

_MAX_MS = 3_600_000
_Wait = Annotated[Duration, Meta(ge=0, le=_MAX_MS)]

Word = Literal[
    "connect_failure",
    "reset",
    "refused_stream",
    "timeout",
    "gateway_error",
    "5xx",
    "retriable_4xx",
    "grpc_cancelled",
    "grpc_deadline_exceeded",
    "grpc_resource_exhausted",
    "grpc_aborted",
    "grpc_internal",
    "grpc_unavailable",
]


class Retry(Section, frozen=True, kw_only=True):
    """What is tried again besides what is safe in any case, when, and how often at once.

    How many times is said by `retries` of the upstream.
    """

    conditions: Annotated[
        tuple[Word, ...],
        ONE_OR_NONE,
        Meta(
            description="`reset`: the connection broke before an answer. `timeout`: no answer in "
            "time. `gateway_error`: 502, 503 or 504, from the endpoint or because of what "
            "happened to it. `5xx`: likewise for any of them. `retriable_4xx`: 409. `grpc_…`: a "
            "status of gRPC without content. `connect_failure`, `refused_stream`: tried again in "
            "any case.",
            examples=[["gateway_error", "reset"]],
        ),
    ] = ()
    statuses: Annotated[
        tuple[Annotated[int, Meta(ge=400, le=599)], ...],
        ONE_OR_NONE,
        Meta(description="Answers with these statuses, too.", examples=[[429, 503]]),
    ] = ()
    non_idempotent: Annotated[
        bool,
        Meta(
            description="Also POST and other requests that an endpoint may have acted upon. "
            "`off`: those are tried again only when no byte of them can have been looked at."
        ),
    ] = False
    backoff_ms: Annotated[
        _Wait,
        Meta(
            description="Before retry n, a random time of up to 2^n - 1 times this.",
        ),
    ] = field(name="backoff", default=25)
    max_backoff_ms: Annotated[
        _Wait, Meta(description="But at most this; 0: 10 times `backoff`.")
    ] = field(name="max_backoff", default=0)
    per_try_timeout_ms: Annotated[
        _Wait,
        Meta(
            description="From connecting to the head of the answer, each time; `timeout` among "
            "the conditions tries again. 0: no limit but those of `timeouts`.",
        ),
    ] = field(name="per_try_timeout", default=0)
    max_retry_after_ms: Annotated[
        _Wait,
        Meta(
            description="An answer whose Retry-After is up to this is tried again after that "
            "time; one that wants more goes to the client. 0: Retry-After is not looked at.",
        ),
    ] = field(name="max_retry_after", default=1000)
    budget: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="Retries under way at once, in percent of the upstream's requests under "
            "way in all workers.",
        ),
    ] = 20
    min_concurrent: Annotated[
        Count, Meta(description="But so many may be under way in any case.")
    ] = 3

    def numbers(self) -> dict[str, Any]:
        """What the engine wants to know."""
        return {
            "conditions": ",".join((*self.conditions, *map(str, self.statuses))),
            "non_idempotent": self.non_idempotent,
            "base_ms": self.backoff_ms,
            "most_ms": self.max_backoff_ms or 10 * self.backoff_ms,
            "per_try_ms": self.per_try_timeout_ms,
            "after_ms": self.max_retry_after_ms,
            "budget_percent": self.budget,
            "budget_least": self.min_concurrent,
        }


class Breaker(Section, frozen=True, kw_only=True):
    """A circuit breaker: when too much has failed, requests are refused at once for a while.

    Each worker has its own. Failures are answers from 500 on, and what brings no answer.
    """

    failures: Annotated[
        Count, Meta(description="Failures in a row that open it; 0: they do not.")
    ] = 0
    failure_percent: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="Share of failures in `window` that opens it; 0: it does not.",
        ),
    ] = 0
    min_requests: Annotated[
        Positive, Meta(description="Requests that must have ended in `window` for that.")
    ] = 20
    window_ms: Annotated[
        Duration, Meta(ge=100, le=_MAX_MS, description="How far back `failure_percent` looks.")
    ] = field(name="window", default=10_000)
    open_ms: Annotated[Duration, Meta(ge=1, le=_MAX_MS, description="How long it stays open.")] = (
        field(name="open", default=10_000)
    )
    probes: Annotated[
        Positive,
        Meta(
            description="Then so many requests are let through; when as many have succeeded, it "
            "closes, and one that fails opens it again."
        ),
    ] = 1

    def __post_init__(self) -> None:
        if not (self.failures or self.failure_percent):
            raise ValueError("a breaker needs failures, failure_percent or both")

    def numbers(self) -> dict[str, int]:
        """What the engine wants to know."""
        return {
            "in_a_row": self.failures,
            "percent": self.failure_percent,
            "least": self.min_requests,
            "window_ms": self.window_ms,
            "open_ms": self.open_ms,
            "probes": self.probes,
        }
