"""One live worker: the C engine, and the builder of its configuration snapshot."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, final, overload

from typing_extensions import Buffer

from pyproxy.filters.announced import ProxyProtocol
from pyproxy.tls.client import ClientTls
from pyproxy.tls.settings import ClientSettings, ServerSettings

_T = TypeVar("_T")

def load_tls() -> None:
    """Load the TLS library that `pyproxy.tls.api` finds, and make the context with the ticket keys.

    Where something with TLS is made, this happens by itself. To be called before that in a process
    that forks those that shall resume each other's sessions by the library's own keys. Later calls
    do nothing. OSError: a function is missing. ValueError: there is none.
    """

def set_ticket_keys(keys: bytes) -> bool:
    """Make session tickets with the first of these keys from now on, and open them with all.

    1 to 3 keys of 80 random bytes, one behind the other, for this process and those that are forked
    from it; those from before are forgotten. They wait for `load_tls` if it has not been called
    yet. False: the TLS library keeps to keys of its own. OSError: not whole keys.
    """

def sweep_tls() -> bool:
    """Free some more of what `ListenerTls` that nobody uses any more have left.

    Half a millisecond. True: there is more.
    """

@final
class Snapshot:
    """An immutable compiled configuration.

    Made by `SnapshotBuilder.finish`, given to `Engine.install`.
    """

@final
class ListenerTls:
    """TLS of one listener in the making.

    It is complete when a snapshot or an engine takes it, and has then let go of it. Certificates
    are added one by one, because a thousand at once would keep requests waiting.
    """

    def __init__(self, listener: str, settings: ServerSettings) -> None:
        """`listener` is the name of the one whose sessions may resume here.

        ValueError: what the library refuses.
        """
    def add(
        self, names: Sequence[str], pairs: Sequence[tuple[bytes, bytes, bytes]], by: str = ""
    ) -> None:
        """A certificate for host names or wildcards ("*.a.example"): key pairs of different types,
        each (chain PEM, key PEM, OCSP response in DER or b"").

        The first one serves what no name matches; of two with the same name the first counts.
        `by` is what endpoints are told of us beside the certificate of a client.
        ValueError: what the library refuses.
        """

@final
class SnapshotBuilder:
    """Flat calls that build one snapshot: logs, upstreams, endpoints, listeners, filters, routes.

    In this order; every `add_*` returns an id for the later calls. Values are checked again here; a
    bad one raises `ValueError` with a sentence. Durations are milliseconds, 0 means "no limit"
    where the word says so.
    """

    def __init__(self) -> None: ...
    def add_access_log(
        self, *, path: str | None = None, fd: int = -1, json: bool = True, format: str = ""
    ) -> int:
        """`path` None: write to `fd` (borrowed).

        `format` is used when `json` is false (proxy/accesslog.h).
        """
    def add_listener(
        self,
        name: str,
        *,
        access_log: int = -1,
        trusted_proxies: Sequence[str] = (),
        max_head_bytes: int = 61440,
        max_line_bytes: int = 16384,
        max_target_bytes: int = 8192,
        max_fields: int = 100,
        header_timeout_ms: int = 60_000,
        idle_timeout_ms: int = 75_000,
        body_timeout_ms: int = 60_000,
        body_min_rate: int = 240,
        send_timeout_ms: int = 60_000,
        max_requests: int = 0,
        max_age_ms: int = 3_600_000,
        max_connections: int = 0,
        server_header: str = "",
        via: str = "pyproxy",
        upstream: int = -1,
        keepalive_s: int = 0,
        http2: dict[str, int] | None = ...,
        udp: bool = False,
        max_sessions: int = 0,
        responses: int = 0,
        tunnel_idle_ms: int = 3_600_000,
    ) -> int:
        """`max_connections` is per worker.

        `http2` has the limits of HTTP/2 (`max_streams`, `stream_window`, `connection_window`,
        `table_bytes`), those left out at their defaults; None: HTTP/1 only.

        `upstream`, the id of one that was added before, makes it a listener of plain TCP: its
        connections are tunnelled there, end after `idle_timeout_ms` without a byte either way, and
        both ends get keepalive probes after `keepalive_s` (0: none). With `udp` it takes datagrams
        instead: at most `max_sessions` sessions (0: no limit), each of which ends after so many
        `responses` to each datagram of its client (0: any number). Tunnels that began as requests
        end after `tunnel_idle_ms` (0: never).

        `via` is the pseudonym of RFC 9110 section 7.6.3; empty: no Via. `server_header` replaces
        the origin's Server field when it is not empty.
        """
    def add_proxies(
        self, listener: int, ranges: Sequence[str], *, others_direct: bool = False
    ) -> None:
        """Connections from these networks (or "unix") begin with a PROXY protocol header.

        Those from elsewhere are refused, or with `others_direct` served without one.
        """
    def add_server_name(self, listener: int, name: str, upstream: int) -> None:
        """TLS connections for this server name ("a.example", "*.a.example") go to the upstream.

        The listener is then one of plain TCP.
        """
    def begin_tls(self, listener: int, settings: ServerSettings) -> ListenerTls:
        """A `ListenerTls` for a listener of this snapshot."""
    def set_listener_tls(self, listener: int, tls: ListenerTls) -> None:
        """Speak TLS on a listener. ValueError: there is no certificate."""
    def add_upstream(
        self,
        name: str,
        *,
        balance: str = "round_robin",
        connect_timeout_ms: int = 5_000,
        send_timeout_ms: int = 60_000,
        first_byte_timeout_ms: int = 60_000,
        read_timeout_ms: int = 60_000,
        total_timeout_ms: int = 0,
        max_idle: int = 128,
        warm: int = 0,
        idle_timeout_ms: int = 60_000,
        max_age_ms: int = 3_600_000,
        max_requests: int = 0,
        retries: int = 1,
        max_head_bytes: int = 61440,
        max_fields: int = 200,
        protocol: str = "auto",
        http2_max_streams: int = 100,
        http2_window_bytes: int = 262_144,
        proxy_protocol: int = 0,
    ) -> int:
        """`protocol` is auto, h1, h2 or h2c; ValueError for another word.

        `proxy_protocol`: version of the header that new connections begin with; 0: none.
        """
    def set_upstream_tls(self, upstream: int, settings: ClientSettings) -> None:
        """Speak TLS to an upstream's endpoints. ValueError: what the library refuses."""
    def set_balance(
        self,
        upstream: int,
        *,
        key: str = "",
        points: int = 0,
        bound_percent: int = 0,
        panic_percent: int = 50,
        slow_start_ms: int = 0,
        ramp: Sequence[int] = (),
        sticky: str = "",
        attributes: str = "",
    ) -> None:
        """How an endpoint is chosen, besides the policy (struct pp_builder_balance).

        `ramp` has the weight of each step of a slow start, in thousandths. ValueError for a `key`
        that is no request variable.
        """
    def set_breaker(
        self,
        upstream: int,
        *,
        in_a_row: int,
        percent: int,
        least: int,
        window_ms: int,
        open_ms: int,
        probes: int,
    ) -> None:
        """When the upstream is left alone for a while (struct pp_breaker_conf)."""
    def set_overload(self, *, memory: tuple[int, int], loop_lag: tuple[int, int]) -> None:
        """From what on keep-alive ends, and load is shed: bytes, microseconds; 0: never."""
    def exempt_route(self, route: int) -> None:
        """Serve its requests even while load is shed. ValueError: there is no such route."""
    def set_limits(
        self,
        upstream: int,
        *,
        requests: int,
        pending: int,
        queue_ms: int,
        connections: int,
        retries: int,
    ) -> None:
        """How much the upstream takes at once (struct pp_admission_conf)."""
    def set_adaptive(
        self,
        upstream: int,
        *,
        least: int,
        most: int,
        percentile: int,
        window_ms: int,
        min_rtt_ms: int,
        requests: int,
        jitter_percent: int,
        buffer_percent: int,
    ) -> None:
        """Let the limit of the upstream follow its answers (struct pp_gradient_conf).

        After `set_limits`, which says what becomes of those beyond."""
    def set_retry(
        self,
        upstream: int,
        *,
        conditions: str,
        non_idempotent: bool,
        base_ms: int,
        most_ms: int,
        per_try_ms: int,
        after_ms: int,
        budget_percent: int,
        budget_least: int,
    ) -> None:
        """What is tried again (struct pp_retry_policy); `conditions` are words with commas.

        ValueError for a word that is none.
        """
    def set_route_retry(
        self,
        route: int,
        *,
        conditions: str,
        non_idempotent: bool,
        base_ms: int,
        most_ms: int,
        per_try_ms: int,
        after_ms: int,
        budget_percent: int,
        budget_least: int,
    ) -> None:
        """The same for one route, whatever its upstream says."""
    def set_outlier(
        self,
        upstream: int,
        *,
        interval_ms: int,
        base_ms: int,
        max_ms: int,
        consecutive_5xx: int,
        consecutive_gateway: int,
        min_hosts: int,
        min_volume: int,
        stdev_factor: int,
        max_percent: int,
    ) -> None:
        """When endpoints are ejected for their answers (struct pp_outlier_conf)."""
    def add_endpoint(
        self,
        upstream: int,
        address: str,
        *,
        weight: int = 1,
        name: str = "",
        server_name: str = "",
        tier: int = 0,
        drain: bool = False,
        max_requests: int = 0,
        max_connections: int = 0,
    ) -> int:
        """`address` is numeric: "127.0.0.1:80", "[::1]:80" or "unix:/path".

        `name` labels its metrics. `server_name` is the host name that it was found by: its
        certificate must be for that, or, when it is empty, for the IP address.
        """
    def add_filter(
        self,
        name: str,
        phases: Mapping[str, Callable[..., Any]],
        *,
        timeout_ms: int = 30_000,
        buffer_request_body: int = 0,
        buffer_response_body: int = 0,
        body_before_request: int = 0,
    ) -> int:
        """A Python filter: phase name -> bound callable.

        `buffer_*_body` > 0: that body phase gets the whole body at once, at most so many bytes
        (413 or 502 beyond). `body_before_request` > 0: the request phase is run when the body is
        there (`Exchange.request.body`), at most so many bytes.
        """
    def add_native_filter(self, kind: str, name: str, options: dict[str, Any]) -> int:
        """A filter written in C, of the kind that the configuration calls so.

        `options` is a tree of dict, list, str, int, float, bool and None that its kind understands
        (csrc/proxy/filters.h). `name` is what logs call it.
        """
    def set_condition(
        self, filter: int, predicate: bytes, predicates: Sequence[Callable[..., Any]] = ()
    ) -> None:
        """Let a filter take part only where `pyproxy.expressions.program` holds.

        Asked when the filter is first reached in an exchange; at most once for each filter.
        """
    def set_global_filters(self, filters: Sequence[int]) -> None:
        """Filters whose `early_request` runs for every request; they also stand on the
        fallback route "-", which takes what no route matches.

        At most once, before the first route.
        """
    def add_route(
        self,
        name: str,
        *,
        hosts: Sequence[str] = (),
        paths: Sequence[str] = ("/*",),
        methods: Sequence[str] = (),
        priority: int = 0,
        filters: Sequence[int] = (),
        upstream: int = -1,
        respond: tuple[int, Sequence[tuple[str, str]], bytes] | None = None,
        redirect: tuple[int, str] | None = None,
        rewrite_path: str | None = None,
        rewrite_host: str | None = None,
        max_body_bytes: int = 1_048_576,
        total_timeout_ms: int = 0,
        access_log: int = -1,
        upgrade: str = "websocket",
        grpc_web: bool = False,
        predicate: bytes = b"",
        predicates: Sequence[Callable[..., object]] = (),
        split: Sequence[tuple[str, int, int]] = (),
        split_by: str = "",
    ) -> int:
        """Exactly one of `upstream`, `split`, `respond`, `redirect`; or none, when a filter answers
        or names the peer.

        `predicate` is a program of `pyproxy.expressions` and `predicates` its callables. `split`
        are arms: (what metrics call it, upstream, weight); `split_by` is a variable.

        `redirect` and `rewrite_*` are templates (proxy/template.h): {scheme} {host} {path}
        {query} and captures. `rewrite_host` "" keeps the client's Host; None does too.
        `access_log` -1: the listener's; -2: none. `upgrade` is the list of the protocols that
        clients may switch to.
        """
    def finish(self) -> Snapshot: ...

