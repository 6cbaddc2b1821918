"""What a worker says about its overload in the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from pyproxy import log
from pyproxy.config.units import format_size

# A worker at its limit may go up and down every second: so many lines in so many seconds.
_LINES = 6
_SECONDS = 60.0

_DEEDS = {
    "none": "it is over",
    "stop_keep_alive": "connections end, none is kept open",
    "shed": "new requests are refused",
}


class OverloadLog:
    """A line for each change (`Engine`'s on_overload), unless there are too many."""

    def __init__(
        self,
        logger: logging.Logger | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = logger or log.get("worker")
        self._clock = clock
        self._from = clock()
        self._lines = 0

    def __call__(self, reason: str, level: str, value: int) -> None:
        """Tell that <reason> has come to <level> because of <value>."""
        now = self._clock()
        if now - self._from >= _SECONDS:
            self._from, self._lines = now, 0
        self._lines += 1
        if self._lines > _LINES:
            return
        more = "; no more of this for a while" if self._lines == _LINES else ""
        what = f"{value / 1000:.0f} ms late" if reason == "loop_lag" else _size(value)
        told = logging.INFO if level == "none" else logging.WARNING
        self._log.log(told, "overload: %s (%s): %s%s", reason, what, _DEEDS[level], more)


def _size(value: int) -> str:
    return format_size(value >> 20 << 20)
