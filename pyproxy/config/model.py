"""The configuration as frozen structs.

What the file may say, its documentation, its defaults and the published JSON Schema all come from
here.

A field is named in the file as `name=` says (or as the attribute); attributes spell the unit.
`place`, which every section has, is the node of the file that it was read from, or NOWHERE. It is
no part of the value: sections that say the same are equal.

No `from __future__ import annotations` here and in `sections`: the annotations are read at start,
and are cheapest ready-made.
"""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.nodes import Node
from pyproxy.config.section import HIDDEN, ONE_OR_NONE, Section
from pyproxy.config.sections import (
    AccessLog,
    Bind,
    Listener,
    ListenerLimits,
    ListenerTimeouts,
    NoLog,
    ProxyHeaders,
    Upstream,
    UpstreamTimeouts,
)
from pyproxy.config.sections_balance import Endpoint
from pyproxy.config.sections_http2 import UpstreamHttp2
from pyproxy.config.sections_limits import UpstreamLimits
from pyproxy.config.sections_match import Arm, Condition, Split, Test
from pyproxy.config.sections_overload import Overload
from pyproxy.config.sections_pool import Pool
from pyproxy.config.sections_retry import Retry
from pyproxy.config.sections_route import Match, Redirect, Respond, Rewrite
from pyproxy.config.sections_tls import FileLook
from pyproxy.config.sections_udp import Udp
from pyproxy.config.units import Duration, Size
from pyproxy.errors import Fault

__all__ = [
    "AccessLog",
    "Admin",
    "Arm",
    "Bind",
    "Condition",
    "Config",
    "Endpoint",
    "FilterRef",
    "Listener",
    "ListenerLimits",
    "ListenerTimeouts",
    "Log",
    "Match",
    "NoLog",
    "Overload",
    "Pool",
    "ProxyHeaders",
    "PythonFilter",
    "Redirect",
    "Respond",
    "Rewrite",
    "Route",
    "Section",
    "Split",
    "Test",
    "Udp",
    "Upstream",
    "UpstreamHttp2",
    "UpstreamLimits",
    "UpstreamTimeouts",
    "filter_refs",
    "python_refs",
    "route_name",
]


class PythonFilter(Section, frozen=True, kw_only=True):
    """A filter class of yours."""

    use: Annotated[str, Meta(description="`module:Class`.", examples=["myapp.filters:Audit"])]
    config: Annotated[
        dict[str, Any],
        Meta(
            description="What its `Config` takes; checked against it.", examples=[{"level": "info"}]
        ),
    ] = field(default_factory=dict)
    timeout_ms: Annotated[
        Duration, Meta(description="How long one call of an async phase may take; 0: no limit.")
    ] = field(name="timeout", default=30_000)
    name: Annotated[str, Meta(description="What logs call it. Absent: the class.")] = ""


class FilterRef(Section, frozen=True, kw_only=True):
    """A filter in its place in a chain: `{kind: options}`, and beside that what every filter has.

    `options` is the struct of the kind; None when it is switched off and nothing else is said.
    """

    kind: str
    options: Any
    enabled: Annotated[
        bool,
        Meta(
            description="Off: it does not run. In a route this switches off a filter of all "
            "routes, of the same kind and name."
        ),
    ] = True
    name: Annotated[
        str,
        Meta(
            description="What logs call it. A filter of a route takes the place of one of all "
            "routes with its kind and its name. Absent: the kind."
        ),
    ] = ""
    priority: Annotated[
        Annotated[int, Meta(ge=-1_000_000, le=1_000_000)] | None,
        Meta(
            description="Filters of higher priority run earlier; of equal ones, those of all "
            "routes first, then as they are written. Absent: the kind's own."
        ),
    ] = None
    when: Annotated[
        Condition | None,
        Meta(
            description="It takes part only in exchanges for which this holds when it is first "
            "reached. Absent: in all."
        ),
    ] = None

    @classmethod
    def from_node(cls, node: Node, faults: list[Fault]) -> Any:
        """Read `{kind: options}` and what stands beside it."""
        from pyproxy.config.filters.read import read_ref  # for those who have filters

        return read_ref(node, faults)

    @property
    def label(self) -> str:
        """What logs call it."""
        if self.name or not isinstance(self.options, PythonFilter) or self.kind != "python":
            return self.name or self.kind
        return self.options.name or self.options.use.partition(":")[2]

    @property
    def identity(self) -> tuple[str, str] | None:
        """Kind and name, by which a route's filter replaces one of all routes; None: it cannot.

        Classes of one's own replace each other only when they are given a name.
        """
        options = self.options
        name = self.name or (options.name if isinstance(options, PythonFilter) else "")
        return None if self.kind == "python" and not name else (self.kind, name)


