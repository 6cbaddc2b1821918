"""Faults on purpose."""

from typing import Annotated, ClassVar

from msgspec import Meta, field

from pyproxy.config.faults import Report
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.section import Section
from pyproxy.config.units import Duration

__all__ = ["FaultAbort", "FaultDelay", "FaultInjectionFilter"]

_Percent = Annotated[
    float,
    Meta(ge=0, le=100, description="Of how many requests in a hundred; 0.01 is one in 10000."),
]


class FaultDelay(Section, frozen=True, kw_only=True):
    """Requests that are held up."""

    time_ms: Annotated[Duration, Meta(description="How long.")] = field(name="time")
    percent: _Percent = 100.0


class FaultAbort(Section, frozen=True, kw_only=True):
    """Requests that are answered here."""

    status: Annotated[int, Meta(ge=200, le=599, description="The status code of the answer.")] = 503
    message: Annotated[
        str | None, Meta(description="Its text. Absent: a short one; empty: none.")
    ] = None
    percent: _Percent = 100.0


class FaultInjectionFilter(FilterKind, frozen=True, kw_only=True):
    """Delays requests, or answers them with an error, by chance: to test what depends on them.

    Both are drawn apart; a request that draws both is held up and then answered. With `when`, only
    some requests can draw. A client that leaves while its request is held up ends that.
    """

    default_priority: ClassVar[int] = 11000
    example: ClassVar[str] = """\
- fault_injection:
    delay: {time: 200ms, percent: 100}
    abort: {status: 503, message: not today, percent: 100}
    max_active: 100
  when: {var: header.x-fault, exists: on}
"""

    delay: Annotated[
        FaultDelay | None, Meta(description="Requests that are held up. Absent: none.")
    ] = None
    abort: Annotated[
        FaultAbort | None, Meta(description="Requests that are answered here. Absent: none.")
    ] = None
    max_active: Annotated[
        int,
        Meta(
            ge=0,
            le=2**31 - 1,
            description="How many requests one worker holds up at a time; more are not delayed. "
            "0: any number.",
        ),
    ] = 0

    def check(self, report: Report, path: str) -> None:
        """There is a fault."""
        if self.delay is None and self.abort is None:
            report.add(self, "", "this filter injects nothing", "add delay or abort", path=path)
