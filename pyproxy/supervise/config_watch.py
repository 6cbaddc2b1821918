"""The files of the configuration, and the code of filters, looked at every second where the
configuration says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyproxy import log

from .looking import Look, look_of

if TYPE_CHECKING:
    from .supervisor import Supervisor

_LOOK_SECONDS = 1.0


class ConfigWatch:
    """Asks for a reload when the files have changed."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._up = supervisor
        self._log = log.get("supervisor")
        self._seen: Look | None = None
        self._settling: Look | None = None

    def begin(self) -> None:
        """Begin to look, if the configuration says so."""
        if self._up.service.config.watch and self._up.service.source not in ("", "-"):
            self._seen = self._settling = self._look_at_files()
            self._up.reactor.call_later(_LOOK_SECONDS, self._look)

    def note(self) -> None:
        """The files are read now, as they are."""
        self._seen = self._look_at_files()

    def _look(self) -> None:
        """Reload when the files are others than before and have not changed since the last look."""
        up = self._up
        if up.phase != "running":
            return
        now = self._look_at_files()
        if now != self._seen and now == self._settling and not up.reload.why_not():
            self._seen = now
            self._log.info("%s has changed", up.service.source)
            up.reload.request()
        self._settling = now
        up.reactor.call_later(_LOOK_SECONDS, self._look)

    def note_modules(self, modules: Iterable[str]) -> None:
        """The code of the user that is served now, which is looked at as well."""
        self._up.service.modules = tuple(modules)
        if self._seen is not None:
            now = self._look_at_files() or {}
            # What was seen when the reading began still counts.
            self._seen = self._settling = {k: self._seen.get(k, now[k]) for k in now}

    def _look_at_files(self) -> Look | None:
        return look_of(self._up.service.source, self._up.service.modules)
