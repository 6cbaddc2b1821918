"""The proxies that are measured, each in a module that installs, configures and starts it."""

from __future__ import annotations

from benchmarks.contender import Contender
from benchmarks.peers.envoy import Envoy
from benchmarks.peers.h2o import H2o
from benchmarks.peers.haproxy import Haproxy
from benchmarks.peers.nginx import Nginx
from benchmarks.peers.pingora import Pingora
from benchmarks.peers.pyproxy import Pyproxy
from benchmarks.peers.relay import Relay

SUBJECT = "pyproxy"
FLOOR = "relay"


def everyone() -> dict[str, Contender]:
    """Every contender by name, in the order of the report."""
    found: list[Contender] = [
        *(Relay(), Pyproxy(), Nginx(), Haproxy(), Envoy(), Pingora(), H2o()),
    ]
    return {c.name: c for c in found}
