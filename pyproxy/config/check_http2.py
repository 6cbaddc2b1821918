"""Rules about the protocols that are spoken to endpoints."""

from __future__ import annotations

from pyproxy.config.faults import Report
from pyproxy.config.model import Config, Upstream


def check_http2(config: Config, report: Report) -> None:
    """All rules of this kind, for all upstreams."""
    for name, upstream in config.upstreams.items():
        _check_protocol(upstream, f"upstreams.{name}", report)
        if upstream.protocol == "h1" and report.written(upstream, "http2"):
            message = "with protocol: h1 no HTTP/2 is spoken"
            report.add(upstream, "http2", message, "remove one of them", path=f"upstreams.{name}")


def _check_protocol(upstream: Upstream, path: str, report: Report) -> None:
    if upstream.protocol in ("h2", "h2c") and upstream.proxy_protocol != "off":
        message = "a connection of HTTP/2 is of many clients, and cannot announce one of them"
        report.add(upstream, "proxy_protocol", message, "remove it, or use h1", path=path)
    tls = upstream.tls or (upstream.tls is None and report.written(upstream, "tls"))
    if upstream.protocol == "h2" and not tls:
        message = "h2 is HTTP/2 over TLS, and these endpoints speak none"
        report.add(upstream, "protocol", message, 'write "h2c" or add "tls: on"', path=path)
    elif upstream.protocol == "h2c" and tls:
        message = "h2c is HTTP/2 without TLS, and these endpoints speak TLS"
        report.add(upstream, "protocol", message, 'write "h2"', path=path)
