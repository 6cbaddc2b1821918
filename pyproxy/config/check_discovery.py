"""Rules for the sources of endpoints."""

from __future__ import annotations

import importlib.util
import re

from pyproxy.config import addresses
from pyproxy.config.decode import nearest
from pyproxy.config.faults import Report
from pyproxy.config.model import Config
from pyproxy.config.sections_discovery import DnsSource, PluginSource

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_LONGEST = 253


def check_discovery(config: Config, report: Report) -> None:
    """Has every upstream somewhere to go, and can what it names be asked?"""
    for name, upstream in config.upstreams.items():
        path = f"upstreams.{name}"
        if upstream.discover is not None:
            dns, plugin = upstream.discover.dns, upstream.discover.plugin
            if dns is not None:
                _check_dns(dns, f"{path}.discover.dns", report)
            if plugin is not None:
                _check_plugin(plugin, f"{path}.discover.plugin", report)
        elif not (
            upstream.endpoints
            or report.written(upstream, "discover")
            or report.written(upstream, "endpoints")
        ):
            cure = "add it, or discover"
            report.add(upstream, "", '"endpoints" is missing', cure, path=path)


def _check_dns(source: DnsSource, path: str, report: Report) -> None:
    if not _NAME.fullmatch(source.name) or len(source.name) > _LONGEST:
        cure = "write a name such as app.internal"
        report.add(source, "name", f'"{source.name}" is not a host name', cure, path=path)
    for i, text in enumerate(source.servers):
        try:
            server_of(text)
        except ValueError as error:
            report.refuse(source, ("servers", i), error, path=path)
    if importlib.util.find_spec("dns") is None:
        cure = "pip install 'pyproxy[dns]'"
        report.add(source, "", "asking name servers needs dnspython", cure, path=path)


def server_of(text: str) -> tuple[str, int]:
    """Address and port of a name server; ValueError in the form `what; the cure`."""
    bare = text.count(":") > 1 and not text.startswith("[")
    whole = f"[{text}]" if bare else text
    if ":" not in whole.rpartition("]")[2]:
        whole += ":53"
    at = addresses.parse_endpoint(whole)
    if at.kind not in ("inet", "inet6"):
        raise ValueError(f'"{text}" is not an address; write one such as 10.0.0.2 or 10.0.0.2:53')
    return at.host, at.port


def _check_plugin(source: PluginSource, path: str, report: Report) -> None:
    from pyproxy.config.found import plugins  # 10 ms, for those who name one

    known = plugins()
    if source.name not in known:
        cure = nearest(source.name, known) if known else "install the package that brings it"
        message = f'no installed package announces the source "{source.name}"'
        report.add(source, "name", message, cure, path=path)
