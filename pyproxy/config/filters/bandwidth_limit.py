"""How fast bodies pass."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from pyproxy.config.faults import Report
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.filters.limits import Key, check_key, key_text
from pyproxy.config.section import Section
from pyproxy.config.units import Size

__all__ = ["Bandwidth", "BandwidthLimitFilter"]

# As in csrc/proxy/pace.h.
_RATE_MAX = 2**40
_BURST_MAX = 2**30


class Bandwidth(Section, frozen=True, kw_only=True):
    """So many bytes, in the long run and at once."""

    rate: Annotated[Size, Meta(description="Bytes per second.", examples=["1MiB"])]
    burst: Annotated[
        Size | None,
        Meta(description="Bytes that may pass at once. Absent: those of a second, 1GiB at most."),
    ] = None

    def check(self, report: Report, path: str) -> None:
        """Can something pass?"""
        for key, value, most in (("rate", self.rate, _RATE_MAX), ("burst", self.burst, _BURST_MAX)):
            if value == 0:
                cure = "write a size, or leave the limit out"
                report.add(self, key, "nothing would ever pass", cure, path=path)
            elif value is not None and value > most:
                cure = "1TiB" if key == "rate" else "1GiB"
                report.add(self, key, "this is out of range", f"{cure} at most", path=path)


class BandwidthLimitFilter(FilterKind, frozen=True, kw_only=True):
    """Limits the bytes per second of bodies: of responses, of requests, or of both.

    Each exchange has its own limit; with `key` the exchanges of one worker share it for which the
    key is the same, and take turns. (Several workers let as many times the rate pass; an exchange
    without the key has its own limit, and a reload begins with a full burst.) Until any moment no
    more than the burst and the rate for the time since then has passed.

    What is held back is not read: the origin, or the client that uploads, is made to wait as by a
    slow network, nothing is collected, and no timeout runs meanwhile. Bytes count as they come in,
    before filters such as `compression` have changed the body, and without heads and framing. Of
    the proxy's own answers only files (`static`) are held back; tunnels (WebSocket,
    CONNECT) are not.
    """

    default_priority: ClassVar[int] = 3800
    example: ClassVar[str] = """\
- bandwidth_limit:
    download: {rate: 1MiB, burst: 64KiB}
    upload: {rate: 512KiB}
    key: client.address
"""

    download: Annotated[
        Bandwidth | None, Meta(description="Bodies of responses. Absent: no limit.")
    ] = None
    upload: Annotated[
        Bandwidth | None, Meta(description="Bodies of requests. Absent: no limit.")
    ] = None
    key: Annotated[
        Key | None, Meta(description="Who shares the limits. Absent: each exchange has its own.")
    ] = None

    def check(self, report: Report, path: str) -> None:
        """There is a limit, and something passes."""
        if self.download is None and self.upload is None:
            cure = "add download or upload"
            report.add(self, "", "this filter limits nothing", cure, path=path)
        for key, limit in (("download", self.download), ("upload", self.upload)):
            if limit is not None:
                limit.check(report, f"{path}.{key}")
        if self.key is not None:
            check_key(self, self.key, path, report)

    def options(self) -> dict[str, Any]:
        """What the data plane needs."""
        found = super().options()
        if self.key is not None:
            found["key"] = key_text(self.key)
        return found