class ExchangeOver(RuntimeError):
    """Something of an exchange was used after the exchange had ended."""

class Headers:
    """The fields of a message, in place: names in any case, values as `str` (Latin-1).

    A mapping of the first value of each name; `get_all` and `add` are for repeated fields. Framing
    and connection fields (Content-Length, Transfer-Encoding, Connection, ...) can be read but not
    written: the proxy frames messages itself. ValueError: not a valid field, or one that may not be
    written.
    """

    def __contains__(self, name: str | bytes) -> bool: ...
    def __getitem__(self, name: str | bytes) -> str: ...
    def __setitem__(self, name: str | bytes, value: str | bytes) -> None: ...
    def __delitem__(self, name: str | bytes) -> None: ...
    def __iter__(self) -> Iterator[str]: ...
    def __len__(self) -> int: ...
    @overload
    def get(self, name: str | bytes, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str | bytes, default: _T) -> str | _T: ...
    def get_all(self, name: str | bytes) -> list[str]: ...
    def lookup(self, name: str | bytes, table: dict[str, _T]) -> _T | None: ...
    def add(self, name: str | bytes, value: str | bytes) -> None: ...
    def pop_all(self, name: str | bytes) -> int: ...
    def items(self) -> list[tuple[str, str]]: ...
    def keys(self) -> list[str]: ...

