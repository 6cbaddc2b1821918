"""Copies of requests for another upstream."""

from typing import Annotated, ClassVar

from msgspec import Meta, field

from pyproxy.config.faults import Report
from pyproxy.config.filters.headers import HeaderEdits, check_edits
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.units import Duration, Size

__all__ = ["MirrorFilter"]

_SUFFIX = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_")
_BODY_MAX = 2**31 - 1


class MirrorFilter(FilterKind, frozen=True, kw_only=True):
    """Sends a copy of requests to another upstream, and throws the answers away.

    The copy is what the origin gets: behind all filters of the request, with its body, target and
    forwarding headers; `headers` and `host_suffix` change the copy alone. It is sent as any other
    request (balancing, connection pools, TLS, HTTP/2 as the upstream says), but is never tried
    again by a retry policy, and neither logged nor counted as a request of the route. The client
    does not wait for it and hears nothing of it, whatever becomes of it.

    A body is copied as it passes, and the copy goes when all of it has passed: a request whose body
    is not taken whole has no copy. Nor have requests that open tunnels (WebSocket, CONNECT) or that
    the proxy answers itself; with `when`, only those for which it holds. A worker that drains lets
    the copies that are on their way end, within the time for requests.
    """

    default_priority: ClassVar[int] = 1100
    example: ClassVar[str] = """\
- mirror:
    upstream: app
    percent: 100
    host_suffix: -shadow
    headers: {set: {x-mirrored: "1"}, remove: [cookie]}
"""

    upstream: Annotated[str, Meta(description="Name of the upstream that gets the copies.")]
    percent: Annotated[
        float,
        Meta(ge=0, le=100, description="Of how many requests in a hundred; 0.01 is one in 10000."),
    ] = 100.0
    max_body: Annotated[
        Size, Meta(description="Longest body of a request that is copied; kept in memory.")
    ] = 65_536
    timeout_ms: Annotated[
        Duration,
        Meta(ge=1, description="From the end of the request to that of the answer to its copy."),
    ] = field(name="timeout", default=10_000)
    max_concurrent: Annotated[
        int,
        Meta(
            ge=1,
            le=1_000_000,
            description="Copies of one worker at a time, collected or on their way; what is more "
            "has no copy.",
        ),
    ] = 100
    host_suffix: Annotated[
        str, Meta(description="What is appended to the host name.", examples=["-shadow"])
    ] = ""
    headers: Annotated[HeaderEdits, Meta(description="Headers of the copy.")] = field(
        default_factory=HeaderEdits
    )

    def check(self, report: Report, path: str) -> None:
        """Can the copy be made?"""
        if not _SUFFIX.issuperset(self.host_suffix):
            message = f'"{self.host_suffix}" cannot be a part of a host name'
            report.add(self, "host_suffix", message, path=path)
        if self.max_body > _BODY_MAX:
            report.add(self, "max_body", "this is more than is copied", "2GiB at most", path=path)
        check_edits(self.headers, f"{path}.headers", report)

    def upstreams(self) -> dict[str, str]:
        """Where copies go."""
        return {"upstream": self.upstream}
