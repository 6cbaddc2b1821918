"""Who the client is behind other proxies."""

from typing import Annotated, ClassVar

from msgspec import Meta

from pyproxy.config.faults import Report, is_token
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.filters.ranges import check_ranges
from pyproxy.config.section import ONE_OR_MORE

__all__ = ["RealIpFilter"]


class RealIpFilter(FilterKind, frozen=True, kw_only=True):
    """Finds the client's address behind proxies that are trusted.

    The field is read from its end, for each proxy appends whom it was asked by. The last address is
    the client's, or with `recursive` the last one that is not trusted itself: what stands before it
    may be invented. Rules, balancing, filters and logs see that address from then on; what the
    origin is told in `X-Forwarded-For` goes on with the connection's own. As a filter of all routes
    it runs before a request is routed.
    """

    default_priority: ClassVar[int] = 23000
    example: ClassVar[str] = """\
- real_ip:
    trusted: [127.0.0.0/8, 10.0.0.0/8]
    header: x-forwarded-for
"""

    trusted: Annotated[
        tuple[str, ...],
        ONE_OR_MORE,
        Meta(
            description="Networks and addresses of the proxies; `unix` is unix sockets.",
            examples=[["10.0.0.0/8", "unix"]],
        ),
    ]
    header: Annotated[
        str,
        Meta(description="Where they say it.", examples=["x-real-ip", "cf-connecting-ip"]),
    ] = "x-forwarded-for"
    recursive: Annotated[
        bool, Meta(description="Pass over addresses that are trusted themselves.")
    ] = True

    def check(self, report: Report, path: str) -> None:
        """Networks are networks, and the field has a name."""
        check_ranges(self, "trusted", path, report)
        if not is_token(self.header):
            report.add(self, "header", f'"{self.header}" is not the name of a header', path=path)
