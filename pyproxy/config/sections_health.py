"""How it is found out whether endpoints are fit to serve.

Active checks are made by `pyproxy.control`; how endpoints are judged by their answers is in
csrc/route/outlier.h.
"""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.section import ONE_OR_MORE, Section
from pyproxy.config.units import Duration

_STATUS = r"^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$"


class HttpCheck(Section, frozen=True, kw_only=True):
    """A request that must be answered well. One word stands for `{path: word}`."""

    shorthand: ClassVar[str] = "path"

    path: Annotated[
        str,
        Meta(pattern=r"^/[!-~]*$", description="What is asked for.", examples=["/healthz"]),
    ] = "/"
    method: Annotated[
        str, Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$", description="Its method.")
    ] = "GET"
    host: Annotated[
        str, Meta(description="Its Host field. Empty: the endpoint's address, as written.")
    ] = ""
    headers: Annotated[
        dict[str, str],
        Meta(description="Fields beside that.", examples=[{"authorization": "Bearer secret"}]),
    ] = field(default_factory=dict)
    status: Annotated[
        tuple[Annotated[str, Meta(pattern=_STATUS)], ...],
        ONE_OR_MORE,
        Meta(description="Statuses that are good.", examples=["204", ["200-299", "404"]]),
    ] = ("200-299",)
    body: Annotated[
        str, Meta(description="What must stand in the first 64 KiB of the body.", examples=["ok"])
    ] = ""
    body_regex: Annotated[
        str,
        Meta(
            description="What must be found there, as a regular expression (RE2).",
            examples=['"status": *"up"'],
        ),
    ] = ""

    def allows(self, status: int) -> bool:
        """Is a status good?"""
        return any(first <= status <= last for first, last in map(span_of, self.status))


class TcpCheck(Section, frozen=True, kw_only=True):
    """A connection that must come about, and what may have to be said on it."""

    send: Annotated[str, Meta(description="Sent first.", examples=["PING"])] = ""
    expect: Annotated[
        str,
        Meta(description="Must be in the first 64 KiB that come then.", examples=["+PONG"]),
    ] = ""


class GrpcCheck(Section, frozen=True, kw_only=True):
    """A call of grpc.health.v1.Health/Check that must be answered with SERVING.

    One word stands for `{service: word}`.
    """

    shorthand: ClassVar[str] = "service"

    service: Annotated[
        str, Meta(description="The service that is asked about. Empty: the server as a whole.")
    ] = ""
    authority: Annotated[
        str, Meta(description="The `:authority` of the call. Empty: the endpoint's address.")
    ] = ""


class HealthCheck(Section, frozen=True, kw_only=True):
    """Checks that are made again and again. One of `http`, `tcp` and `grpc` says how."""

    http: Annotated[HttpCheck | None, Meta(description="By a request.", examples=["/healthz"])] = (
        None
    )
    tcp: Annotated[
        TcpCheck | None,
        Meta(
            description="By a connection; with TLS where the upstream speaks that.",
            examples=[{}],
        ),
    ] = None
    grpc: Annotated[
        GrpcCheck | None, Meta(description="By a call of the health service.", examples=[{}])
    ] = None
    port: Annotated[
        Annotated[int, Meta(ge=1, le=65_535)] | None,
        Meta(description="Another port than the endpoint's."),
    ] = None
    tls: Annotated[
        bool | None,
        Meta(
            description="Whether TLS is spoken, as the upstream's `tls` says. Absent: where the "
            "upstream does."
        ),
    ] = None
    interval_ms: Annotated[
        Duration,
        Meta(ge=10, le=86_400_000, description="From the end of a check to the next one."),
    ] = field(name="interval", default=5_000)
    down_interval_ms: Annotated[
        Duration | None,
        Meta(
            description="The same for an endpoint that is down, or has just failed. Absent: as "
            "`interval`.",
            examples=["1s"],
        ),
    ] = field(name="down_interval", default=None)
    jitter: Annotated[
        int,
        Meta(ge=0, le=100, description="Percent by which an interval is longer or shorter."),
    ] = 10
    timeout_ms: Annotated[
        Duration, Meta(ge=1, le=3_600_000, description="How long a check may take.")
    ] = field(name="timeout", default=2_000)
    rise: Annotated[
        int, Meta(ge=1, le=1000, description="Good checks in a row until it is up.")
    ] = 2
    fall: Annotated[
        int, Meta(ge=1, le=1000, description="Bad checks in a row until it is down.")
    ] = 3
    start: Annotated[
        Literal["up", "down"],
        Meta(description="What an endpoint is until its first check, which decides at once."),
    ] = "up"

    @property
    def pause_ms(self) -> tuple[int, int]:
        """The intervals of those that are up, and of the others."""
        down = self.down_interval_ms
        return self.interval_ms, self.interval_ms if down is None else down


class SuccessRate(Section, frozen=True, kw_only=True):
    """Endpoints are ejected whose share of good answers is far below the others'."""

    min_hosts: Annotated[
        int,
        Meta(
            ge=0,
            le=100_000,
            description="Endpoints with enough answers that it takes to compare; 0: never.",
        ),
    ] = 5
    min_volume: Annotated[
        int,
        Meta(ge=1, le=2**31 - 1, description="Answers of an endpoint in an interval: enough."),
    ] = 100
    stdev_factor: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="So many standard deviations below the mean is far.",
        ),
    ] = 1.9


class OutlierDetection(Section, frozen=True, kw_only=True):
    """Endpoints that answer badly are left alone for a while. `{}` is all defaults."""

    consecutive_5xx: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Answers of 5xx, or failures, in a row; 0: not looked at.",
        ),
    ] = 5
    consecutive_gateway_failures: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Answers of 502, 503 and 504, connections that fail, resets and timeouts "
            "in a row; 0: not looked at.",
        ),
    ] = 5
    success_rate: Annotated[
        SuccessRate, Meta(description="Ejects those that are much worse than the others.")
    ] = field(default_factory=SuccessRate)
    interval_ms: Annotated[
        Duration,
        Meta(ge=10, le=86_400_000, description="In which success rates are compared."),
    ] = field(name="interval", default=10_000)
    base_ejection_ms: Annotated[
        Duration,
        Meta(
            ge=10,
            le=86_400_000,
            description="How long the first ejection lasts; the next one twice as long, and so on.",
        ),
    ] = field(name="base_ejection", default=30_000)
    max_ejection_ms: Annotated[
        Duration, Meta(ge=10, le=86_400_000, description="The longest one.")
    ] = field(name="max_ejection", default=300_000)
    max_ejected: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="Percent of the endpoints that may be ejected at once; one always may, but "
            "never an only one.",
        ),
    ] = 10

    def numbers(self) -> dict[str, int]:
        """All that the engine wants to know."""
        rate = self.success_rate
        return {
            "interval_ms": self.interval_ms,
            "base_ms": self.base_ejection_ms,
            "max_ms": self.max_ejection_ms,
            "consecutive_5xx": self.consecutive_5xx,
            "consecutive_gateway": self.consecutive_gateway_failures,
            "min_hosts": rate.min_hosts,
            "min_volume": rate.min_volume,
            "stdev_factor": round(rate.stdev_factor * 1000),
            "max_percent": self.max_ejected,
        }


def span_of(text: str) -> tuple[int, int]:
    """`200-299` as its two ends; `204` is both."""
    first, _, last = text.partition("-")
    return int(first), int(last or first)
