"""Connections that are kept, or opened ahead. The engine's side is csrc/proxy/pool.h."""

from typing import Annotated

from msgspec import Meta, field

from pyproxy.config.section import Count, Section
from pyproxy.config.units import Duration


class Pool(Section, frozen=True, kw_only=True):
    """Connections that wait for their next request.

    Each worker has its own pool for each endpoint.
    """

    max_idle: Annotated[Count, Meta(description="Connections kept at most; 0 keeps none.")] = 128
    warm: Annotated[
        Count,
        Meta(
            description="Of them, opened ahead to an endpoint that is new or in use again; over "
            "HTTP/2 one; 0: none before a request needs it."
        ),
    ] = 0
    idle_timeout_ms: Annotated[Duration, Meta(description="How long one may wait.")] = field(
        name="idle_timeout", default=60_000
    )
    max_age_ms: Annotated[
        Duration, Meta(description="Age after which one is not used again; 0: no limit.")
    ] = field(name="max_age", default=3_600_000)
    max_requests: Annotated[Count, Meta(description="Requests on one connection; 0: no limit.")] = 0
