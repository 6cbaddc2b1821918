"""The files of the configuration, looked at every second where the configuration says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyproxy import log
from pyproxy.config.load import files_of

if TYPE_CHECKING:
    from .supervisor import Supervisor

_LOOK_SECONDS = 1.0


class ConfigWatch:
    """Asks for a reload when the files have changed."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._up = supervisor
        self._log = log.get("supervisor")
        self._seen: object = None
        self._settling: object = None

    def begin(self) -> None:
        """Begin to look, if the configuration says so."""
        if self._up.service.config.watch and self._up.service.source not in ("", "-"):
            self._seen = self._settling = _look_of(self._up.service.source)
            self._up.reactor.call_later(_LOOK_SECONDS, self._look)

    def note(self) -> None:
        """The files are read now, as they are."""
        self._seen = _look_of(self._up.service.source)

    def _look(self) -> None:
        """Reload when the files are others than before and have not changed since the last look."""
        up = self._up
        if up.phase != "running":
            return
        now = _look_of(up.service.source)
        if now != self._seen and now == self._settling and not up.reload.why_not():
            self._seen = now
            self._log.info("%s has changed", up.service.source)
            up.reload.request()
        self._settling = now
        up.reactor.call_later(_LOOK_SECONDS, self._look)


def _look_of(source: str) -> object:
    """What changes whenever a file of the configuration does."""
    try:
        found = [(str(file), file.stat()) for file in files_of(source)]
    except OSError:
        return None
    return [(name, s.st_ino, s.st_size, s.st_mtime_ns) for name, s in found]
