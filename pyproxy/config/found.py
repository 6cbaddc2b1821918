"""Endpoints that were found while the service runs, as a part of the configuration.

They stand in `endpoints` behind those that the file has, and are marked. So whoever uses endpoints
need not know where they come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from pyproxy.config import addresses
from pyproxy.config.model import Config
from pyproxy.config.sections_balance import TIERS, Endpoint
from pyproxy.config.sections_discovery import MOST

ENTRY_POINTS = "pyproxy.discovery"
"""The group under which other packages announce sources: a word and `module:Class`."""

_MAX_WEIGHT = 65_535


def plugins() -> dict[str, str]:
    """What installed packages announce: word -> `module:Class`. Nothing of theirs is imported."""
    from importlib.metadata import entry_points  # 10 ms, for those who name one

    return {entry.name: entry.value for entry in entry_points(group=ENTRY_POINTS)}


def endpoint(address: str, weight: int = 1, priority: int = 0, host: str = "") -> Endpoint:
    """One that was found; `host` is the name that its certificate must be for, if not its address.

    Raises `ValueError` unless the address is numeric or a unix socket, and all is within bounds.
    """
    at = addresses.parse_endpoint(address)
    if at.kind not in ("inet", "inet6", "unix"):
        raise ValueError(f'"{address}" is not a numeric address; write one such as 10.0.0.1:9000')
    if not 1 <= weight <= _MAX_WEIGHT:
        raise ValueError(f"the weight {weight} is out of range; write 1 to {_MAX_WEIGHT}")
    if not 0 <= priority < TIERS:
        raise ValueError(f"the priority {priority} is out of range; write 0 to {TIERS - 1}")
    return Endpoint(
        address=at.text,
        weight=weight,
        priority=priority,
        host=host,
        found=True,
        resolved=(at.text,),
    )


def to_rows(endpoints: Iterable[Endpoint]) -> list[list[Any]]:
    """What travels from process to process."""
    return [[e.address, e.weight, e.tier, e.host, e.drain] for e in endpoints]


def from_rows(rows: Sequence[Any]) -> tuple[Endpoint, ...]:
    """The same again. Raises `ValueError` for anything else."""
    if len(rows) > MOST:
        raise ValueError(f"{len(rows)} endpoints are more than {MOST}")
    found = []
    for row in rows:
        try:
            address, weight, tier, host, drain = row
            one = endpoint(str(address), int(weight), int(tier), str(host))
        except TypeError as error:
            raise ValueError(str(error)) from None
        found.append(msgspec.structs.replace(one, drain=bool(drain)))
    return tuple(found)


def found_of(config: Config) -> dict[str, tuple[Endpoint, ...]]:
    """What is known of every upstream that has a source."""
    return {
        name: tuple(e for e in upstream.endpoints if e.found)
        for name, upstream in config.upstreams.items()
        if upstream.discover is not None
    }


def with_found(config: Config, found: Mapping[str, Sequence[Endpoint]]) -> Config:
    """<config> with exactly these instead of what was known of their upstreams."""
    upstreams = dict(config.upstreams)
    for name, endpoints in found.items():
        upstream = upstreams.get(name)
        if upstream is None or upstream.discover is None:
            continue
        written = [e for e in upstream.endpoints if not e.found]
        # What the file says of an address comes first; and each is there once.
        known = {address for e in written for address in (e.address, *e.resolved)}
        fresh = {e.address: e for e in endpoints if e.address not in known}
        upstreams[name] = msgspec.structs.replace(upstream, endpoints=(*written, *fresh.values()))
    return msgspec.structs.replace(config, upstreams=upstreams)


def differing(
    config: Config, found: Mapping[str, Sequence[Endpoint]]
) -> dict[str, Sequence[Endpoint]]:
    """Those of <found> that <config> has otherwise."""
    changed = {}
    for name, endpoints in found.items():
        before = config.upstreams.get(name)
        if before is not None and with_found(config, {name: endpoints}).upstreams[name] != before:
            changed[name] = endpoints
    return changed


def carried(config: Config, running: Config) -> tuple[Config, list[str]]:
    """<config>, just read, with what <running> knows from the same sources; and the upstreams
    whose sources are new."""
    known: dict[str, tuple[Endpoint, ...]] = {}
    fresh = []
    for name, upstream in config.upstreams.items():
        if upstream.discover is None:
            continue
        before = running.upstreams.get(name)
        if (
            before is None
            or before.discover is None
            or before.discover.key != upstream.discover.key
        ):
            fresh.append(name)
        else:
            known[name] = tuple(e for e in before.endpoints if e.found)
    return with_found(config, known), fresh
