"""Looking after endpoints: health checks, and a word about ejections; loaded when wanted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pyproxy._counters import StatSegment
from pyproxy.config.model import Config

if TYPE_CHECKING:
    from pyproxy.control.health import Checker
    from pyproxy.control.outliers import Watch


def is_wanted(config: Config) -> bool:
    """Are there endpoints to be looked after?"""
    return any(
        upstream.health_check is not None or upstream.outlier_detection is not None
        for upstream in config.upstreams.values()
    )


class Care:
    """What the control process does for endpoints, as the configuration in force wants it."""

    def __init__(self, segment: StatSegment, config: Config) -> None:
        self._segment = segment
        self._checker: Checker | None = None
        self._watch: Watch | None = None
        self._task: asyncio.Task[None] | None = None
        if is_wanted(config):
            # While the user is still the one who can read where Python is installed.
            from pyproxy.control import health, outliers  # noqa: F401

    def adopt(self, config: Config) -> None:
        """Look after the endpoints of <config>, keys included, from now on."""
        if self._checker is None and is_wanted(config):
            from pyproxy.control.health import Checker
            from pyproxy.control.outliers import Watch
            from pyproxy.supervise.verdicts import Verdicts

            verdicts = Verdicts(self._segment)
            self._checker, self._watch = Checker(verdicts), Watch(verdicts)
            self._task = asyncio.ensure_future(self._watch.run())
        if self._checker is not None and self._watch is not None:
            self._checker.adopt(config)
            self._watch.adopt(config)

    def close(self) -> None:
        """Look after nothing any more."""
        if self._checker is not None:
            self._checker.close()
        if self._task is not None:
            self._task.cancel()
