"""The sections of the configuration that both sides of the proxy are made of.

Listeners and upstreams.

How the structs are written, and why, is told in `model`.
"""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.section import (
    ONE_OR_MORE,
    ONE_OR_NONE,
    Count,
    HeadSize,
    Positive,
    Section,
)
from pyproxy.config.sections_adaptive import AdaptiveConcurrency
from pyproxy.config.sections_balance import Balance, Endpoint, Sticky
from pyproxy.config.sections_discovery import Discover
from pyproxy.config.sections_health import HealthCheck, OutlierDetection
from pyproxy.config.sections_http2 import Http2, UpstreamHttp2
from pyproxy.config.sections_limits import UpstreamLimits
from pyproxy.config.sections_pool import Pool
from pyproxy.config.sections_retry import Breaker, Retry
from pyproxy.config.sections_tls import Tls, UpstreamTls
from pyproxy.config.sections_udp import Udp
from pyproxy.config.units import Duration, FileMode, Size


class AccessLog(Section, frozen=True, kw_only=True):
    """Where access log lines go, and their form. One word stands for `{path: word}`."""

    shorthand: ClassVar[str] = "path"

    path: Annotated[
        str,
        Meta(
            description="The file to append to, or `stdout` or `stderr`. SIGUSR1 opens it again.",
            examples=["stdout", "/var/log/pyproxy/access.log"],
        ),
    ] = "stdout"
    format: Annotated[
        str,
        Meta(
            description="`json` for one object a line, or a line of text with {variables}.",
            examples=["json", "{client.address} {request.method} {request.path} {response.status}"],
        ),
    ] = "json"


NoLog = Annotated[
    bool | AccessLog | None,
    Meta(
        description="The access log of this part alone; `off` writes none. Absent: as one level up."
    ),
]


class Bind(Section, frozen=True, kw_only=True):
    """One address to listen on. One word stands for `{address: word}`."""

    shorthand: ClassVar[str] = "address"

    address: Annotated[
        str,
        Meta(
            description="`host:port` (numeric; port 0 takes a free one), `[v6]:port`, "
            "`unix:/path`, or `fd:NAME` "
            "for a socket that was passed in (LISTEN_FDNAMES).",
            examples=["0.0.0.0:8080", "[::]:8080", "unix:/run/pyproxy/web.sock", "fd:web"],
        ),
    ]
    mode: Annotated[
        FileMode, Meta(description="Permission bits of a unix socket.", examples=["0660"])
    ] = 0o666


class ListenerLimits(Section, frozen=True, kw_only=True):
    """What one client may ask for. 0 lifts a limit on a count or an age."""

    max_head_bytes: Annotated[
        HeadSize, Meta(description="Bytes of a request head; 431 beyond.")
    ] = field(name="max_head", default=61_440)
    max_line_bytes: Annotated[
        HeadSize, Meta(description="Bytes of one header line; 431 beyond.")
    ] = field(name="max_line", default=16_384)
    max_target_bytes: Annotated[
        HeadSize, Meta(description="Bytes of the request target; 414 beyond.")
    ] = field(name="max_target", default=8192)
    max_fields: Annotated[Positive, Meta(description="Header lines of a request; 431 beyond.")] = (
        100
    )
    max_requests: Annotated[
        Count, Meta(description="Requests on one connection; then it closes in order.")
    ] = 0
    max_age_ms: Annotated[
        Duration, Meta(description="Age of a connection after which it closes in order.")
    ] = field(name="max_age", default=3_600_000)
    max_connections: Annotated[
        Count, Meta(description="Client connections at once, in each worker.")
    ] = 0
    body_min_rate: Annotated[
        Annotated[Size, Meta(le=2**31 - 1)],
        Meta(description="Bytes a second that a request body must bring on average; 408 below."),
    ] = 240


class ListenerTimeouts(Section, frozen=True, kw_only=True):
    """How long a client may take; 0: as long as it likes."""

    header_ms: Annotated[
        Duration, Meta(description="For the whole request head, not per read; 408.")
    ] = field(name="header", default=60_000)
    idle_ms: Annotated[
        Duration | None,
        Meta(
            description="Between two requests of a connection, `75s` unless given; in a tunnel, "
            "without a byte either way, `1h` unless given; of a UDP session `30s`."
        ),
    ] = field(name="idle", default=None)
    body_ms: Annotated[Duration, Meta(description="Between two reads of a request body; 408.")] = (
        field(name="body", default=60_000)
    )
    send_ms: Annotated[Duration, Meta(description="Between two writes of a response.")] = field(
        name="send", default=60_000
    )
    tunnel_idle_ms: Annotated[
        Duration,
        Meta(
            description="Without a byte either way in a tunnel that began as a request: a "
            "WebSocket, another upgrade, CONNECT."
        ),
    ] = field(name="tunnel_idle", default=3_600_000)
    keepalive_ms: Annotated[
        Duration,
        Meta(
            description="TCP keepalive probes at both ends of a tunnel after so long without "
            "traffic; whole seconds. 0: none."
        ),
    ] = field(name="keepalive", default=120_000)


