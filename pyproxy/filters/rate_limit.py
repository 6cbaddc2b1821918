"""The filter `rate_limit` where several machines count together: in Redis.

Everywhere else it is csrc/proxy/filter_rate_limit.c, and what is said there holds here too. That
one also stands in for this one while Redis is gone.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from pyproxy.config import patterns
from pyproxy.config.filters.limits import key_text, parse_rate
from pyproxy.config.filters.rate_limit import RateLimitFilter
from pyproxy.filters.base import Filter, Reply
from pyproxy.filters.rate_limit_script import SCRIPT, SCRIPT_SHA
from pyproxy.filters.redis_store import RedisStore, StoreError

if TYPE_CHECKING:
    from pyproxy._engine import Exchange

_SECOND = 10**9
_LETTERS = {"token_bucket": "b", "sliding_window": "s", "fixed_window": "f"}
_ALONE = "counted on this machine alone"
_NAME_BYTES = 64


class _Limit(NamedTuple):
    """One limit, as the script takes it."""

    text: str
    names: tuple[str, ...]
    arguments: tuple[str | int, ...]
    policy: str
    name: str = ""
    space: str = ""

    def key(self, exchange: Exchange) -> str | None:
        """Under which name this request is counted; None: its key is empty.

        ValueError: the request is to be refused.
        """
        values = {name: exchange.value(name) or "" for name in self.names}
        value = patterns.render(self.text, values)
        if not value:
            return None
        # Keys may be secrets, and long.
        return self.space + hashlib.blake2b(value.encode(), digest_size=16).hexdigest()


class _Share(NamedTuple):
    """What the limits have said to one request: name, and what is left until when, of each."""

    parts: tuple[tuple[str, int, int], ...]


class RateLimit(Filter):
    """Counts in Redis."""

    config: RateLimitFilter
    timeout_ms = 0  # of its phases: Redis has one of its own, and queues wait for their turn

    def __init__(self, config: RateLimitFilter) -> None:
        super().__init__(config)
        assert config.redis is not None
        self._redis = config.redis
        self._store = RedisStore.of(config.redis, SCRIPT, SCRIPT_SHA)
        self._limits = [_limit(limit) for limit in config.limits or (config,)]
        self._policy = ""
        if config.redis.on_failure == "local":
            self.stand_in: Callable[[Exchange], bool] = self._is_alone
        if config.headers and not config.dry_run:
            # A phase only where it is needed.
            vars(self).update(response=self._add_fields)

    def placed(self, label: str, place: str) -> None:
        """Name what is counted by where it is counted, for all machines alike."""
        where = self.config.common(place, self.config.group)["place"]
        limits = self.config.limits or (self.config,)
        for i, limit in enumerate(limits):
            name = _quoted(getattr(limit, "name", ""), label, i)
            made = self._limits[i]
            space = f"{self._redis.prefix}{where}:{name}:{made.arguments[0]}:"
            self._limits[i] = made._replace(name=name, space=space)
        self._policy = ", ".join(limit.name + limit.policy for limit in self._limits)

    async def request(self, exchange: Exchange) -> Reply | None:
        """Take from all limits, or from none."""
        try:
            found = [(limit, limit.key(exchange)) for limit in self._limits]
        except ValueError as error:
            return Reply(400, body=f"{error}\n")
        asked = [(limit, key) for limit, key in found if key is not None]
        if len(asked) < len(found) and self.config.missing_key == "refuse":
            return self._refuse(exchange, 0)
        if not asked:
            return None
        keys = [key for _, key in asked]
        arguments = [a for limit, _ in asked for a in limit.arguments]
        began = time.perf_counter_ns()
        try:
            refused_by, wait, *rest = await self._store.run(keys, arguments)
        except StoreError:
            exchange._count_limit("unanswered", (time.perf_counter_ns() - began) // 1000)
            return self._give_up(exchange)
        exchange._count_limit("answered", (time.perf_counter_ns() - began) // 1000)
        names = [limit.name for limit, _ in asked]
        exchange.state[self] = _Share(tuple(zip(names, rest[::2], rest[1::2], strict=False)))
        if refused_by:
            return self._refuse(exchange, wait)
        if wait:
            exchange._count_limit("delayed")
            if not self.config.dry_run:
                await asyncio.sleep(wait / _SECOND)
        return None

    def _give_up(self, exchange: Exchange) -> Reply | None:
        if self._redis.on_failure == "deny":
            return self._refuse(exchange, 0)
        exchange.state[self] = _ALONE
        return None

    def _is_alone(self, exchange: Exchange) -> bool:
        return exchange.state.get(self) is _ALONE

    def _refuse(self, exchange: Exchange, wait: int) -> Reply | None:
        config = self.config
        if config.dry_run:
            exchange._count_limit("dry_run")
            return None
        exchange._count_limit("refused")
        fields = [("Content-Type", config.content_type)] if config.message else []
        if wait:
            fields.append(("Retry-After", str(_seconds(wait))))
        return Reply(config.status, fields, config.message.encode())

    def _add_fields(self, exchange: Exchange) -> None:
        share = exchange.state.get(self)
        if isinstance(share, _Share):
            parts = [f"{name};r={left};t={_seconds(ns)}" for name, left, ns in share.parts]
            exchange.response.headers.add("RateLimit-Policy", self._policy)
            exchange.response.headers.add("RateLimit", ", ".join(parts))


def _limit(limit: Any) -> _Limit:
    count, period_ms = parse_rate(limit.rate)
    text = key_text(limit.key)
    names = tuple(dict.fromkeys(patterns.placeholders(text)))
    period = period_ms * 10**6
    numbers = [0, 0, 0]
    if limit.algorithm == "token_bucket":
        interval = -(-period // count)
        numbers = [interval, (limit.burst or count) * interval, limit.queue * interval]
    kind = _LETTERS[limit.algorithm]
    arguments: tuple[str | int, ...] = (kind, count, period_ms * 1000, *numbers)
    window = f";w={period // _SECOND}" if period % _SECOND == 0 else ""
    return _Limit(text, names, arguments, f";q={count}{window}")


def _quoted(name: str, label: str, i: int) -> str:
    """The name of a policy, of what a string of RFC 8941 may hold."""
    shown = (name or label).encode()[:_NAME_BYTES].decode("latin-1")
    kept = "".join(c if " " <= c <= "~" and c not in '"\\' else "_" for c in shown)
    return f'"{kept}"' if name or i == 0 else f'"{kept}-{i + 1}"'


def _seconds(ns: int) -> int:
    return -(-ns // _SECOND)
