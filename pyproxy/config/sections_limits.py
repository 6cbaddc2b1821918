"""What an upstream may be asked for, and what it may answer with.

The engine's side is csrc/proxy/admission.h.
"""

from typing import Annotated

from msgspec import Meta, field

from pyproxy.config.section import Count, HeadSize, Positive, Section
from pyproxy.config.units import Duration

_MAX_MS = 3_600_000


class UpstreamLimits(Section, frozen=True, kw_only=True):
    """How much an upstream takes at once, and what its response heads may have."""

    requests: Annotated[
        Count,
        Meta(
            description="Requests in progress at once, in all workers together; tunnels are such "
            "for as long as they last. What comes beyond waits. 0: no limit.",
            examples=[100],
        ),
    ] = 0
    pending: Annotated[
        Count,
        Meta(
            description="Requests that wait for another to end, in all workers together; 503 "
            "(`upstream_overflow`) beyond. 0: nobody waits."
        ),
    ] = 1_024
    queue_timeout_ms: Annotated[
        Duration,
        Meta(ge=1, le=_MAX_MS, description="How long one waits; 503 (`queue_timeout`) then."),
    ] = field(name="queue_timeout", default=5_000)
    connections: Annotated[
        Count,
        Meta(
            description="Connections open at once to all endpoints together, in each worker; a "
            "request that would need one more waits. 0: no limit."
        ),
    ] = 0
    retries: Annotated[
        Count,
        Meta(
            description="Requests in progress at once that are being tried again, in all workers "
            "together, besides the budget of `retry`. 0: no limit."
        ),
    ] = 0
    max_head_bytes: Annotated[
        HeadSize, Meta(description="Bytes of a response head; 502 beyond.")
    ] = field(name="max_head", default=61_440)
    max_fields: Annotated[Positive, Meta(description="Header lines of a response; 502 beyond.")] = (
        200
    )

    @property
    def admits(self) -> bool:
        """Is there a limit to what it takes at once?"""
        return bool(self.requests or self.connections or self.retries)

    def numbers(self) -> dict[str, int]:
        """The limits of response heads, as the engine calls them."""
        return {"max_head_bytes": self.max_head_bytes, "max_fields": self.max_fields}

    def admission(self) -> dict[str, int]:
        """The other ones."""
        return {
            "requests": self.requests,
            "pending": self.pending,
            "queue_ms": self.queue_timeout_ms,
            "connections": self.connections,
            "retries": self.retries,
        }
