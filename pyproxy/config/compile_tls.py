"""The TLS sections, once their files have been read, as the arguments of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyproxy.config.model import Listener, Upstream
from pyproxy.config.sections_tls import Tls, UpstreamTls
from pyproxy.tls.names import choices

if TYPE_CHECKING:
    from pyproxy._engine import SnapshotBuilder

# What clients are offered when the file says nothing.
_ALPN: dict[str, tuple[str, ...]] = {"http": ("http/1.1",), "tcp": ()}


def set_listener_tls(builder: SnapshotBuilder, number: int, listener: Listener) -> None:
    """Speak TLS on the listener that the builder knows by <number>, if it shall."""
    if listener.tls is not None:
        certificates = choices(listener.tls.certificates)
        builder.set_listener_tls(number, certificates, **_listener_options(listener, listener.tls))


def _listener_options(listener: Listener, tls: Tls) -> dict[str, Any]:
    clients = tls.client_certificates
    return {
        **_protocol(tls),
        "alpn": _ALPN[listener.protocol] if tls.alpn is None else tls.alpn,
        "client_auth": clients.mode if clients else "none",
        "client_ca": clients.read.bundle if clients and clients.read else b"",
    }


def set_upstream_tls(builder: SnapshotBuilder, number: int, upstream: Upstream) -> None:
    """Speak TLS to the endpoints of the upstream that the builder knows by <number>."""
    if isinstance(upstream.tls, UpstreamTls):
        builder.set_upstream_tls(number, **_upstream_options(upstream.tls))


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
