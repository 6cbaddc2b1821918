"""Which client addresses may ask."""

from typing import Annotated, ClassVar

from msgspec import Meta

from pyproxy.config.faults import Report
from pyproxy.config.filters.ranges import check_ranges
from pyproxy.config.filters.refusal import RefusingFilter

__all__ = ["IpRestrictionFilter"]


class IpRestrictionFilter(RefusingFilter, frozen=True, kw_only=True):
    """Refuses requests by the address of the client.

    What is denied is refused; where something is allowed, all else is refused. Behind other proxies
    the client's address is what `real_ip` has found, else that of the nearest proxy. A list may
    have any number of entries: the time to find one grows with its logarithm.
    """

    default_priority: ClassVar[int] = 7000
    example: ClassVar[str] = """\
- ip_restriction:
    allow: [127.0.0.0/8, "::1", unix]
    deny: [127.0.0.66]
    message: "not from there\\n"
"""

    allow: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks and addresses; `unix` is unix sockets. Empty: all.",
            examples=[["10.0.0.0/8", "2001:db8::/32", "192.0.2.7", "unix"]],
        ),
    ] = ()
    deny: Annotated[
        tuple[str, ...], Meta(description="The same; it counts more than `allow`.")
    ] = ()

    def check(self, report: Report, path: str) -> None:
        """Networks are networks, and something is restricted."""
        check_ranges(self, "allow", path, report)
        check_ranges(self, "deny", path, report)
        if not self.allow and not self.deny:
            report.add(self, "", "this filter restricts nothing", "add allow or deny", path=path)
