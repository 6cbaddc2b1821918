"""The model as calls of the engine's SnapshotBuilder, and as counter records."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pyproxy.config import addresses
from pyproxy.config.compile_filters import BoundFilter, FilterCompiler
from pyproxy.config.compile_greeting import add_greeting
from pyproxy.config.compile_tls import client_settings, server_settings
from pyproxy.config.faults import Report
from pyproxy.config.model import (
    AccessLog,
    Arm,
    Config,
    Endpoint,
    Listener,
    NoLog,
    Route,
    Section,
    Upstream,
    filter_refs,
    route_name,
)
from pyproxy.config.predicates import load_predicate
from pyproxy.config.resolve import resolve_endpoints
from pyproxy.config.sections_tls import Tls
from pyproxy.errors import ConfigError
from pyproxy.tls.names import choice_steps

if TYPE_CHECKING:
    from pyproxy._counters import StatSegment
    from pyproxy._engine import Snapshot, SnapshotBuilder

UNLIMITED = 2**64 - 1
# The record, one of each kind, of everything that has none of its own (proxy/metrics.h): requests
# that no route takes, for instance.
SHARED_RECORD = "-"
_STD_STREAMS = {"stdout": 1, "stderr": 2}
_ROUTES_IN_A_STEP = 64  # 5 us each
# How long nothing may happen unless the file says so: between requests, in a tunnel, and in a
# session of datagrams.
_IDLE_MS = {"http": 75_000, "tcp": 3_600_000, "udp": 30_000}
# The kernel takes no longer ones (MAX_TCP_KEEPIDLE).
_MAX_KEEPALIVE_S = 32_767

_T = TypeVar("_T")


def wants_demo(config: Config) -> bool:
    """Does any upstream name the built-in demonstration origin?"""
    every = (endpoint for upstream in config.upstreams.values() for endpoint in upstream.endpoints)
    return any(endpoint.address == addresses.DEMO for endpoint in every)


def endpoint_name(upstream: str, endpoint: Endpoint) -> str:
    """What metrics call an endpoint.

    As the file writes it, so that it stays the same wherever the name leads.
    """
    return f"{upstream}/{endpoint.address}"


def arm_name(route: str, arm: Arm) -> str:
    """What metrics call an arm of a split."""
    return f"{route}/{arm.name or arm.upstream}"


def arm_names(config: Config, index: int) -> list[str]:
    """The names of the arms of a route; none when it has no split."""
    split = config.routes[index].split
    return [arm_name(route_name(config, index), arm) for arm in split.arms] if split else []


def define_stats(config: Config, segment: StatSegment) -> list[tuple[str, str]]:
    """Define the counter records of all that is counted, and those shared by the rest.

    Returns the (kind, name) for which there was no room: the shared record of the kind counts for
    them.
    """
    from pyproxy._wire import WireError

    refused = []
    for kind, name in stat_records(config):
        try:
            segment.define(kind, name)
        except WireError as error:
            if error.name != "limit":
                raise
            refused.append((kind, name))
    return refused


def stat_records(config: Config) -> list[tuple[str, str]]:
    """(kind, name) of every record, each once: also what the size of a segment is reckoned from."""
    shared = ("listener", "route", "upstream", "endpoint", "arm")
    records: dict[tuple[str, str], None] = {("worker", ""): None, ("supervisor", ""): None}
    records.update({(kind, SHARED_RECORD): None for kind in shared})
    for name in config.listeners:
        records["listener", name] = None
    for i in range(len(config.routes)):
        records["route", route_name(config, i)] = None
        records.update({("arm", arm): None for arm in arm_names(config, i)})
    for name, upstream in config.upstreams.items():
        records["upstream", name] = None
        for endpoint in upstream.endpoints:
            records["endpoint", endpoint_name(name, endpoint)] = None
    return list(records)


def compile_snapshot(
    config: Config,
    builder: SnapshotBuilder,
    bound_filters: Mapping[str, BoundFilter],
    *,
    demo_address: str = "",
) -> Snapshot:
    """Build the snapshot of a checked configuration.

    `bound_filters` has the filters by their key in `model.filter_refs`; KeyError when one is
    missing. Endpoints that are not resolved yet are resolved here. ConfigError names the place of
    whatever the builder refuses.
    """
    steps = compile_steps(
        resolve_endpoints(config, demo_address=demo_address), builder, bound_filters
    )
    for snapshot in steps:
        if snapshot is not None:
            return snapshot
    raise AssertionError("a compilation ends with a snapshot")


def compile_steps(
    config: Config, builder: SnapshotBuilder, bound_filters: Mapping[str, BoundFilter]
) -> Iterator[Snapshot | None]:
    """The same in steps of well below a millisecond, for a worker that serves meanwhile.

    The endpoints of <config> are resolved. None after each step, at last the snapshot.
    """
    return _Compiler(config, builder, bound_filters).run()


class _Compiler:
    """One run over one builder; ids of what has been added, by name."""

    def __init__(
        self, config: Config, builder: SnapshotBuilder, bound: Mapping[str, BoundFilter]
    ) -> None:
        self.config = config
        self.builder = builder
        self.logs: dict[AccessLog, int] = {}
        self.upstreams: dict[str, int] = {}
        self.filters = FilterCompiler(config, builder, bound)

    def run(self) -> Iterator[Snapshot | None]:
        config = self.config
        logs = [
            config.access_log,
            *(x.access_log for x in config.listeners.values()),
            *(x.access_log for x in config.routes),
        ]
        for log in logs:
            if isinstance(log, AccessLog) and log not in self.logs:
                self.logs[log] = _at(log, self.add_log, log)
        for name, upstream in config.upstreams.items():
            _at(upstream, self.add_upstream, name, upstream)
        for name, listener in config.listeners.items():
            number = _at(listener, self.add_listener, name, listener)
            if listener.tls is not None:
                yield from self.add_tls(number, listener, listener.tls)
        for key, ref in filter_refs(config):
            if ref.enabled:
                _at(ref, self.filters.add, key, ref)
        if config.overload is not None:
            self.builder.set_overload(**config.overload.numbers())
        common = self.filters.chain(None)
        self.builder.set_global_filters(common)
        for i, route in enumerate(config.routes):
            if route.enabled:
                chain = self.filters.chain(i) if route.filters else common
                _at(route, self.add_route, i, route, chain)
            if i % _ROUTES_IN_A_STEP == 0:
                yield None
        yield self.builder.finish()

    def add_log(self, log: AccessLog) -> int:
        form: dict[str, Any] = (
            {"json": True} if log.format == "json" else {"json": False, "format": log.format}
        )
        if log.path in _STD_STREAMS:
            return self.builder.add_access_log(path=None, fd=_STD_STREAMS[log.path], **form)
        return self.builder.add_access_log(path=log.path, **form)

    def log_id(self, choice: AccessLog | bool | None) -> int:
        return self.logs[choice] if isinstance(choice, AccessLog) else -1

    def add_listener(self, name: str, listener: Listener) -> int:
        limits, timeouts = listener.limits, listener.timeouts
        idle_ms = _IDLE_MS[listener.protocol] if timeouts.idle_ms is None else timeouts.idle_ms
        number = self.builder.add_listener(
            name,
            access_log=self.log_id(_or_else(listener.access_log, self.config.access_log)),
            trusted_proxies=listener.trusted_proxies,
            max_head_bytes=limits.max_head_bytes,
            max_line_bytes=limits.max_line_bytes,
            max_target_bytes=limits.max_target_bytes,
            max_fields=limits.max_fields,
            header_timeout_ms=timeouts.header_ms,
            idle_timeout_ms=idle_ms,
            body_timeout_ms=timeouts.body_ms,
            body_min_rate=limits.body_min_rate,
            send_timeout_ms=timeouts.send_ms,
            max_requests=limits.max_requests,
            max_age_ms=limits.max_age_ms,
            max_connections=limits.max_connections,
            server_header=listener.server_header,
            via=listener.via,
            upstream=-1 if listener.upstream is None else self.upstreams[listener.upstream],
            tunnel_idle_ms=timeouts.tunnel_idle_ms,
            keepalive_s=_whole_seconds(timeouts.keepalive_ms),
            http2=listener.http2.numbers(),
            udp=listener.protocol == "udp",
            max_sessions=listener.udp.max_sessions,
            responses=listener.udp.responses,
        )
        add_greeting(self.builder, number, listener, self.upstreams)
        return number

    def add_tls(self, number: int, listener: Listener, section: Tls) -> Iterator[None]:
        tls = _at(listener, self.builder.begin_tls, number, server_settings(listener, section))
        for choice in choice_steps(section.certificates):
            if choice is not None:
                _at(listener, tls.add, *choice)
            yield None
        self.builder.set_listener_tls(number, tls)

    def add_upstream(self, name: str, upstream: Upstream) -> None:
        timeouts, pool = upstream.timeouts, upstream.pool
        number = self.upstreams[name] = self.builder.add_upstream(
            name,
            balance=upstream.balance.policy,
            connect_timeout_ms=timeouts.connect_ms,
            send_timeout_ms=timeouts.send_ms,
            first_byte_timeout_ms=timeouts.first_byte_ms,
            read_timeout_ms=timeouts.read_ms,
            total_timeout_ms=timeouts.total_ms,
            max_idle=pool.max_idle,
            warm=pool.warm,
            idle_timeout_ms=pool.idle_timeout_ms,
            max_age_ms=pool.max_age_ms,
            max_requests=pool.max_requests,
            retries=upstream.retries,
            protocol=upstream.spoken,
            proxy_protocol=("off", "v1", "v2").index(upstream.proxy_protocol),
            **upstream.http2.numbers(),
            **upstream.limits.numbers(),
        )
        sticky = upstream.sticky
        self.builder.set_balance(
            number,
            sticky=sticky.cookie if sticky else "",
            attributes=sticky.attributes() if sticky else "",
            **upstream.balance.numbers(),
        )
        if upstream.breaker is not None:
            self.builder.set_breaker(number, **upstream.breaker.numbers())
        adaptive = upstream.adaptive_concurrency
        if upstream.is_limited or adaptive is not None:
            self.builder.set_limits(number, **upstream.limits.admission())
        if adaptive is not None:
            self.builder.set_adaptive(number, **adaptive.numbers())
        if upstream.retry is not None:
            self.builder.set_retry(number, **upstream.retry.numbers())
        if upstream.outlier_detection is not None:
            self.builder.set_outlier(number, **upstream.outlier_detection.numbers())
        settings = client_settings(upstream)
        if settings is not None:
            self.builder.set_upstream_tls(number, settings)
        for endpoint in upstream.endpoints:
            label = endpoint_name(name, endpoint)
            host = endpoint.host or addresses.host_of(endpoint.address)
            for address in endpoint.resolved:
                self.builder.add_endpoint(
                    number,
                    address,
                    weight=endpoint.weight,
                    name=label,
                    server_name=host,
                    **endpoint.role,
                )

    def add_route(self, index: int, route: Route, chain: list[int]) -> None:
        predicate, callables = route.match.predicate(load_predicate)
        number = self.builder.add_route(
            route_name(self.config, index),
            hosts=route.match.all_hosts,
            paths=route.match.all_paths,
            methods=route.match.methods,
            priority=route.priority,
            filters=chain,
            upstream=-1 if route.upstream is None else self.upstreams[route.upstream],
            respond=response_of(route),
            redirect=(route.redirect.status, route.redirect.location) if route.redirect else None,
            rewrite_path=route.rewrite.path,
            rewrite_host=route.rewrite.host,
            upgrade=", ".join(route.upgrade),
            max_body_bytes=route.max_body_bytes or UNLIMITED,
            total_timeout_ms=route.timeout_ms,
            access_log=-2 if route.access_log is False else self.log_id(route.access_log),
            grpc_web=route.grpc_web,
            predicate=predicate,
            predicates=callables,
            **self.split(route_name(self.config, index), route),
        )
        if route.retry is not None:
            self.builder.set_route_retry(number, **route.retry.numbers())
        overload = self.config.overload
        if overload is not None and route_name(self.config, index) in overload.exempt:
            self.builder.exempt_route(number)

    def split(self, name: str, route: Route) -> dict[str, Any]:
        """The arms of a route."""
        if route.split is None:
            return {}
        arms = [
            (arm_name(name, arm), self.upstreams[arm.upstream], arm.weight)
            for arm in route.split.arms
        ]
        return {"split": arms, "split_by": route.split.by}


def response_of(route: Route) -> tuple[int, list[tuple[str, str]], bytes] | None:
    """Status, fields and body of a route that answers itself.

    Content-Type is text/plain unless it is named.
    """
    respond = route.respond
    if respond is None:
        return None
    fields = [
        (name, value)
        for name, given in respond.headers.items()
        for value in ((given,) if isinstance(given, str) else given)
    ]
    if respond.body and not any(name.lower() == "content-type" for name, _ in fields):
        fields.append(("content-type", "text/plain; charset=utf-8"))
    return respond.status, fields, respond.body.encode()


def _whole_seconds(ms: int) -> int:
    """A keepalive time as the kernel takes it; what is under a second is not none."""
    return min(-(-ms // 1000), _MAX_KEEPALIVE_S)


def _or_else(choice: NoLog, otherwise: NoLog) -> NoLog:
    """None means: as one level up."""
    return otherwise if choice is None else choice


def _at(section: Section, add: Callable[..., _T], *args: Any) -> _T:
    """Call the builder; what it refuses becomes a fault at the section."""
    try:
        return add(*args)
    except ValueError as error:
        report = Report()
        report.refuse(section, "", error, path="")
        raise ConfigError(report.faults) from error