class ProxyHeaders(Section, frozen=True, kw_only=True):
    """The PROXY protocol: who announces the real client. One word stands for `{trusted: word}`."""

    shorthand: ClassVar[str] = "trusted"

    trusted: Annotated[
        tuple[str, ...],
        ONE_OR_MORE,
        Meta(
            description="Addresses and networks of the proxies in front, or `unix`. Each of their "
            "connections must begin with a header, of version 1 or 2.",
            examples=[["10.0.0.0/8", "unix"]],
        ),
    ]
    others: Annotated[
        Literal["refuse", "direct"],
        Meta(
            description="Connections from elsewhere: closed, or served as they are. What they "
            "begin with is never taken for a header."
        ),
    ] = "refuse"


class Listener(Section, frozen=True, kw_only=True):
    """An entrance: addresses, and what is accepted on them."""

    bind: Annotated[
        tuple[Bind, ...],
        ONE_OR_MORE,
        Meta(
            description="One address or a list of them.",
            examples=["0.0.0.0:8080", ["[::]:8080", "fd:web"]],
        ),
    ]
    protocol: Annotated[
        Literal["http", "tcp", "udp"],
        Meta(
            description="What is spoken here. `tcp`: whatever it is, every connection is tunnelled "
            "to an endpoint of `upstream`. `udp`: the same for datagrams."
        ),
    ] = "http"
    upstream: Annotated[
        str | None,
        Meta(
            description="Where the connections of a `tcp` listener, or the datagrams of a `udp` "
            "one, go.",
            examples=["postgres"],
        ),
    ] = None
    sni: Annotated[
        dict[str, str],
        Meta(
            description="Server names, exact or `*.suffix`, and the upstreams that TLS connections "
            "of a `tcp` listener go to, without being decrypted. `upstream` takes all others; "
            "without it they are refused.",
            examples=[{"a.example": "app", "*.b.example": "other"}],
        ),
    ] = field(default_factory=dict)
    proxy_protocol: Annotated[
        ProxyHeaders | None,
        Meta(description="Read PROXY protocol headers. Absent: none is expected."),
    ] = None
    tls: Annotated[
        Tls | None,
        Meta(description="Speak TLS. Absent: plain.", examples=[{"cert": "a.crt", "key": "a.key"}]),
    ] = None
    udp: Annotated[
        Udp,
        Meta(
            description="Sessions of a `udp` listener.",
            examples=[{"responses": 1, "max_sessions": 4096}],
        ),
    ] = field(default_factory=Udp)
    limits: Annotated[ListenerLimits, Meta(description="What one client may ask for.")] = field(
        default_factory=ListenerLimits
    )
    timeouts: Annotated[ListenerTimeouts, Meta(description="How long a client may take.")] = field(
        default_factory=ListenerTimeouts
    )
    http2: Annotated[Http2, Meta(description="HTTP/2, on the same addresses.")] = field(
        default_factory=Http2
    )
    trusted_proxies: Annotated[
        tuple[str, ...],
        ONE_OR_NONE,
        Meta(
            description="Addresses and networks, or `unix`, whose X-Forwarded-* are believed; "
            "replaced from all others.",
            examples=[["10.0.0.0/8", "::1"]],
        ),
    ] = ()
    server_header: Annotated[
        str, Meta(description="Replaces the Server field of responses. Empty: the origin's stays.")
    ] = ""
    via: Annotated[
        str, Meta(description="Our name in the Via field (RFC 9110 section 7.6.3). Empty: no Via.")
    ] = "pyproxy"
    access_log: NoLog = None


class UpstreamTimeouts(Section, frozen=True, kw_only=True):
    """How long an origin may take; 0: as long as it likes."""

    connect_ms: Annotated[Duration, Meta(description="To connect; 504.")] = field(
        name="connect", default=5_000
    )
    send_ms: Annotated[Duration, Meta(description="Between two writes of a request; 504.")] = field(
        name="send", default=60_000
    )
    first_byte_ms: Annotated[
        Duration, Meta(description="From the end of the request to the response head; 504.")
    ] = field(name="first_byte", default=60_000)
    read_ms: Annotated[Duration, Meta(description="Between two reads of a response body.")] = field(
        name="read", default=60_000
    )
    total_ms: Annotated[
        Duration, Meta(description="For the whole exchange, retries included; 0: no limit.")
    ] = field(name="total", default=0)