class Request:
    """The client's request; `headers`, `path` and `query` can be changed until it is sent on."""

    @property
    def headers(self) -> Headers: ...
    @property
    def method(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def path(self) -> str: ...
    @path.setter
    def path(self, value: str) -> None: ...
    @property
    def query(self) -> str | None: ...
    @query.setter
    def query(self, value: str | None) -> None: ...
    @property
    def host(self) -> str: ...
    @property
    def scheme(self) -> str: ...
    @property
    def has_body(self) -> bool:
        """Whether a body comes behind the head. Over HTTP/2 no field may tell of it."""
    @property
    def body(self) -> bytes | None:
        """The whole body, where a filter has it collected before the request phase, or before its
        body phase; else None.
        """
    @property
    def version(self) -> str: ...

class Response:
    """The response on its way to the client; `status` and `headers` can be changed until it
    is sent.
    """

    @property
    def headers(self) -> Headers: ...
    @property
    def status(self) -> int: ...
    @status.setter
    def status(self, value: int) -> None: ...
    @property
    def reason(self) -> str: ...

class Exchange:
    """One request and its response, as filters see them. Valid until the exchange ends."""

    @property
    def request(self) -> Request: ...
    @property
    def response(self) -> Response: ...
    @property
    def state(self) -> dict[Any, Any]: ...
    @property
    def id(self) -> int: ...
    @property
    def client_address(self) -> str: ...
    @property
    def client_port(self) -> int: ...
    @property
    def tls(self) -> ClientTls | None: ...
    @property
    def proxy_protocol(self) -> ProxyProtocol | None: ...
    @property
    def listener(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def captures(self) -> dict[str, str]: ...
    def value(self, name: str | bytes) -> str | None:
        """The value of a variable ("header.x-user", "client.address"...), or None when this request
        has none.

        ValueError: there is no such variable, or the request has more arguments or cookies than are
        looked at.
        """
    def _count_limit(self, event: str, us: int = 0) -> None:
        """For the filters that limit: count what became of a request."""
    @property
    def upstream(self) -> str | None: ...
    @property
    def endpoint(self) -> str | None: ...
    @property
    def attempts(self) -> int: ...
    @property
    def fault(self) -> str | None: ...
    @property
    def status(self) -> int: ...
    @property
    def upstream_status(self) -> int: ...
    @property
    def request_bytes(self) -> int: ...
    @property
    def response_bytes(self) -> int: ...
    @property
    def trailers(self) -> list[tuple[str, str]]: ...

@final
class Engine:
    """One worker's data plane. Single-threaded; all calls from the thread that made it."""

    def __init__(
        self,
        *,
        loop: AbstractEventLoop | None = None,
        slot: int = 0,
        stats: Buffer | None = None,
        shared: Buffer | None = None,
        on_error: Callable[[str, BaseException], None] | None = None,
        on_overload: Callable[[str, str, int], None] | None = None,
    ) -> None:
        """`loop` runs async filters (default: the running loop at first use).

        `stats`: a formatted, writable segment (`_counters.StatSegment`) shared with other
        processes, `slot` the column of it that is this engine's alone; None: private memory.
        `shared`: what limits count in, formatted (`_counters.SharedTable`), with other processes;
        None: private memory.
        `on_error(where, exc)` is told about exceptions in filters (default: logging).
        `on_overload(reason, level, value)` is told that the level of memory (bytes) or loop_lag
        (microseconds) is "none", "stop_keep_alive" or "shed" now.
        """
    def fileno(self) -> int:
        """The descriptor to watch for reading; when it is ready, call `run_ready`."""
    def run_ready(self) -> int:
        """Handle what is ready, bounded; returns the number of events."""
    def run_for(self, seconds: float) -> int:
        """Run without any other event loop: for tests and tools."""
    def install(self, snapshot: Snapshot) -> None:
        """New exchanges use it from now on; running ones keep theirs.

        A listener that it does not know, but that is listened on or has connections, goes on as it
        was configured before until they have gone.
        """
    def listen(self, fd: int, listener: str) -> int:
        """Accept on a listening socket (a duplicate is taken; the caller keeps `fd`) as the
        named listener, which may have several.

        Returns the handle for `unlisten`.
        """
    def unlisten(self, handle: int) -> None:
        """Accept what waits in that socket's queue, then close it; its connections go on.

        `ValueError`: not listened on.
        """
    def stop_listening(self) -> None:
        """`unlisten` for all."""
    def drain(self, spread_ms: int = 0) -> None:
        """Answer with `Connection: close`, and close idle connections: each after a time by chance
        within `spread_ms`, and never while a request waits in the socket.
        """
    def hand_over(self, receiver: Callable[[int, bytes], bool | None] | None) -> None:
        """Offer every connection that is or comes to rest to another process, from now on.

        `receiver(fd, packed)` is called from `run_ready`; `fd` is lent for the call: duplicate or
        send it (SCM_RIGHTS), with `packed` beside it, for `take` there. True: it is taken, and
        closed here without the client noticing. False (or an exception): it stays, and is ended
        politely. None: not now; it is asked again soon. The receiver must not call this engine.

        To be called before `drain`. With None nobody takes any more.
        """
    def take(self, fd: int, packed: bytes) -> None:
        """Serve a connection that another process handed over (a duplicate of `fd` is taken; the
        caller keeps `fd`, also after an error). No socket of its listener needs to be open.

        `ValueError`: malformed, of another version, or the installed snapshot does not know its
        listener; then nothing has happened to the connection.
        """
    def hand_over_tunnels(self, callback: Callable[[int, int, bytes], bool | None] | None) -> None:
        """Offer every tunnel to `callback(client_fd, endpoint_fd, packed)`, some in each turn.

        The descriptors are borrowed during the call (`os.dup` them, or send them with SCM_RIGHTS);
        `packed` is opaque and holds everything else, bytes in flight included. True: taken, the
        engine closes its copies without a word to either peer; False: it stays here; None: not now,
        it is offered again soon. An exception counts as False and is reported to `on_error`.
        It goes on with tunnels that come or get connected later, until it is called with None.
        """
    def take_tunnel(self, client_fd: int, endpoint_fd: int, packed: bytes) -> None:
        """Go on with a tunnel that another engine has handed over.

        Duplicates of the descriptors are taken; the caller keeps its own, always, and closes them.
        ValueError: `packed` is malformed or of another version, or the installed snapshot does not
        know its listener.
        """
    def close_connections(self) -> None:
        """Abort every exchange, and close every connection that is no tunnel."""
    def close_tunnels(self) -> None:
        """Abort every tunnel."""
    def close_sessions(self) -> None:
        """End every UDP session."""
    @property
    def sessions(self) -> int:
        """Sessions of UDP listeners."""
    @property
    def tunnels(self) -> int:
        """Tunnels of TCP listeners, those included that are still connecting."""
    @property
    def connections(self) -> int: ...
    @property
    def exchanges(self) -> int: ...
    def replace_listener_tls(self, listener: str, tls: ListenerTls) -> None:
        """For a TLS listener of the installed snapshot: its next connections use <tls>, those that
        are open go on as they are.

        `KeyError`: no such listener, or it is a plain one.
        """
    def reopen_logs(self) -> None: ...
    def flush_logs(self) -> None: ...
    def close(self) -> None:
        """Abort every connection and free everything. Idempotent."""
