"""HTTP/2 towards the clients of a listener, and towards endpoints."""

from typing import Annotated

from msgspec import Meta, field

from pyproxy.config.section import Section
from pyproxy.config.units import Size

Streams = Annotated[int, Meta(ge=1, le=65_536)]
Window = Annotated[Size, Meta(ge=1024, le=2**31 - 1)]
Table = Annotated[Size, Meta(ge=0, le=2**20)]


class Http2(Section, frozen=True, kw_only=True):
    """What one client may ask for over HTTP/2, beside the listener's `limits`."""

    enabled: Annotated[
        bool,
        Meta(description="Speak HTTP/2 with clients that ask for it; `off`: HTTP/1 only."),
    ] = True
    max_concurrent_streams: Annotated[
        Streams,
        Meta(description="Requests of one connection at once; one more is refused unseen."),
    ] = 128
    stream_window_bytes: Annotated[
        Window,
        Meta(description="Bytes of one request body that may be on their way, or wait here."),
    ] = field(name="stream_window", default=65_535)
    connection_window_bytes: Annotated[
        Window, Meta(description="The same for all requests of a connection together.")
    ] = field(name="connection_window", default=2**20)
    header_table_bytes: Annotated[
        Table,
        Meta(description="Header fields that a client may have us remember (HPACK)."),
    ] = field(name="header_table", default=4096)

    def numbers(self) -> dict[str, int] | None:
        """The limits as the engine calls them; None: HTTP/1 only."""
        if not self.enabled:
            return None
        return {
            "max_streams": self.max_concurrent_streams,
            "stream_window": self.stream_window_bytes,
            "connection_window": self.connection_window_bytes,
            "table_bytes": self.header_table_bytes,
        }


class UpstreamHttp2(Section, frozen=True, kw_only=True):
    """How HTTP/2 is spoken to endpoints."""

    max_concurrent_streams: Annotated[
        Streams,
        Meta(
            description="Requests of one connection at once, if the endpoint allows as many; for "
            "more, another connection is opened."
        ),
    ] = 100
    stream_window_bytes: Annotated[
        Window,
        Meta(description="Bytes of one response that may be on their way, or wait for its client."),
    ] = field(name="stream_window", default=262_144)

    def numbers(self) -> dict[str, int]:
        """The limits as the engine calls them."""
        return {
            "http2_max_streams": self.max_concurrent_streams,
            "http2_window_bytes": self.stream_window_bytes,
        }
