"""Endpoints in DNS: A, AAAA and SRV records."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from pyproxy import log
from pyproxy.config.check_discovery import server_of
from pyproxy.config.sections_balance import TIERS
from pyproxy.config.sections_discovery import DnsSource

from .base import DiscoveryError, Found

# Answers are asked for again a little before their time is over, and not all at the same moment.
_EARLY = 0.1
# Weights grow by this before targets with several addresses divide theirs among these: it can be
# divided by most small numbers.
_SCALE = 60
_MAX_WEIGHT = 65_535
# Targets of SRV records that are looked up at the same time.
_AT_ONCE = 16


class Answer(NamedTuple):
    """What there is of one name and type; `ttl` in seconds."""

    records: list[Any]
    ttl: float


class DnsWatch:
    """Asks, waits as long as the answer may be believed, asks again."""

    def __init__(self, section: DnsSource, *, rng: random.Random | None = None) -> None:
        self._section = section
        self._rng = rng or random.Random()
        self._resolver = _resolver(section)
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self._left_out = 0

    async def watch(self) -> AsyncIterator[list[Found]]:
        """What the records say."""
        while True:
            found, ttl = await self._look()
            yield self._bounded(found)
            await asyncio.sleep(pause(self._section, ttl, self._rng))

    def _bounded(self, found: list[Found]) -> list[Found]:
        most = self._section.max_endpoints
        left_out = max(len(found) - most, 0)
        if left_out and not self._left_out:
            log.get("discovery").warning(
                "%s has %d endpoints, %d of which are left out (max_endpoints: %d)",
                *(self._section.name, len(found), left_out, most),
            )
        self._left_out = left_out
        return found[:most]

    async def _look(self) -> tuple[list[Found], float]:
        section = self._section
        if section.type == "srv":
            return await self._services()
        host = section.name.rstrip(".")
        addresses, ttl = await self._addresses(section.name, section.type)
        if not addresses:
            raise DiscoveryError(f"{section.name}: there are no addresses")
        return [Found(_join(a, section.port or 0), host=host) for a in addresses], ttl

    async def _addresses(self, name: str, kind: str) -> tuple[list[str], float]:
        """The addresses of a name, in an order that is always the same, and how long they last."""
        types = {"a": ("A",), "aaaa": ("AAAA",)}.get(kind, ("A", "AAAA"))
        answers = await asyncio.gather(*(self._ask(name, each) for each in types))
        found = [sorted(str(record) for record in answer.records) for answer in answers]
        ttls = [answer.ttl for answer in answers if answer.records]
        return [address for group in found for address in group], min(ttls, default=0.0)

    async def _services(self) -> tuple[list[Found], float]:
        section = self._section
        answer = await self._ask(section.name, "SRV")
        # RFC 2782: a target of "." says that there is no such service.
        rows = [row for row in answer.records if str(row.target) != "."]
        if not rows:
            raise DiscoveryError(f"{section.name}: there are no services")
        looked_up = await asyncio.gather(*(self._target(str(row.target)) for row in rows))
        # RFC 6125 section 6.2.1: who is asked for is what the configuration says, not an answer
        # that anybody may have made up.
        host = section.name.rstrip(".").split(".", 2)[-1]
        tiers = sorted({row.priority for row in rows})
        weights = divided(
            [
                (row.weight, len(addresses))
                for row, (addresses, _) in zip(rows, looked_up, strict=True)
            ]
        )
        found: dict[str, Found] = {}
        for row, weight, (addresses, _) in zip(rows, weights, looked_up, strict=True):
            tier = min(tiers.index(row.priority), TIERS - 1)
            for address in addresses:
                where = _join(address, row.port)
                found.setdefault(where, Found(where, weight, tier, host))
        if not found:
            raise DiscoveryError(f"{section.name}: none of its targets has an address")
        return sorted(found.values()), min([answer.ttl, *(ttl for a, ttl in looked_up if a)])

    async def _target(self, name: str) -> tuple[list[str], float]:
        """Its addresses; none when it has none or does not exist."""
        async with self._gate:
            try:
                return await self._addresses(name, "ip")
            except NoSuchName:
                return [], 0.0

    async def _ask(self, name: str, kind: str) -> Answer:
        """The records; none when the name has none of that type. Raises `DiscoveryError`."""
        try:
            answer = await self._resolver.resolve(
                dns.name.from_text(name),
                kind,
                raise_on_no_answer=False,
                lifetime=self._section.timeout_ms / 1000,
            )
        except dns.resolver.NXDOMAIN:
            raise NoSuchName(f"{name}: there is no such name") from None
        except dns.resolver.LifetimeTimeout:
            raise DiscoveryError(f"{name} {kind}: no name server answered in time") from None
        except (dns.exception.DNSException, OSError) as error:
            raise DiscoveryError(f"{name} {kind}: {error}") from error
        return Answer(list(answer.rrset or ()), float(answer.chaining_result.minimum_ttl))


class NoSuchName(DiscoveryError):
    """NXDOMAIN."""


def _resolver(section: DnsSource) -> dns.asyncresolver.Resolver:
    try:
        resolver = dns.asyncresolver.Resolver(configure=not section.servers)
    except dns.exception.DNSException as error:
        raise DiscoveryError(f"/etc/resolv.conf: {error}") from error
    if section.servers:
        pairs = [server_of(text) for text in section.servers]
        resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in pairs]
    # One that does not answer must leave time for the others.
    count = max(len(resolver.nameservers), 1)
    resolver.timeout = section.timeout_ms / 1000 / count
    return resolver


def pause(section: DnsSource, ttl: float, rng: random.Random) -> float:
    """Seconds until the next question."""
    least, most = section.min_ttl_ms / 1000, section.max_ttl_ms / 1000
    return min(max(ttl, least), most) * (1 - _EARLY * rng.random())


def divided(targets: Sequence[tuple[int, int]]) -> list[int]:
    """Of targets with (weight, number of addresses): the weight of each of their addresses.

    A weight of 0 means hardly ever (RFC 2782); all of 0 are alike.
    """
    scale = 1
    if any(count > 1 for _, count in targets):
        scale = max(min(_SCALE, _MAX_WEIGHT // max(1, *(w for w, _ in targets))), 1)
    if not any(weight for weight, _ in targets):
        targets = [(1, count) for _, count in targets]
    return [max(weight * scale // max(count, 1), 1) for weight, count in targets]


def _join(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
