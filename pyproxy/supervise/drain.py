"""How a worker ends politely: no new connections, the open ones within their class's time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyproxy._engine import Engine
    from pyproxy.config import model

# How often a draining worker looks whether its last connection has gone, and how often it tells.
_POLL_SECONDS = 0.02
_TELL_SECONDS = 0.5


class DrainLimits(NamedTuple):
    """Seconds for requests and for tunnels, 0: no limit; idle connections close over `spread`."""

    timeout: float
    tunnels: float
    spread: float

    @classmethod
    def of(cls, drain: model.Drain) -> DrainLimits:
        """As the configuration says."""
        return cls(drain.timeout_ms / 1000, drain.tunnels_ms / 1000, drain.spread_ms / 1000)


class Drain:
    """A drain that has begun; it stops the loop when nothing is left or all time is up."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        engine: Engine,
        limits: DrainLimits,
        expects_more: Callable[[], bool],
        on_progress: Callable[[int, int], None],
    ) -> None:
        """<expects_more> says whether connections of an older generation may still arrive."""
        self._loop = loop
        self._engine = engine
        self._expects_more = expects_more
        self._on_progress = on_progress
        now = loop.time()
        self._requests_until = now + limits.timeout if limits.timeout else math.inf
        self._tunnels_until = now + limits.tunnels if limits.tunnels else math.inf
        self._tell_at = now
        # Connections that were still open when their time was up.
        self.aborted = 0
        # Time was up for requests. What stays then are connections whose log filters are at work,
        # and those of HTTP/2 with tunnels on their streams.
        self._cut = False
        engine.stop_listening()
        engine.drain(int(limits.spread * 1000))
        self._look()

    def _look(self) -> None:
        engine, now = self._engine, self._loop.time()
        if now >= self._requests_until:
            if not self._cut:
                self.aborted += engine.connections
            self._cut = True
            engine.close_connections()
            # UDP sessions wait for answers as requests do, but nobody can say for which.
            engine.close_sessions()
        if engine.tunnels and now >= self._tunnels_until:
            self.aborted += engine.tunnels
            engine.close_tunnels()
        # Exchanges without a connection are copies of requests, on their way to a mirror.
        busy = engine.connections or engine.tunnels or engine.sessions or engine.exchanges
        if not busy and not self._expects_more():
            self._loop.stop()
            return
        if now >= self._tell_at:
            self._tell_at = now + _TELL_SECONDS
            self._on_progress(engine.connections, engine.tunnels)
        self._loop.call_later(_POLL_SECONDS, self._look)
