"""Decompression of bodies."""

from typing import Annotated, ClassVar

from msgspec import Meta

from pyproxy.config.faults import Report
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.section import Positive
from pyproxy.config.units import Size

__all__ = ["DecompressionFilter"]


class DecompressionFilter(FilterKind, frozen=True, kw_only=True):
    """Decodes bodies that came compressed: gzip, deflate, brotli and zstd.

    Responses are decoded for clients that do not take their coding (a client that sends no
    `accept-encoding` takes none); others get them as they are. Requests are decoded for origins
    that cannot, and for the filters that run later; one with a coding that is unknown, or with
    several, is answered with 415.

    Decoded content loses its `content-encoding` and its length; of a response, a strong entity tag
    becomes weak, and digests and `accept-ranges` go. Partial responses (206) and those where either
    side says `no-transform` stay as they are.

    Against decompression bombs, content may become `max_size` bytes and `max_ratio` times what came
    of it (64 KiB are free). A request beyond is answered with 413, a response is cut off.
    """

    default_priority: ClassVar[int] = 3600
    example: ClassVar[str] = """\
- decompression:
    requests: true
    max_ratio: 50
    max_size: 16MiB
"""

    responses: Annotated[
        bool, Meta(description="Decode responses for clients that do not take their coding.")
    ] = True
    requests: Annotated[bool, Meta(description="Decode requests.")] = False
    max_ratio: Annotated[
        Positive,
        Meta(description="Times that content may become longer; bombs become 1,000 times."),
    ] = 100
    max_size: Annotated[
        Size, Meta(ge=1, le=2**40, description="Bytes that the content of a message may become.")
    ] = 64 * 2**20

    def check(self, report: Report, path: str) -> None:
        """Is there anything to do?"""
        if not self.responses and not self.requests:
            report.add(self, ("responses",), "neither requests nor responses", path=path)
