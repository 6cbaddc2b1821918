"""The sections of the configuration that are about the processes: logs, drain, the admin server.

How the structs are written, and why, is told in `model`.
"""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.section import Section
from pyproxy.config.units import Duration


class Admin(Section, frozen=True, kw_only=True):
    """The admin server: metrics, readiness. One word stands for `{bind: word}`."""

    shorthand: ClassVar[str] = "bind"

    bind: Annotated[
        str,
        Meta(
            description="`host:port`, `[v6]:port` or `unix:/path`. Keep it where only operators "
            "reach it.",
            examples=["127.0.0.1:9901"],
        ),
    ]


class Log(Section, frozen=True, kw_only=True):
    """Diagnostics on standard error (not the access log). One word stands for `{level: word}`."""

    shorthand: ClassVar[str] = "level"

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least that is told.")
    ] = "info"
    format: Annotated[
        Literal["text", "json"], Meta(description="Lines for people or for machines.")
    ] = "text"


class Drain(Section, frozen=True, kw_only=True):
    """How open connections end. One duration stands for `{timeout: duration}`."""

    shorthand: ClassVar[str] = "timeout"

    timeout_ms: Annotated[
        Duration, Meta(description="How long running requests may take to finish; 0: no limit.")
    ] = field(name="timeout", default=300_000)
    tunnels_ms: Annotated[
        Duration, Meta(description="How long TCP and WebSocket tunnels may go on; 0: no limit.")
    ] = field(name="tunnels", default=3_600_000)
    delay_ms: Annotated[
        Duration,
        Meta(
            description="At SIGTERM, how long to go on accepting while `/ready` says 503 already, "
            "so that balancers notice first."
        ),
    ] = field(name="delay", default=0)
    spread_ms: Annotated[
        Duration,
        Meta(description="Idle connections are closed spread over this time, not all at once."),
    ] = field(name="spread", default=1_000)