class Route(Section, frozen=True, kw_only=True):
    """Which requests, and what becomes of them.

    One of `upstream`, `split`, `respond`, `redirect`; or none, when a filter answers or names the
    peer.
    """

    name: Annotated[
        str,
        Meta(
            description="What metrics and logs call it. Absent: `route-N`, its place in the "
            "list, from 0."
        ),
    ] = ""
    enabled: Annotated[
        bool, Meta(description="`off`: checked, and then left aside, as if it were not there.")
    ] = True
    match: Annotated[Match, Meta(description="Which requests. Absent: all.")] = field(
        default_factory=Match
    )
    priority: Annotated[
        int,
        Meta(
            ge=-1_000_000,
            le=1_000_000,
            description="Of the routes of a host that match, the highest goes first.",
        ),
    ] = 0
    filters: Annotated[
        tuple[FilterRef, ...],
        Meta(description="Run beside the filters of all routes, in the order of priorities."),
    ] = ()
    upstream: Annotated[
        str | None,
        Meta(description="Send the request to the upstream of this name.", examples=["app"]),
    ] = None
    split: Annotated[
        Split | None, Meta(description="Send it to one of several upstreams, by weight.")
    ] = None
    respond: Annotated[Respond | None, Meta(description="Answer here.")] = None
    redirect: Annotated[Redirect | None, Meta(description="Answer with a redirect.")] = None
    rewrite: Annotated[Rewrite, Meta(description="Change the request before it goes upstream.")] = (
        field(default_factory=Rewrite)
    )
    upgrade: Annotated[
        tuple[str, ...],
        ONE_OR_NONE,
        Meta(
            description="Protocols that clients may switch to with Upgrade, by name; what is not "
            "named is not passed on.",
            examples=[["websocket", "my-protocol/2"], []],
        ),
    ] = ("websocket",)
    max_body_bytes: Annotated[
        Size, Meta(description="Bytes of a request body, 413 beyond; `unlimited` for any.")
    ] = field(name="max_body", default=1_048_576)
    timeout_ms: Annotated[
        Duration, Meta(description="For the whole exchange; 0: as the upstream's `timeouts.total`.")
    ] = field(name="timeout", default=0)
    retry: Annotated[
        Retry | None,
        Meta(description="What is tried again, instead of what the upstream says. Absent: that."),
    ] = None
    grpc_web: Annotated[
        bool, Meta(description="Take calls of gRPC-Web as well, and pass them on as gRPC.")
    ] = False
    access_log: NoLog = None


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


class Config(Section, frozen=True, kw_only=True):
    """The whole configuration."""

    workers: Annotated[
        Literal["auto"] | Annotated[int, Meta(ge=1, le=256)],
        Meta(description="Worker processes; `auto` is one for each CPU that this process may use."),
    ] = "auto"
    user: Annotated[
        str,
        Meta(
            description="`user` or `user:group` that workers become after the sockets are bound. "
            "Empty: no change.",
            examples=["www-data", "proxy:proxy"],
        ),
    ] = ""
    pid_file: Annotated[
        str,
        Meta(
            description="The file that holds the supervisor's process id.",
            examples=["/run/pyproxy.pid"],
        ),
    ] = ""
    control_socket: Annotated[
        str,
        Meta(
            description="Where `pyproxy reload`, `upgrade` and `status` reach the supervisor. "
            "Empty: a path made from the configuration's own, in the runtime folder of the user.",
            examples=["/run/pyproxy/control.sock"],
        ),
    ] = ""
    drain: Annotated[
        Drain, Meta(description="How open connections end at SIGTERM and after an upgrade.")
    ] = field(default_factory=Drain)
    watch: Annotated[
        bool,
        Meta(
            description="Look at the files and at the code of filters every second, and reload "
            "when they have changed."
        ),
    ] = False
    upgrade_timeout_ms: Annotated[
        Duration,
        Meta(description="How long a new program may take until it is ready; 0: no limit."),
    ] = field(name="upgrade_timeout", default=60_000)
    session_ticket_lifetime_ms: Annotated[
        Duration,
        Meta(
            description="How long the keys of TLS session tickets are used, and as long again to "
            "resume sessions; 0: as long as the service runs."
        ),
    ] = field(name="session_ticket_lifetime", default=43_200_000)
    shared_memory_bytes: Annotated[
        Size,
        Meta(
            ge=65_536,
            le=2**40,
            description="Room for what limits count over all workers: 16 bytes for each name "
            "(client address, key, ...) in use. Only what is used takes memory.",
        ),
    ] = field(name="shared_memory", default=4_194_304)
    overload: Annotated[
        Overload | None,
        Meta(
            description="What a worker does that has too much to do. Absent: it goes on as it can.",
            examples=[{"memory": {"limit": "1GiB"}, "loop_lag": {}, "exempt": ["health"]}],
        ),
    ] = None
    log: Annotated[Log, Meta(description="Diagnostics.")] = field(default_factory=Log)
    access_log: NoLog = None
    listeners: Annotated[dict[str, Listener], Meta(description="The entrances, by name.")] = field(
        default_factory=dict
    )
    upstreams: Annotated[
        dict[str, Upstream], Meta(description="The groups of endpoints, by name.")
    ] = field(default_factory=dict)
    filters: Annotated[
        tuple[FilterRef, ...],
        Meta(description="Run on every route, beside its own, in the order of priorities."),
    ] = ()
    routes: Annotated[tuple[Route, ...], Meta(description="Which request goes where.")] = ()
    admin: Annotated[Admin | None, Meta(description="The admin server. Absent: none.")] = None
    files: Annotated[tuple[FileLook, ...], HIDDEN] = ()
    # Where modules of the user are looked for first: those of the configuration's files.
    folders: Annotated[tuple[str, ...], HIDDEN] = ()


def route_name(config: Config, index: int) -> str:
    """The name of a route, given or made from its place in the list."""
    return config.routes[index].name or f"route-{index}"


def filter_refs(config: Config) -> list[tuple[str, FilterRef]]:
    """Every filter of a configuration with its key, such as `routes[3].filters[1]`.

    By these keys bound filters are known.
    """
    refs = [(f"filters[{i}]", ref) for i, ref in enumerate(config.filters)]
    for i, route in enumerate(config.routes):
        refs += [(f"routes[{i}].filters[{j}]", ref) for j, ref in enumerate(route.filters)]
    return refs


def python_refs(config: Config) -> list[tuple[str, FilterRef]]:
    """Those of them that are code of others: classes that have to be imported."""
    return [(k, ref) for k, ref in filter_refs(config) if isinstance(ref.options, PythonFilter)]
