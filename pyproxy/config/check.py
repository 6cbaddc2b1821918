"""Rules between the fields of a configuration, and values that only the data plane can judge.

Every rule looks at the whole configuration and notes all that is wrong. A configuration that could
be read only in part is checked too: a rule then asks the node of the file whether something was
written at all, so that one fault is not told twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pyproxy.config import addresses, patterns
from pyproxy.config.check_discovery import check_discovery
from pyproxy.config.check_health import check_health
from pyproxy.config.check_http2 import check_http2
from pyproxy.config.check_match import check_when
from pyproxy.config.check_overload import check_overload
from pyproxy.config.check_pool import check_pool
from pyproxy.config.check_routes import check_routes, check_upstream_name
from pyproxy.config.check_tcp import check_protocols
from pyproxy.config.check_tls import check_tls
from pyproxy.config.decode import nearest
from pyproxy.config.faults import Report, is_field_value, is_token
from pyproxy.config.model import (
    AccessLog,
    Config,
    Listener,
    PythonFilter,
    Route,
    Section,
    Upstream,
    filter_refs,
)
from pyproxy.errors import Fault

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_USE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_LOG_HEADER = re.compile(r"(request|response)\.header\.[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# What an access log format may name, besides request.header.NAME and response.header.NAME.
LOG_VARIABLES = (
    *("time", "id", "listener", "route", "upstream", "endpoint", "duration_ms", "fault"),
    *("client.address", "client.port"),
    *("tls.version", "tls.cipher", "tls.group", "tls.sni", "tls.alpn", "tls.resumed", "tls.client"),
    *("request.method", "request.host", "request.target", "request.path", "request.query"),
    *("request.protocol", "request.bytes", "response.status", "response.bytes"),
    *("upstream.status", "upstream.attempts", "upstream.connect_ms", "upstream.first_byte_ms"),
    "upstream.queue_ms",
)


def check(config: Config) -> list[Fault]:
    """Everything that is wrong with a configuration, in the order of the file; empty.

    It can be served.
    """
    report = Report()
    for rule in _RULES:
        rule(config, report)
    return sorted(report.faults)


def _check_top(config: Config, report: Report) -> None:
    if not config.listeners and not report.written(config, "listeners"):
        cure = 'add one, such as "listeners: {web: {bind: 0.0.0.0:8080}}"'
        report.add(config, "listeners", "there is no listener", cure)
    protocols = {listener.protocol for listener in config.listeners.values()} or {"http"}
    if not config.routes and not report.written(config, "routes") and "http" in protocols:
        cure = 'add one, such as "routes: [{upstream: app}]"'
        report.add(config, "routes", "there is no route: every request would get 404", cure)
    if config.user and not _USER.fullmatch(config.user):
        report.add(config, "user", f'"{config.user}" is not a user', "write user or user:group")
    for kind, sections in (("listeners", config.listeners), ("upstreams", config.upstreams)):
        for name in sections:
            if not _NAME.fullmatch(name):
                cure = "use letters, digits, _ - and . (63 at most)"
                report.add(
                    sections[name],
                    "",
                    f'"{name}" is not a usable name',
                    cure,
                    path=f"{kind}.{name}",
                    on_key=True,
                )


def _check_listeners(config: Config, report: Report) -> None:
    taken: dict[str, str] = {}
    for name, listener in config.listeners.items():
        path = f"listeners.{name}"
        _check_binds(listener, path, taken, report)
        _check_trusted(listener, path, report)
        if listener.via and not is_token(listener.via):
            report.add(
                listener,
                "via",
                f'"{listener.via}" is not a pseudonym',
                "use letters, digits, _ - and .",
                path=path,
            )
        if not is_field_value(listener.server_header):
            report.add(listener, "server_header", "a header cannot hold this value", path=path)
    if config.admin:
        _take(config.admin, "bind", config.admin.bind, "admin", taken, report)


def _check_binds(listener: Listener, path: str, taken: dict[str, str], report: Report) -> None:
    for i, bind in enumerate(listener.bind):
        here = f"{path}.bind[{i}]"
        udp = listener.protocol == "udp"
        kind = _take(bind, "address", bind.address, here, taken, report, udp=udp)
        if kind not in ("unix", "") and report.written(bind, "mode"):
            report.add(bind, "mode", "only a unix socket has a mode", "remove it", path=here)


def _take(
    section: Section,
    key: str,
    text: str,
    path: str,
    taken: dict[str, str],
    report: Report,
    *,
    udp: bool = False,
) -> str:
    """Note an address as taken; the kind of the address, "" when it is none.

    TCP and UDP have ports of their own.
    """
    try:
        address = addresses.parse_bind(text)
    except ValueError as error:
        report.refuse(section, key, error, path=path)
        return ""
    where = report.place(section, key, path)
    if address.kind == "fd" and path == "admin":
        report.add(
            section,
            key,
            "the admin server cannot take a passed-in socket",
            "write host:port",
            path=path,
        )
        return address.kind
    name = f"udp {address.text}" if udp and address.kind != "fd" else address.text
    if name in taken and (address.port or address.kind in ("unix", "fd")):
        cure = "give each its own address"
        report.add(section, key, f'"{text}" is taken already, by {taken[name]}', cure, path=path)
    taken.setdefault(name, where)
    return address.kind


def _check_trusted(listener: Listener, path: str, report: Report) -> None:
    _check_networks(listener, "trusted_proxies", listener.trusted_proxies, path, report)
    headers = listener.proxy_protocol
    if headers is not None:
        _check_networks(headers, "trusted", headers.trusted, f"{path}.proxy_protocol", report)


def _check_networks(
    section: Section, key: str, networks: tuple[str, ...], path: str, report: Report
) -> None:
    """Is every item of a list a network, or `unix`?"""
    if not networks:
        return
    import ipaddress  # most configurations have none, and it is slow to import

    for i, text in enumerate(networks):
        if text == "unix":
            continue
        try:
            ipaddress.ip_network(text)
        except ValueError:
            cure = _network_cure(text)
            report.add(section, (key, i), f'"{text}" is not a network', cure, path=path)


def _network_cure(text: str) -> str:
    import ipaddress

    try:
        return f"write {ipaddress.ip_network(text, strict=False)}"
    except ValueError:
        return 'write an address, a network such as 10.0.0.0/8, or "unix"'


def _check_upstreams(config: Config, report: Report) -> None:
    for name, upstream in config.upstreams.items():
        path = f"upstreams.{name}"
        _check_endpoints(upstream, path, report)


def _check_endpoints(upstream: Upstream, path: str, report: Report) -> None:
    seen: set[str] = set()
    for i, endpoint in enumerate(upstream.endpoints):
        here = f"{path}.endpoints[{i}]"
        try:
            address = addresses.parse_endpoint(endpoint.address)
        except ValueError as error:
            report.refuse(endpoint, "address", error, path=here)
            continue
        if address.text in seen:
            cure = "give one of them a weight instead"
            report.add(
                endpoint,
                "address",
                f'the endpoint "{endpoint.address}" is listed twice',
                cure,
                path=here,
            )
        seen.add(address.text)


def _check_filters(config: Config, report: Report) -> None:
    for path, ref in filter_refs(config):
        options, here = ref.options, f"{path}.{ref.kind}"
        if ref.when is not None:
            check_when(ref.when, f"{path}.when", report)
        if not isinstance(options, PythonFilter):
            if options is not None:
                options.check(report, here)
                for key, name in options.upstreams().items():
                    check_upstream_name(config, options, key, name, here, report)
        elif ref.kind == "python" and not _USE.fullmatch(options.use):
            cure = 'write "module:Class", such as "myapp.filters:Audit"'
            report.add(options, "use", f'"{options.use}" does not name a class', cure, path=here)


def _check_access_logs(config: Config, report: Report) -> None:
    sections: list[tuple[str, Config | Listener | Route]] = [("", config)]
    sections += [(f"listeners.{name}", listener) for name, listener in config.listeners.items()]
    sections += [(f"routes[{i}]", route) for i, route in enumerate(config.routes)]
    for above, section in sections:
        log, path = section.access_log, f"{above}.access_log".lstrip(".")
        if log is True:
            cure = "write where to: stdout, or a file"
            report.add(section, "access_log", "where should the access log go?", cure, path=above)
        if not isinstance(log, AccessLog):
            continue
        if not log.path:
            report.add(
                log,
                "path",
                "the access log has no file",
                "write a path, stdout or stderr",
                path=path,
            )
        elif log.path not in ("stdout", "stderr") and Path(log.path).is_dir():
            report.add(log, "path", f'"{log.path}" is a folder', "name a file in it", path=path)
        _check_format(log, path, report)


def _check_format(log: AccessLog, path: str, report: Report) -> None:
    """Are all variables of a format known (csrc/proxy/accesslog.h)?"""
    if not log.format:
        cure = 'write "json" or a line with {variables}'
        report.add(log, "format", "the format is empty", cure, path=path)
    if log.format == "json":
        return
    try:
        names = patterns.placeholders(log.format)
    except ValueError as error:
        report.refuse(log, "format", error, path=path)
        return
    for name in names:
        if name not in LOG_VARIABLES and not _LOG_HEADER.fullmatch(name):
            cure = nearest(name, LOG_VARIABLES)
            report.add(log, "format", f'there is no variable "{name}"', cure, path=path)


_RULES: tuple[Callable[[Config, Report], None], ...] = (
    _check_top,
    _check_listeners,
    check_protocols,
    _check_upstreams,
    check_discovery,
    check_tls,
    check_http2,
    check_pool,
    check_health,
    _check_filters,
    _check_access_logs,
    check_routes,
    check_overload,
)
