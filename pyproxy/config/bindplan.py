"""What a configuration listens on."""

from __future__ import annotations

from typing import NamedTuple

from pyproxy.config import addresses
from pyproxy.config.model import Config


class Bind(NamedTuple):
    """One address to listen on.

    `kind` is inet, inet6, unix or fd, `address` what the file says, and exactly one of `host`
    (with `port`), `path`, `fd_name` is set. `datagram`: UDP.
    """

    listener: str
    kind: str
    address: str
    host: str
    port: int
    path: str
    fd_name: str
    mode: int
    datagram: bool = False


def bind_plan(config: Config) -> tuple[Bind, ...]:
    """Every address that a checked configuration listens on, in the order of the file."""
    plan = []
    for name, listener in config.listeners.items():
        for bind in listener.bind:
            at = addresses.parse_bind(bind.address)
            path, fd_name = ("", at.path) if at.kind == "fd" else (at.path, "")
            plan.append(
                Bind(
                    name,
                    at.kind,
                    bind.address,
                    at.host,
                    at.port,
                    path,
                    fd_name,
                    bind.mode,
                    listener.protocol == "udp",
                )
            )
    return tuple(plan)
