"""Rules about health checks and outlier detection."""

from __future__ import annotations

from pyproxy.config import addresses
from pyproxy.config.faults import Report, is_field_value, is_token
from pyproxy.config.model import Config, Upstream
from pyproxy.config.sections_health import HealthCheck, HttpCheck, OutlierDetection, span_of

_HOW = ("http", "tcp", "grpc")
# What the check writes itself.
_OWN_FIELDS = ("host", "connection", "content-length", "transfer-encoding")


def check_health(config: Config, report: Report) -> None:
    """All rules of this kind, for all upstreams."""
    for name, upstream in config.upstreams.items():
        path = f"upstreams.{name}"
        if upstream.health_check is not None:
            _check_health_check(upstream, upstream.health_check, f"{path}.health_check", report)
        if upstream.outlier_detection is not None:
            _check_outliers(upstream.outlier_detection, f"{path}.outlier_detection", report)


def _check_health_check(upstream: Upstream, check: HealthCheck, path: str, report: Report) -> None:
    chosen = [how for how in _HOW if getattr(check, how) is not None]
    written = [how for how in _HOW if report.written(check, how)]
    if not chosen and not written:
        cure = 'write how, such as "http: /healthz" or "tcp: {}"'
        report.add(check, "", "this check does nothing", cure, path=path)
    elif len(chosen) > 1:
        message = f"a check is made in one way, not by {' and '.join(chosen)}"
        report.add(check, chosen[1], message, "remove one of them", path=path)
    if check.http is not None:
        _check_http(check.http, f"{path}.http", report)
    if check.tls and not (upstream.tls or report.written(upstream, "tls")):
        message = "the upstream does not say how TLS is spoken"
        report.add(check, "tls", message, 'add "tls: true" to the upstream', path=path)
    if check.down_interval_ms is not None and not 10 <= check.down_interval_ms <= 86_400_000:
        report.add(check, "down_interval", "the interval is out of range", "10ms to 1d", path=path)
    if check.port is not None:
        _check_port(upstream, check, path, report)


def _check_port(upstream: Upstream, check: HealthCheck, path: str, report: Report) -> None:
    for endpoint in upstream.endpoints:
        try:
            kind = addresses.parse_endpoint(endpoint.address).kind
        except ValueError:
            continue  # told elsewhere
        if kind in ("unix", "demo"):
            message = f'the endpoint "{endpoint.address}" has no port'
            report.add(check, "port", message, "remove it", path=path)
            return


def _check_http(check: HttpCheck, path: str, report: Report) -> None:
    for i, text in enumerate(check.status):
        first, last = span_of(text)
        if last < first:
            cure = f"write {last}-{first}"
            report.add(check, ("status", i), f'"{text}" begins after its end', cure, path=path)
    for name, value in check.headers.items():
        if not is_token(name) or name.startswith(":"):
            message = f'"{name}" is no name of a field'
            report.add(check, ("headers", name), message, path=path, on_key=True)
        elif name.lower() in _OWN_FIELDS:
            cure = "use `host`" if name.lower() == "host" else "remove it"
            message = f'the check writes "{name}" itself'
            report.add(check, ("headers", name), message, cure, path=path, on_key=True)
        elif not is_field_value(value):
            report.add(check, ("headers", name), "a header cannot hold this value", path=path)
    if not is_field_value(check.host) or " " in check.host:
        report.add(check, "host", f'"{check.host}" is no host', path=path)
    if check.method == "HEAD" and (check.body or check.body_regex):
        report.add(check, "method", "an answer to HEAD has no body", "write GET", path=path)
    if check.body_regex:
        from pyproxy._wire import Regex, WireError

        try:
            Regex(check.body_regex)
        except WireError as error:
            report.add(check, "body_regex", f"this is no regular expression: {error}", path=path)


def _check_outliers(section: OutlierDetection, path: str, report: Report) -> None:
    if section.max_ejection_ms < section.base_ejection_ms and report.written(
        section, "max_ejection"
    ):
        message = "the longest ejection is shorter than the first"
        report.add(section, "max_ejection", message, "write more", path=path)
