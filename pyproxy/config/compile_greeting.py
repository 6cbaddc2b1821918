"""What is read of a listener's connections before they begin, for the engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyproxy.config.model import Listener

if TYPE_CHECKING:
    from pyproxy._engine import SnapshotBuilder


def add_greeting(
    builder: SnapshotBuilder, number: int, listener: Listener, upstreams: Mapping[str, int]
) -> None:
    """Give the builder the proxies in front of a listener, and its server names.

    `number` is the listener's, `upstreams` has those of the upstreams by their names.
    """
    headers = listener.proxy_protocol
    if headers is not None:
        direct = headers.others == "direct"
        builder.add_proxies(number, headers.trusted, others_direct=direct)
    for name, upstream in listener.sni.items():
        builder.add_server_name(number, name, upstreams[upstream])
