"""Limits of upstreams that follow how quickly they answer.

The engine's side is csrc/route/gradient.h.
"""

from typing import Annotated

from msgspec import Meta, field

from pyproxy.config.section import Section
from pyproxy.config.units import Duration

_MAX_MS = 86_400_000
_Number = Annotated[int, Meta(ge=1, le=1_000_000)]


class AdaptiveConcurrency(Section, frozen=True, kw_only=True):
    """How many requests each worker sends at once, learnt from the times of their answers.

    gradient = min_rtt x (100 + buffer) % / time now; limit = limit x gradient + its square root.
    """

    min_limit: Annotated[_Number, Meta(description="The least it can be.")] = 3
    max_limit: Annotated[_Number, Meta(description="The most.")] = 1_000
    interval_ms: Annotated[
        Duration, Meta(ge=1, le=_MAX_MS, description="How often it is reckoned.")
    ] = field(name="interval", default=100)
    percentile: Annotated[
        int,
        Meta(ge=1, le=100, description="Of the times within `interval`: which of them counts."),
    ] = 50
    buffer: Annotated[
        int,
        Meta(
            ge=0, le=10_000, description="How much longer answers may take, in percent of min_rtt."
        ),
    ] = 25
    min_rtt_interval_ms: Annotated[
        Duration,
        Meta(
            ge=100,
            le=_MAX_MS,
            description="How often min_rtt, the time without a queue, is measured anew: for that "
            "the limit is `min_limit`.",
        ),
    ] = field(name="min_rtt_interval", default=60_000)
    min_rtt_requests: Annotated[_Number, Meta(description="Of how many requests.")] = 50
    jitter: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="How much later at most, by chance, in percent of `min_rtt_interval`: "
            "workers shall not measure at once.",
        ),
    ] = 15

    def __post_init__(self) -> None:
        if self.min_limit > self.max_limit:
            raise ValueError("min_limit must not be more than max_limit")

    def numbers(self) -> dict[str, int]:
        """What the engine wants to know."""
        return {
            "least": self.min_limit,
            "most": self.max_limit,
            "percentile": self.percentile,
            "window_ms": self.interval_ms,
            "min_rtt_ms": self.min_rtt_interval_ms,
            "requests": self.min_rtt_requests,
            "jitter_percent": self.jitter,
            "buffer_percent": self.buffer,
        }
