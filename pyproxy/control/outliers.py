"""Ejections, told in the log: workers do them, and this process sees them in shared memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pyproxy import log
from pyproxy.config.compile import endpoint_name
from pyproxy.config.model import Config
from pyproxy.supervise.verdicts import Ejection, Verdicts, monotonic_ms

_LOOK_SECONDS = 0.5
_WHY = {
    "consecutive_5xx": "too many errors in a row",
    "consecutive_gateway_failures": "too many failures in a row",
    "success_rate": "far fewer successes than the others",
}


class Watch:
    """Looks from time to time, and tells what has changed."""

    def __init__(self, verdicts: Verdicts, clock: Callable[[], int] = monotonic_ms) -> None:
        self._verdicts = verdicts
        self._clock = clock
        self._names: list[str] = []
        self._seen: dict[str, Ejection] = {}
        self._log = log.get("health")

    def adopt(self, config: Config) -> None:
        """Look at the endpoints of <config> from now on."""
        self._names = [
            endpoint_name(name, endpoint)
            for name, upstream in config.upstreams.items()
            if upstream.outlier_detection is not None
            for endpoint in upstream.endpoints
        ]
        self._seen = {name: self._seen[name] for name in self._names if name in self._seen}

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Tell the difference to the last look."""
        if not self._names:
            return
        bases, now = self._verdicts.bases(), self._clock()
        for name in self._names:
            if name not in bases:
                continue
            ejection, before = self._verdicts.ejection(bases[name], now), self._seen.get(name)
            if ejection == before:
                continue
            if ejection is not None:
                self._seen[name] = ejection
                self._log.warning(
                    "%s is ejected until %s (%d in a row): %s",
                    name,
                    _wall((ejection.until_ms - now) / 1000),
                    ejection.times,
                    _WHY.get(ejection.why, ejection.why),
                )
            else:
                del self._seen[name]
                self._log.info("%s is in use again, its ejection has ended", name)


def _wall(seconds: float) -> str:
    return time.strftime("%H:%M:%SZ", time.gmtime(time.time() + seconds))
