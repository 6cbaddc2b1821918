"""What a worker does when it has more to do, or more in memory, than it should.

The engine's side is csrc/route/pressure.h and csrc/proxy/overload.h.
"""

from typing import Annotated

from msgspec import Meta, field

from pyproxy.config.section import Section
from pyproxy.config.units import Duration, Size

_MAX_LAG_MS = 60_000


class OverloadMemory(Section, frozen=True, kw_only=True):
    """From how much memory of one worker on something is done; in percent of `limit`."""

    limit_bytes: Annotated[
        Size,
        Meta(
            description="How much one worker may have in RAM. 0: its share of what the control "
            "group, or else the machine, has, by the number of workers."
        ),
    ] = field(name="limit", default=0)
    stop_keep_alive: Annotated[
        int, Meta(ge=0, le=100, description="Connections end; 0: not for this.")
    ] = 85
    shed: Annotated[
        int, Meta(ge=0, le=100, description="New requests are refused, too; 0: not for this.")
    ] = 95

    def __post_init__(self) -> None:
        _check_order(self.stop_keep_alive, self.shed)

    def thresholds(self) -> tuple[int, int]:
        """In bytes. Without a limit (its share is not known here) never: (0, 0)."""
        return (
            self.limit_bytes * self.stop_keep_alive // 100,
            self.limit_bytes * self.shed // 100,
        )


class OverloadLag(Section, frozen=True, kw_only=True):
    """From how late a worker's event loop is on something is done."""

    stop_keep_alive_ms: Annotated[
        Duration, Meta(le=_MAX_LAG_MS, description="Connections end; 0: not for this.")
    ] = field(name="stop_keep_alive", default=50)
    shed_ms: Annotated[
        Duration,
        Meta(le=_MAX_LAG_MS, description="New requests are refused, too; 0: not for this."),
    ] = field(name="shed", default=200)

    def __post_init__(self) -> None:
        _check_order(self.stop_keep_alive_ms, self.shed_ms)

    def thresholds(self) -> tuple[int, int]:
        """In microseconds."""
        return (self.stop_keep_alive_ms * 1000, self.shed_ms * 1000)


class Overload(Section, frozen=True, kw_only=True):
    """What each worker looks at, and which requests it serves in any case."""

    memory: Annotated[
        OverloadMemory | None,
        Meta(description="What it has in RAM. Absent: not looked at.", examples=[{}]),
    ] = None
    loop_lag: Annotated[
        OverloadLag | None,
        Meta(
            description="How late its timers run, on average over about the last second. Absent: "
            "not looked at.",
            examples=[{}],
        ),
    ] = None
    exempt: Annotated[
        tuple[str, ...],
        Meta(
            description="Routes, by name, whose requests are never refused for this, such as "
            "those of health checks.",
            examples=[["health"]],
        ),
    ] = ()

    def numbers(self) -> dict[str, tuple[int, int]]:
        """What the engine wants to know."""
        return {
            "memory": self.memory.thresholds() if self.memory else (0, 0),
            "loop_lag": self.loop_lag.thresholds() if self.loop_lag else (0, 0),
        }


def _check_order(stop_keep_alive: int, shed: int) -> None:
    if not (stop_keep_alive or shed):
        raise ValueError("stop_keep_alive or shed must be more than 0")
    if shed and stop_keep_alive > shed:
        raise ValueError("stop_keep_alive must not be more than shed")
