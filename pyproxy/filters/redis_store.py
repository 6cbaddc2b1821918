"""What filters keep in a Redis: one connection for each worker and place.

What several requests ask for meanwhile goes there in one batch. A circuit of its own keeps requests
from waiting for a Redis that is gone: open for a second, and for up to four when it fails again,
with one batch that tries.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from pyproxy import log
from pyproxy.config.filters.redis_options import Redis

__all__ = ["RedisStore", "StoreError"]

_BATCH = 256
_CONNECT_S = 1.0  # at least: a request waits no longer than it does, but the connection comes
_PAUSE_S = 1.0
_PAUSE_MAX_S = 4.0
_TIMEOUTS = 3  # in a row; one may be a hiccup

Numbers = list[int]


class StoreError(Exception):
    """Redis gives no answer: it is gone, or has been for a moment."""


class _Ask(NamedTuple):
    keys: Sequence[str]
    arguments: Sequence[str | int]
    answer: asyncio.Future[Numbers]


class RedisStore:
    """Runs a script there. One event loop."""

    _shared: ClassVar[weakref.WeakValueDictionary[Any, RedisStore]] = weakref.WeakValueDictionary()

    @classmethod
    def of(cls, options: Redis, script: str, sha: str) -> RedisStore:
        """The one of this process, so that its connection outlives a reload."""
        connection = options.connection()
        key = tuple(sorted(connection.items())), options.timeout_ms, sha
        found = cls._shared.get(key)
        if found is None:
            found = cls._shared[key] = cls(connection, options.timeout_ms / 1000, script, sha)
        return found

    def __init__(self, connection: dict[str, Any], timeout_s: float, script: str, sha: str) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._script, self._sha = script, sha
        self._make = _maker(connection)
        self._client: Any = None  # there is one as long as it answers
        self._waiting: list[_Ask] = []
        self._task: asyncio.Task[None] | None = None
        self._closes: weakref.finalize[..., Any] | None = None
        self._closed_again = 0.0  # the circuit is open until then
        self._pause_s = 0.0  # above 0: it has opened, and nothing has been answered since
        self._timeouts = 0
        self._since = 0.0

    @property
    def name(self) -> str:
        """Where it is, without a password."""
        found = self._connection
        return found.get("path") or f"{found['host']}:{found['port']}"

    async def run(self, keys: Sequence[str], arguments: Sequence[str | int]) -> Numbers:
        """What the script answers. `StoreError` when there is no answer in time."""
        if self._is_open():
            raise StoreError
        loop = asyncio.get_running_loop()
        ask = _Ask(keys, arguments, loop.create_future())
        self._waiting.append(ask)
        if self._task is None:
            self._task = loop.create_task(self._serve())
        try:
            async with asyncio.timeout(self._timeout_s):
                return await ask.answer
        except TimeoutError:
            raise StoreError from None

    # ---- the circuit

    def _is_open(self) -> bool:
        if self._pause_s == 0:
            return False
        if time.monotonic() < self._closed_again:
            return True
        self._closed_again = float("inf")  # one of them tries
        return False

    def _succeeded(self) -> None:
        self._timeouts = 0
        if self._pause_s > 0:
            away = time.monotonic() - self._since
            log.get("filters").warning("redis %s answers again, after %.1f s", self.name, away)
            self._pause_s = 0.0

    def _failed(self, error: Exception) -> None:
        self._timeouts += 1
        hiccup = isinstance(error, TimeoutError) and self._client is not None
        if hiccup and self._pause_s == 0 and self._timeouts < _TIMEOUTS:
            return
        now = time.monotonic()
        if self._pause_s == 0:
            self._since = now
            why = str(error) or type(error).__name__
            log.get("filters").warning("redis %s gives no answer: %s", self.name, why)
        self._pause_s = min(self._pause_s * 2 or _PAUSE_S, _PAUSE_MAX_S)
        self._closed_again = now + self._pause_s

    # ---- batches

    async def _serve(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                batch = [ask for ask in batch if not ask.answer.done()]
                try:
                    await self._answer(batch)
                except Exception as error:
                    self._failed(error)
                    await self._drop()
                    _refuse(batch)
                    if self._pause_s > 0:
                        _refuse(self._waiting)
                        self._waiting = []
                else:
                    self._succeeded()
        finally:
            self._task = None

    async def _answer(self, batch: list[_Ask]) -> None:
        if self._client is None:
            client = self._make()
            try:
                async with asyncio.timeout(max(self._timeout_s, _CONNECT_S)):
                    await client.script_load(self._script)
            except BaseException:
                await _close(client)
                raise
            self._client = client
            self._closes = weakref.finalize(self, _leave, asyncio.get_running_loop(), client)
            self._closes.atexit = False
        batch = [ask for ask in batch if not ask.answer.done()]
        if batch:
            async with asyncio.timeout(self._timeout_s):
                await self._ask(batch)

    async def _ask(self, batch: list[_Ask]) -> None:
        answers = await self._evaluate(batch)
        forgotten = [answer for answer in answers if type(answer).__name__ == "NoScriptError"]
        if forgotten:
            # Somebody has emptied it; a script that is not there has done nothing either.
            await self._client.script_load(self._script)
            rest = [ask for ask, got in zip(batch, answers, strict=True) if got in forgotten]
            again = iter(await self._evaluate(rest))
            answers = [next(again) if answer in forgotten else answer for answer in answers]
        for ask, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                raise answer
            if not ask.answer.done():
                ask.answer.set_result(answer)

    async def _evaluate(self, batch: list[_Ask]) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for ask in batch:
            pipe.evalsha(self._sha, len(ask.keys), *ask.keys, *ask.arguments)
        answers: list[Any] = await pipe.execute(raise_on_error=False)
        return answers

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            if self._closes is not None:
                self._closes.detach()
            await _close(client)


def _refuse(batch: list[_Ask]) -> None:
    for ask in batch:
        if not ask.answer.done():
            ask.answer.set_exception(StoreError())


def _maker(connection: dict[str, Any]) -> Callable[[], Any]:
    """What makes a client. The package is imported now: its first import takes a while."""
    from redis.asyncio import (
        Connection,
        ConnectionPool,
        Redis,
        SSLConnection,
        UnixDomainSocketConnection,
    )
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    given = dict(connection)
    tls = given.pop("tls", False)
    kind = UnixDomainSocketConnection if "path" in given else SSLConnection if tls else Connection
    if tls:
        given["ssl_check_hostname"] = True
    # Time limits and new attempts are ours.
    given.update(socket_timeout=None, socket_connect_timeout=None, protocol=2)

    def make() -> Any:
        retry = Retry(NoBackoff(), 0)
        pool = ConnectionPool(connection_class=kind, max_connections=2, retry=retry, **given)
        return Redis(connection_pool=pool)

    return make


async def _close(client: Any) -> None:
    with contextlib.suppress(Exception):
        await client.connection_pool.disconnect()


def _leave(loop: asyncio.AbstractEventLoop, client: Any) -> None:
    """Nobody uses the store any more: so goes its connection."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(lambda: loop.create_task(_close(client)))
