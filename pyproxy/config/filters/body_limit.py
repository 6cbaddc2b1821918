"""How long the body of a request may be."""

from typing import Annotated, ClassVar

from msgspec import Meta, field

from pyproxy.config.faults import Report
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.units import Size

__all__ = ["BodyLimitFilter"]


class BodyLimitFilter(FilterKind, frozen=True, kw_only=True):
    """Refuses requests with a body over a limit: 413.

    A request that tells its length is refused before anything of its body is read, any other as
    soon as more has come. The body streams as it does without the filter. The limit is one besides
    `max_body` of the route, and the lower one counts: with `when`, some requests may send less than
    others. Of several such filters, the lowest limit counts.
    """

    default_priority: ClassVar[int] = 8000
    example: ClassVar[str] = """\
- body_limit: {max: 64KiB}
  when: {var: header.x-internal, exists: off}
"""

    max_bytes: Annotated[Size, Meta(description="Bytes of a body, 413 beyond.")] = field(name="max")

    def check(self, report: Report, path: str) -> None:
        """There is a limit."""
        if self.max_bytes == 0:
            report.add(self, "max", "this filter limits nothing", "write a size", path=path)
