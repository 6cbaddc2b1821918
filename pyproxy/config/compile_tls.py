"""The TLS sections, once their files have been read, as the arguments of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyproxy.config.model import Listener, Upstream
from pyproxy.config.sections_tls import Tls, UpstreamTls
from pyproxy.tls.names import choices

if TYPE_CHECKING:
    from pyproxy._engine import Engine, SnapshotBuilder

# What endpoints are offered, by the upstream's protocol.
_UPSTREAM_ALPN = {"auto": ("h2", "http/1.1"), "h1": ("http/1.1",), "h2": ("h2",), "h2c": ()}


def set_listener_tls(builder: SnapshotBuilder, number: int, listener: Listener) -> None:
    """Speak TLS on the listener that the builder knows by <number>, if it shall."""
    if listener.tls is not None:
        certificates = choices(listener.tls.certificates)
        builder.set_listener_tls(number, certificates, **_listener_options(listener, listener.tls))


def replace_listener_tls(engine: Engine, name: str, listener: Listener) -> None:
    """Have new connections of a listener that is served speak TLS as <listener> says now."""
    assert listener.tls is not None
    certificates = choices(listener.tls.certificates)
    engine.replace_listener_tls(name, certificates, **_listener_options(listener, listener.tls))


def _listener_options(listener: Listener, tls: Tls) -> dict[str, Any]:
    clients = tls.client_certificates
    return {
        **_protocol(tls),
        "alpn": _offered(listener) if tls.alpn is None else tls.alpn,
        "client_auth": clients.mode if clients else "none",
        "client_ca": clients.read.bundle if clients and clients.read else b"",
    }


def _offered(listener: Listener) -> tuple[str, ...]:
    """What clients are offered when the file says nothing."""
    if listener.protocol == "tcp":
        return ()
    return ("h2", "http/1.1") if listener.http2.enabled else ("http/1.1",)


def set_upstream_tls(builder: SnapshotBuilder, number: int, upstream: Upstream) -> None:
    """Speak TLS to the endpoints of the upstream that the builder knows by <number>."""
    if isinstance(upstream.tls, UpstreamTls):
        alpn = _UPSTREAM_ALPN[upstream.spoken]
        builder.set_upstream_tls(number, alpn=alpn, **_upstream_options(upstream.tls))


def _upstream_options(tls: UpstreamTls) -> dict[str, Any]:
    return {
        **_protocol(tls),
        "server_name": tls.server_name,
        "verify": tls.verify,
        "ca": tls.read.bundle if tls.read else b"",
        "ca_dir": tls.read.folder if tls.read else "",
        "chain": tls.pair.chain if tls.pair else b"",
        "key": tls.pair.key if tls.pair else b"",
    }


def _protocol(tls: Tls | UpstreamTls) -> dict[str, Any]:
    names = ("min_version", "max_version", "ciphers", "ciphersuites", "groups", "key_log")
    return {name: getattr(tls, name) for name in names}
