"""Which programs may ask."""

from typing import Annotated, ClassVar

from msgspec import Meta

from pyproxy.config.faults import Report
from pyproxy.config.filters.refusal import RefusingFilter
from pyproxy.config.filters.regexes import check_regexes

__all__ = ["UaRestrictionFilter"]


class UaRestrictionFilter(RefusingFilter, frozen=True, kw_only=True):
    """Refuses requests by what the program says of itself in `User-Agent`.

    What is denied is refused; where something is allowed, all else is refused. Patterns are regular
    expressions that are found anywhere in the field; `(?i)` at the start takes any case. They run
    in linear time. What a program says of itself is no proof of anything.
    """

    default_priority: ClassVar[int] = 6900
    example: ClassVar[str] = """\
- ua_restriction:
    deny: ["(?i)bot|crawler", "^curl/"]
    missing: off
"""

    allow: Annotated[
        tuple[str, ...],
        Meta(description="Regular expressions. Empty: all.", examples=[["^Mozilla/", "(?i)edge"]]),
    ] = ()
    deny: Annotated[
        tuple[str, ...],
        Meta(description="Regular expressions; they count more than `allow`."),
    ] = ()
    missing: Annotated[bool, Meta(description="Let requests without the field through.")] = True

    def check(self, report: Report, path: str) -> None:
        """Patterns are patterns, and something is restricted."""
        check_regexes(self, "allow", path, report)
        check_regexes(self, "deny", path, report)
        if not self.allow and not self.deny and self.missing:
            report.add(self, "", "this filter restricts nothing", "add allow or deny", path=path)
