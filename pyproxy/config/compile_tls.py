"""The TLS sections, once their files have been read, as the engine takes them."""

from __future__ import annotations

import os
from collections.abc import Iterable

from pyproxy.config.model import Listener, Upstream
from pyproxy.config.sections_tls import Tls, UpstreamTls
from pyproxy.tls.settings import (
    Agreement,
    ClientSettings,
    ServerSettings,
    alpn_list,
    client_auth_number,
    version_number,
)

# What endpoints are offered, by the upstream's protocol.
_UPSTREAM_ALPN = {"auto": ("h2", "http/1.1"), "h1": ("http/1.1",), "h2": ("h2",), "h2c": ()}


def server_settings(listener: Listener, tls: Tls) -> ServerSettings:
    """What a listener that speaks TLS agrees to."""
    clients = tls.client_certificates
    return ServerSettings(
        _agreement(tls, _offered(listener) if tls.alpn is None else tls.alpn),
        client_auth_number(clients.mode if clients else "none"),
        clients.read.bundle if clients and clients.read else b"",
    )


def _offered(listener: Listener) -> tuple[str, ...]:
    """What clients are offered when the file says nothing."""
    if listener.protocol == "tcp":
        return ()
    return ("h2", "http/1.1") if listener.http2.enabled else ("http/1.1",)


def client_settings(upstream: Upstream) -> ClientSettings | None:
    """How endpoints are spoken to; None: without TLS."""
    tls = upstream.tls
    if not isinstance(tls, UpstreamTls):
        return None
    return ClientSettings(
        _agreement(tls, _UPSTREAM_ALPN[upstream.spoken]),
        server_name=tls.server_name,
        verify=tls.verify,
        ca=tls.read.bundle if tls.read else b"",
        ca_dir=os.fsencode(tls.read.folder) if tls.read else b"",
        chain=tls.pair.chain if tls.pair else b"",
        key=tls.pair.key if tls.pair else b"",
    )


def _agreement(tls: Tls | UpstreamTls, alpn: Iterable[str]) -> Agreement:
    return Agreement(
        version_number(tls.min_version),
        version_number(tls.max_version),
        tls.ciphers,
        tls.ciphersuites,
        tls.groups,
        alpn_list(alpn),
        os.fsencode(tls.key_log),
    )
