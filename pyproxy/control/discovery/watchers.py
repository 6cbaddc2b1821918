"""The sources of a configuration, each watched by a task of its own."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from pyproxy import log
from pyproxy.config.found import from_rows
from pyproxy.config.found import to_rows as known_rows_of
from pyproxy.config.model import Config
from pyproxy.config.sections_discovery import Discover

from .base import DiscoveryError, Found, Source, make_source

# After a failure, twice as long each time.
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 30.0

Say = Callable[[dict[str, Any]], None]


class Watcher:
    """One upstream's source, and what it has said."""

    def __init__(self, upstream: str, discover: Discover, known: list[list[Any]]) -> None:
        self.upstream = upstream
        self.discover = discover
        self.key = discover.key
        self.task: asyncio.Task[None] | None = None
        # What was found last; None: nothing was ever found.
        self.rows = known or None
        self.error = ""
        self.failures = 0
        self.lookups = 0
        self.changes = 0
        # Unix times: of the last answer, and of the last that was another one.
        self.looked = self.changed = 0.0

    def message(self) -> dict[str, Any]:
        """What the supervisor is told."""
        return {
            "upstream": self.upstream,
            "key": self.key,
            "endpoints": self.rows,
            "error": self.error,
            "failures": self.failures,
            "looked": self.looked,
            "changed": self.changed,
        }

    def row(self) -> dict[str, Any]:
        """What operators see."""
        return {
            "source": self.discover.title,
            "found": len(self.rows or ()),
            "lookups": self.lookups,
            "changes": self.changes,
            "failures": self.failures,
            "last_lookup": self.looked or None,
            "last_change": self.changed or None,
            "error": self.error,
        }


class Watchers:
    """All of a configuration. <say> gets a message whenever there is something new."""

    def __init__(
        self,
        say: Say,
        *,
        make: Callable[[Discover], Source] = make_source,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
        first_pause: float = _FIRST_PAUSE,
    ) -> None:
        self._say = say
        self._make = make
        self._clock = clock
        self._rng = rng or random.Random()
        self._first_pause = first_pause
        self._log = log.get("discovery")
        self._watchers: dict[str, Watcher] = {}

    def adopt(self, config: Config) -> None:
        """Watch the sources of <config>; those that were watched before go on."""
        wanted = {n: u.discover for n, u in config.upstreams.items() if u.discover is not None}
        for name, watcher in list(self._watchers.items()):
            if name not in wanted or wanted[name].key != watcher.key:
                self._stop(self._watchers.pop(name))
        for name, discover in wanted.items():
            if name not in self._watchers:
                known = known_rows_of(e for e in config.upstreams[name].endpoints if e.found)
                watcher = self._watchers[name] = Watcher(name, discover, known)
                watcher.task = asyncio.get_running_loop().create_task(self._run(watcher))

    def close(self) -> None:
        """Watch nothing any more."""
        for watcher in self._watchers.values():
            self._stop(watcher)
        self._watchers = {}

    def rows(self) -> dict[str, dict[str, Any]]:
        """What operators see, by upstream."""
        return {name: watcher.row() for name, watcher in self._watchers.items()}

    @staticmethod
    def _stop(watcher: Watcher) -> None:
        if watcher.task is not None:
            watcher.task.cancel()

    async def _run(self, watcher: Watcher) -> None:
        pause = self._first_pause
        while True:
            try:
                async for found in self._make(watcher.discover).watch():
                    self._on_found(watcher, to_rows(found))
                    pause = self._first_pause
                self._on_failure(watcher, "the source has ended")
            except (DiscoveryError, ValueError, OSError) as error:
                self._on_failure(watcher, str(error))
            except Exception as error:  # the code of another package may be anything
                if watcher.error != (text := f"{type(error).__name__}: {error}"):
                    self._log.exception("the source of upstream %s", watcher.upstream)
                self._on_failure(watcher, text)
            await asyncio.sleep(pause * (0.5 + self._rng.random() / 2))
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _on_found(self, watcher: Watcher, rows: list[list[Any]]) -> None:
        watcher.lookups += 1
        watcher.looked = self._clock()
        recovered, watcher.error = watcher.error, ""
        if recovered:
            self._log.info(
                "upstream %s: %s answers again", watcher.upstream, watcher.discover.title
            )
        if rows != watcher.rows:
            watcher.rows, watcher.changed = rows, watcher.looked
            watcher.changes += 1
            self._say(watcher.message())
        elif recovered:
            self._say(watcher.message())

    def _on_failure(self, watcher: Watcher, text: str) -> None:
        watcher.failures += 1
        if text == watcher.error:
            return  # told already
        watcher.error = text
        kept = "" if watcher.rows is None else "; what was found before stays in use"
        self._log.warning("upstream %s: nothing found: %s%s", watcher.upstream, text, kept)
        self._say(watcher.message())


def to_rows(found: Sequence[Found]) -> list[list[Any]]:
    """As rows that have been looked at. Raises `ValueError` for what is no endpoint."""
    rows = [[f.address, f.weight, f.priority, f.host, f.drain] for f in found]
    return [[e.address, e.weight, e.priority, e.host, e.drain] for e in from_rows(rows)]


async def look_once(config: Config, names: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    """The first word of each of these upstreams' sources, as messages: what it finds, or why it
    finds nothing, also because there was no answer within <seconds>.
    """
    heard: dict[str, dict[str, Any]] = {}
    all_heard = asyncio.Event()

    def say(message: dict[str, Any]) -> None:
        heard[message["upstream"]] = message
        if all(name in heard for name in names):
            all_heard.set()

    watchers = Watchers(say)
    watchers.adopt(only(config, names))
    try:
        await asyncio.wait_for(all_heard.wait(), seconds)
    except TimeoutError:
        pass
    finally:
        watchers.close()
    late = {"endpoints": None, "error": "no answer yet"}
    return [heard.get(name) or {"upstream": name, **late} for name in names]


def only(config: Config, names: Sequence[str]) -> Config:
    """No other upstreams."""
    upstreams = {name: config.upstreams[name] for name in names}
    return msgspec.structs.replace(config, upstreams=upstreams)
