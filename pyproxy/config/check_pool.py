"""Rules about the connections that an upstream keeps and opens ahead."""

from __future__ import annotations

from pyproxy.config.faults import Report
from pyproxy.config.model import Config, Upstream


def check_pool(config: Config, report: Report) -> None:
    """All rules of this kind, for all upstreams."""
    tunnelled = _tunnelled(config)
    for name, upstream in config.upstreams.items():
        if upstream.pool.warm > 0:
            _check_warm(upstream, f"upstreams.{name}.pool", tunnelled.get(name, ""), report)


def _tunnelled(config: Config) -> dict[str, str]:
    """The upstreams that connections and datagrams go to, and what kind of listener sends them."""
    found: dict[str, str] = {}
    for listener in config.listeners.values():
        if listener.protocol != "http":
            targets = (listener.upstream, *listener.sni.values())
            found.update({target: listener.protocol for target in targets if target})
    return found


def _check_warm(upstream: Upstream, path: str, protocol: str, report: Report) -> None:
    pool = upstream.pool
    message, cure = "", "remove it"
    if protocol:
        message = f"a {protocol} listener sends here, and what it sends uses no pool"
        cure = "give it an upstream of its own"
    elif upstream.proxy_protocol != "off":
        message = "a connection that announces its client cannot be opened ahead of it"
    elif pool.warm > pool.max_idle:
        message = f"{pool.warm} connections are opened, and only {pool.max_idle} are kept"
        cure = "raise max_idle, or lower it"
    if message:
        report.add(pool, "warm", message, cure, path=path)
