"""What a listener speaks: fields that mean nothing to its protocol, and its upstream."""

from __future__ import annotations

import re

from pyproxy.config import addresses
from pyproxy.config.check_routes import check_upstream, check_upstream_name
from pyproxy.config.faults import Report
from pyproxy.config.model import Config, Listener, Section

_SERVER_NAME = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_NAME_LENGTH = 255

# What only requests have, by section of a listener.
_HTTP_FIELDS = ("trusted_proxies", "server_header", "via", "http2")
_HTTP_LIMITS = (
    *("max_head", "max_line", "max_target", "max_fields", "max_requests", "max_age"),
    "body_min_rate",
)
_HTTP_TIMEOUTS = ("header", "body", "send", "tunnel_idle")
# And what only tunnels and only datagrams have.
_TCP_TIMEOUTS = ("keepalive",)
_UDP_FIELDS = ("udp",)


def check_protocols(config: Config, report: Report) -> None:
    """All rules of this kind, for all listeners."""
    for name, listener in config.listeners.items():
        path = f"listeners.{name}"
        if listener.protocol != "udp":
            message = "only a udp listener has this"
            _refuse(listener, path, _UDP_FIELDS, message, report)
        if listener.protocol == "udp":
            _check_udp(config, listener, path, report)
        elif listener.protocol == "tcp":
            _check_tcp(config, listener, path, report)
        else:
            _check_http(listener, path, report)


def _check_tcp(config: Config, listener: Listener, path: str, report: Report) -> None:
    named = listener.sni or report.written(listener, "sni")
    if listener.upstream is None and not named and not report.written(listener, "upstream"):
        cure = 'say where its connections go, such as "upstream: app"'
        report.add(listener, "upstream", "a tcp listener needs an upstream", cure, path=path)
    check_upstream(config, listener, path, report)
    _check_server_names(config, listener, path, report)
    timeouts: tuple[str, ...] = _HTTP_TIMEOUTS
    if named or listener.tls is not None or report.written(listener, "proxy_protocol"):
        timeouts = tuple(key for key in timeouts if key != "header")
    sections: tuple[tuple[Section, str, tuple[str, ...]], ...] = (
        (listener, path, _HTTP_FIELDS),
        (listener.limits, f"{path}.limits", _HTTP_LIMITS),
        (listener.timeouts, f"{path}.timeouts", timeouts),
    )
    for section, here, keys in sections:
        _refuse(section, here, keys, "a tcp listener knows no requests", report)


def _check_udp(config: Config, listener: Listener, path: str, report: Report) -> None:
    if listener.upstream is None and not report.written(listener, "upstream"):
        cure = 'say where its datagrams go, such as "upstream: resolvers"'
        report.add(listener, "upstream", "a udp listener needs an upstream", cure, path=path)
    check_upstream(config, listener, path, report)
    _refuse(listener, path, _HTTP_FIELDS, "a udp listener knows no requests", report)
    _refuse(listener, path, ("tls", "sni"), "there is no TLS over datagrams", report)
    _refuse(listener, path, ("proxy_protocol",), "datagrams have no PROXY header", report)
    message = "a udp listener has sessions, not connections"
    limits = (*_HTTP_LIMITS, "max_connections")
    _refuse(listener.limits, f"{path}.limits", limits, message, report)
    timeouts = (*_HTTP_TIMEOUTS, *_TCP_TIMEOUTS)
    _refuse(listener.timeouts, f"{path}.timeouts", timeouts, message, report)
    for i, bind in enumerate(listener.bind):
        if bind.address.startswith("unix:"):
            cure = "write host:port"
            here = f"{path}.bind[{i}]"
            report.add(bind, "address", "datagrams come by UDP only", cure, path=here)
    _check_targets(config, listener, report)


def _check_targets(config: Config, listener: Listener, report: Report) -> None:
    upstream = config.upstreams.get(listener.upstream or "")
    if upstream is not None and upstream.tls:
        message = "a udp listener sends here, and there is no TLS over datagrams"
        cure = "give the datagrams an upstream of their own"
        report.add(upstream, "tls", message, cure, path=f"upstreams.{listener.upstream}")
    for i, endpoint in enumerate(upstream.endpoints if upstream else ()):
        if endpoint.address.startswith(("unix:", addresses.DEMO)):
            message = f'"{endpoint.address}" takes no datagrams, which a udp listener sends here'
            here = f"upstreams.{listener.upstream}.endpoints[{i}]"
            report.add(endpoint, "address", message, "write host:port", path=here)


def _check_server_names(config: Config, listener: Listener, path: str, report: Report) -> None:
    seen: dict[str, str] = {}
    for name, upstream in listener.sni.items():
        key = ("sni", name)
        check_upstream_name(config, listener, key, upstream, path, report)
        plain = name.lower().removesuffix(".")
        if len(plain) > _NAME_LENGTH or not _SERVER_NAME.fullmatch(plain):
            cure = "write a host name, or *. before one"
            message = f'"{name}" is not a server name'
            report.add(listener, key, message, cure, path=path, on_key=True)
        elif plain in seen:
            message = f'"{name}" is the same name as "{seen[plain]}"'
            report.add(listener, key, message, "remove one of them", path=path, on_key=True)
        seen.setdefault(plain, name)


def _check_http(listener: Listener, path: str, report: Report) -> None:
    if listener.upstream is not None:
        message = "routes say where the requests of an http listener go"
        cure = 'remove it, or write "protocol: tcp" or "protocol: udp"'
        report.add(listener, "upstream", message, cure, path=path)
    if report.written(listener, "sni"):
        message = "hosts of routes say where the requests of an http listener go"
        report.add(listener, "sni", message, 'remove it, or write "protocol: tcp"', path=path)


def _refuse(
    section: Section, path: str, keys: tuple[str, ...], message: str, report: Report
) -> None:
    for key in keys:
        if report.written(section, key):
            report.add(section, key, message, "remove it", path=path, on_key=True)
