"""What a listener speaks: fields that mean nothing to its protocol, and its upstream."""

from __future__ import annotations

from pyproxy.config.check_routes import check_upstream
from pyproxy.config.faults import Report
from pyproxy.config.model import Config, Listener, Section

# What only requests have, by section of a listener.
_HTTP_FIELDS = ("trusted_proxies", "server_header", "via")
_HTTP_LIMITS = (
    *("max_head", "max_line", "max_target", "max_fields", "max_requests", "max_age"),
    "body_min_rate",
)
_HTTP_TIMEOUTS = ("header", "body", "send", "tunnel_idle")


def check_protocols(config: Config, report: Report) -> None:
    """All rules of this kind, for all listeners."""
    for name, listener in config.listeners.items():
        path = f"listeners.{name}"
        if listener.protocol == "tcp":
            _check_tcp(config, listener, path, report)
        else:
            _check_http(listener, path, report)


def _check_tcp(config: Config, listener: Listener, path: str, report: Report) -> None:
    if listener.upstream is None and not report.written(listener, "upstream"):
        cure = 'say where its connections go, such as "upstream: app"'
        report.add(listener, "upstream", "a tcp listener needs an upstream", cure, path=path)
    check_upstream(config, listener, path, report)
    sections: tuple[tuple[Section, str, tuple[str, ...]], ...] = (
        (listener, path, _HTTP_FIELDS),
        (listener.limits, f"{path}.limits", _HTTP_LIMITS),
        (listener.timeouts, f"{path}.timeouts", _HTTP_TIMEOUTS),
    )
    for section, here, keys in sections:
        _refuse(section, here, keys, "a tcp listener knows no requests", report)


def _check_http(listener: Listener, path: str, report: Report) -> None:
    if listener.upstream is not None:
        message = "routes say where the requests of an http listener go"
        report.add(listener, "upstream", message, 'remove it, or write "protocol: tcp"', path=path)


def _refuse(
    section: Section, path: str, keys: tuple[str, ...], message: str, report: Report
) -> None:
    for key in keys:
        if report.written(section, key):
            report.add(section, key, message, "remove it", path=path, on_key=True)
