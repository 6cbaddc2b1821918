"""Health checks of all endpoints: one task for each, whoever they belong to.

      UNKNOWN ──first check──► UP ◄──`rise` good ones──┐
         └───────────────────► DOWN ───────────────────┘ `fall` bad ones: from UP to DOWN

What is found stands in shared memory (`supervise/verdicts.py`), from where the workers take it, and
from where the next process goes on when this one has died or another generation takes over.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

from pyproxy import log
from pyproxy.config.compile import endpoint_name
from pyproxy.config.model import Config, Endpoint, Upstream
from pyproxy.supervise.verdicts import Cause, Health, Reason, Verdicts

from .probes import CheckFailed, Target, key_of, probe, target_of

# Checks in progress at once; others wait for one of them to end.
CONCURRENT = 128
# Within which the first checks of all endpoints begin.
_SPREAD_SECONDS = 0.2

Probe = Callable[[Target], Awaitable[None]]


class Watched:
    """One endpoint that is checked; `labels` are the records that hear of it."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.labels: list[str] = []
        self.health = Health.UNKNOWN
        self.reason = Reason()
        self.since = 0
        # Checks in a row that spoke against `health`.
        self.against = 0
        self.task: asyncio.Task[None] | None = None

    @property
    def seconds(self) -> float:
        """Until the next check, without jitter."""
        up_ms, down_ms = self.target.check.pause_ms
        return (up_ms if self.health is Health.UP and not self.against else down_ms) / 1000

    def learn(self, reason: Reason) -> bool:
        """Take one result in. True: the health is another one now."""
        check = self.target.check
        good = reason.cause is Cause.NONE
        found = Health.UP if good else Health.DOWN
        if found is self.health:
            self.against = 0
            self.reason = reason
            return False
        self.against += 1
        needed = check.rise if good else check.fall
        if self.health is not Health.UNKNOWN and self.against < needed:
            return False
        self.health, self.reason, self.against = found, reason, 0
        return True


class Checker:
    """Checks what the configuration in force wants to be checked."""

    def __init__(
        self,
        verdicts: Verdicts,
        *,
        ask: Probe = probe,
        clock: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self._verdicts = verdicts
        self._ask = ask
        self._clock = clock
        self._rng = rng or random.Random()
        self._slots = asyncio.Semaphore(CONCURRENT)
        self._log = log.get("health")
        self.watched: dict[object, Watched] = {}

    def adopt(self, config: Config) -> None:
        """Check the endpoints of <config> from now on; those that stay are not asked anew."""
        old, self.watched = self.watched, {}
        for name, upstream in config.upstreams.items():
            if upstream.health_check is None:
                continue
            for endpoint in upstream.endpoints:
                self._add(name, upstream, endpoint, old)
        for key, watched in old.items():
            if key not in self.watched and watched.task is not None:
                watched.task.cancel()
        bases = self._verdicts.bases()
        for watched in self.watched.values():
            self._begin(watched, bases)

    def _add(
        self, name: str, upstream: Upstream, endpoint: Endpoint, old: dict[object, Watched]
    ) -> None:
        key = key_of(upstream, endpoint)
        watched = self.watched.get(key)
        if watched is None:
            watched = old.get(key) or self._make(name, upstream, endpoint)
            if watched is None:
                return
            watched.labels = []
            self.watched[key] = watched
        watched.labels.append(endpoint_name(name, endpoint))

    def _make(self, name: str, upstream: Upstream, endpoint: Endpoint) -> Watched | None:
        try:
            return Watched(target_of(upstream, endpoint))
        except (OSError, ValueError) as error:  # of the TLS library: it takes no such settings
            self._log.error("%s cannot be checked: %s", endpoint_name(name, endpoint), error)
            return None

    def _begin(self, watched: Watched, bases: dict[str, int]) -> None:
        found = [bases[label] for label in watched.labels if label in bases]
        if watched.task is None:
            for base in found:
                health, since, reason = self._verdicts.health(base)
                if health is not Health.UNKNOWN:
                    watched.health, watched.since, watched.reason = health, since, reason
                    break
            watched.task = asyncio.create_task(self._run(watched))
        if watched.health is not Health.UNKNOWN:
            self._verdicts.report(found, watched.health, watched.reason, watched.since)

    def close(self) -> None:
        """Check nothing any more."""
        for watched in self.watched.values():
            if watched.task is not None:
                watched.task.cancel()
        self.watched = {}

    async def _run(self, watched: Watched) -> None:
        jitter = watched.target.check.jitter / 100
        await asyncio.sleep(self._rng.uniform(0, _SPREAD_SECONDS))
        while True:
            async with self._slots:
                reason = await self._check(watched)
            self._note(watched, reason)
            await asyncio.sleep(watched.seconds * self._rng.uniform(1 - jitter, 1 + jitter))

    async def _check(self, watched: Watched) -> Reason:
        try:
            await self._ask(watched.target)
        except CheckFailed as failed:
            return failed.reason
        except Exception:
            # A mistake of ours says nothing about the endpoint, and must not end its checks.
            self._log.exception("the check of %s went wrong", watched.labels[0])
            return watched.reason
        return Reason()

    def _note(self, watched: Watched, reason: Reason) -> None:
        bases = self._verdicts.bases()
        found = [bases[label] for label in watched.labels if label in bases]
        self._verdicts.count(found, reason)
        before, since, why = watched.health, watched.since, watched.reason
        changed = watched.learn(reason)
        now = int(self._clock())
        if changed:
            watched.since = now
        if changed or why != watched.reason:
            self._verdicts.report(found, watched.health, watched.reason, watched.since)
        if changed:  # who reads it may count on it
            self._tell(watched, before, max(now - since, 0))

    def _tell(self, watched: Watched, before: Health, seconds: int) -> None:
        """A line for each endpoint whose health has changed."""
        for label in watched.labels:
            if watched.health is Health.DOWN:
                was = f", after {seconds} s" if before is Health.UP else ", at its first check"
                self._log.warning("%s is down%s: %s", label, was, watched.reason.text)
            elif before is Health.DOWN:
                self._log.info("%s is up, after %d s", label, seconds)
            else:
                self._log.debug("%s is up, at its first check", label)