class Upstream(Section, frozen=True, kw_only=True):
    """A group of endpoints that serve the same."""

    endpoints: Annotated[
        tuple[Endpoint, ...],
        ONE_OR_MORE,
        Meta(
            description="Where to connect. May be absent where there is `discover`.",
            examples=[["127.0.0.1:9000", {"address": "127.0.0.1:9001", "weight": 2}]],
        ),
    ] = ()
    discover: Annotated[
        Discover | None,
        Meta(
            description="Where further endpoints are found while it runs. Absent: nowhere.",
            examples=[{"dns": {"name": "app.internal", "port": 9000}}, {"file": "endpoints.yaml"}],
        ),
    ] = None
    tls: Annotated[
        bool | UpstreamTls | None,
        Meta(description="Speak TLS to the endpoints; `true` for the defaults. Absent: plain."),
    ] = None
    protocol: Annotated[
        Literal["auto", "h1", "h2", "h2c"],
        Meta(
            description="What is spoken: `auto` is what the endpoint chooses over TLS, and HTTP/1 "
            "without; `h2` is HTTP/2 over TLS and nothing else, `h2c` HTTP/2 without TLS."
        ),
    ] = "auto"
    http2: Annotated[UpstreamHttp2, Meta(description="How HTTP/2 is spoken.")] = field(
        default_factory=UpstreamHttp2
    )
    balance: Annotated[
        Balance,
        Meta(
            description="How an endpoint is chosen.",
            examples=["least_request", {"policy": "ring_hash", "key": "header.x-user"}],
        ),
    ] = field(default_factory=Balance)
    sticky: Annotated[
        Sticky | None,
        Meta(
            description="Bring clients back to the endpoint that they had. Absent: no.",
            examples=["srv", {"cookie": "srv", "ttl": "1h", "secure": True}],
        ),
    ] = None
    health_check: Annotated[
        HealthCheck | None,
        Meta(
            description="Ask endpoints again and again whether they can serve. Absent: never.",
            examples=[{"http": "/healthz", "interval": "2s"}],
        ),
    ] = None
    outlier_detection: Annotated[
        OutlierDetection | None,
        Meta(
            description="Leave endpoints alone for a while that answer badly. Absent: never.",
            examples=[{}],
        ),
    ] = None
    timeouts: Annotated[UpstreamTimeouts, Meta(description="How long an origin may take.")] = field(
        default_factory=UpstreamTimeouts
    )
    pool: Annotated[Pool, Meta(description="Idle connections.")] = field(default_factory=Pool)
    limits: Annotated[
        UpstreamLimits,
        Meta(
            description="How much it takes at once, and what a response head may have.",
            examples=[{"requests": 100, "pending": 50, "queue_timeout": "2s"}],
        ),
    ] = field(default_factory=UpstreamLimits)
    adaptive_concurrency: Annotated[
        AdaptiveConcurrency | None,
        Meta(
            description="Let the number of requests in progress follow how quickly they are "
            "answered, within `limits`. Absent: only those.",
            examples=[{}, {"max_limit": 200}],
        ),
    ] = None
    retries: Annotated[
        int,
        Meta(
            ge=0,
            le=16,
            description="Further tries after a failed connect or a dead reused connection, when "
            "that is safe, and after whatever `retry` names.",
        ),
    ] = 1
    retry: Annotated[
        Retry | None,
        Meta(
            description="What else is tried again, and how. Absent: nothing else, and at once.",
            examples=[{"conditions": ["gateway_error", "reset"], "per_try_timeout": "2s"}],
        ),
    ] = None
    breaker: Annotated[
        Breaker | None,
        Meta(
            description="Leave the upstream alone for a while when too much has failed. Absent: "
            "never.",
            examples=[{"failures": 5}, {"failure_percent": 50, "open": "10s"}],
        ),
    ] = None
    proxy_protocol: Annotated[
        Literal["off", "v1", "v2"],
        Meta(
            description="Begin each connection with a PROXY protocol header that tells the "
            "client's address. Such a connection serves one request or tunnel only."
        ),
    ] = "off"

    @property
    def is_limited(self) -> bool:
        """Has it, or an endpoint, limits to what is in progress at once?"""
        return self.limits.admits or any(e.is_limited for e in self.endpoints)

    @property
    def spoken(self) -> str:
        """`protocol`, but a connection that begins with a client's address is of that client.

        It is never one of HTTP/2, which is everybody's.
        """
        return "h1" if self.proxy_protocol != "off" else self.protocol
