"""So many requests at once."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from pyproxy.config.faults import Report
from pyproxy.config.filters.limits import Key, LimitFilter, check_key, key_text

__all__ = ["ConcurrencyLimitFilter"]


class ConcurrencyLimitFilter(LimitFilter, frozen=True, kw_only=True):
    """Refuses what comes while as many are at work as may be; exact over all workers.

    A request counts from here until its answer is complete, its client has gone or its tunnel ends.
    What a worker that was killed had in hand is free again within nine seconds. A tunnel that an
    upgrade hands to the new processes counts no more.
    """

    default_priority: ClassVar[int] = 3900
    example: ClassVar[str] = """\
- concurrency_limit: {max: 20, key: client.address, status: 503, message: "busy, come again"}
"""

    max: Annotated[
        int, Meta(ge=1, le=2**24 - 2, description="Most requests at once, for each key.")
    ]
    key: Key = "client.address"
    group: Annotated[
        str,
        Meta(
            description="Filters of one group and name count together. Absent: a filter "
            "of all routes counts the requests of all, one of a route its own."
        ),
    ] = ""

    def check(self, report: Report, path: str) -> None:
        """Can the key be made?"""
        super().check(report, path)
        check_key(self, self.key, path, report)

    def options_at(self, place: str) -> dict[str, Any]:
        """What the data plane needs."""
        return {**self.common(place, self.group), "max": self.max, "key": key_text(self.key)}
