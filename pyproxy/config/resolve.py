"""The host names of endpoints, looked up."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pyproxy.config import addresses
from pyproxy.config.faults import Report
from pyproxy.config.model import Config, Endpoint
from pyproxy.errors import ConfigError

Resolver = Callable[..., Sequence[tuple[Any, ...]]]


def resolve_endpoints(
    config: Config, *, demo_address: str = "", resolver: Resolver = socket.getaddrinfo
) -> Config:
    """The configuration with the numeric addresses of every endpoint, host names looked up once.

    For the process that starts the others, so that all of them connect to the same addresses; what
    is resolved already stays. ConfigError tells every name that could not be resolved.
    """
    report = Report()
    upstreams = {}
    for name, upstream in config.upstreams.items():
        resolved = []
        for i, endpoint in enumerate(upstream.endpoints):
            if endpoint.resolved:
                resolved.append(endpoint)
                continue
            found = _resolve(
                endpoint, f"upstreams.{name}.endpoints[{i}]", demo_address, resolver, report
            )
            resolved.append(msgspec.structs.replace(endpoint, resolved=found))
        upstreams[name] = msgspec.structs.replace(upstream, endpoints=tuple(resolved))
    if report.faults:
        raise ConfigError(report.faults)
    return msgspec.structs.replace(config, upstreams=upstreams)


def _resolve(
    endpoint: Endpoint, path: str, demo_address: str, resolver: Resolver, report: Report
) -> tuple[str, ...]:
    at = addresses.parse_endpoint(endpoint.address)
    if at.kind == "demo":
        if not demo_address:
            report.add(endpoint, "address", "the demonstration origin is not running", path=path)
        return (demo_address,)
    if at.kind != "name":
        return (at.text,)
    try:
        rows = resolver(at.host, at.port, type=socket.SOCK_STREAM)
    except OSError as error:
        message = f'the host "{at.host}" cannot be resolved: {error.strerror}'
        report.add(endpoint, "address", message, "check the name, or write an address", path=path)
        return ()
    found: dict[str, None] = {}
    for family, _type, _proto, _name, where in rows:
        if family == socket.AF_INET:
            found[f"{where[0]}:{where[1]}"] = None
        elif family == socket.AF_INET6:
            found[f"[{where[0]}]:{where[1]}"] = None
    return tuple(found)
