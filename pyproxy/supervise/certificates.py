"""Certificates that change on disk are served within a second, to new handshakes alone.

Every file that was read beside the configuration is looked at four times a second: its inode, size
and time, wherever links lead. That works for files that are written again, renamed into place, or
swapped by a link above them as Kubernetes does, and on every file system. What has changed is read
by a process of its own (`Reload.refresh`), which leaves the configuration's own files alone.

Workers get the certificates of listeners without a new snapshot: filters keep what they know, and
connections to endpoints stay. What has changed towards endpoints goes the way of a reload.

A certificate and its key cannot be replaced at the same moment. So what does not fit is only waited
for at first: every further change is tried at once, and when no more come, what is wrong is told
and counted. Until then, and afterwards, the pair from before is served.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from pyproxy import log
from pyproxy.config.model import Config
from pyproxy.errors import Fault
from pyproxy.tls.held import certificates_of, days_left, remarks_of, title_of, with_part
from pyproxy.tls.look import look_of

from . import blob
from .channel import Kind

if TYPE_CHECKING:
    from pyproxy.config.sections_tls import FileLook

    from .supervisor import Supervisor

_LOOK_SECONDS = 0.25
# After the last change, for the other half of a pair.
_PATIENCE_SECONDS = 2.0
# After the first one; somebody who never stops to write must not keep it quiet.
_LONGEST_SECONDS = 10.0


class CertificateWatch:
    """Looks, has the files read again, and tells the outcome."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._up = supervisor
        self._log = log.get("supervisor")
        # Those of which <_seen> knows how they were when they were last read.
        self._files: tuple[FileLook, ...] = ()
        self._seen: dict[str, FileLook] = {}
        self._first_change = self._last_change = 0.0
        # Something does not fit (yet).
        self._pending = False
        self._last_try = False
        # What was refused and is still there, for `pyproxy status`.
        self.refused: list[str] = []

    def begin(self) -> None:
        """Look from now on, as long as the service runs."""
        self._up.reactor.call_later(_LOOK_SECONDS, self._look)

    def _look(self) -> None:
        up = self._up
        if up.phase != "running":
            return
        up.reactor.call_later(_LOOK_SECONDS, self._look)
        if up.service.config.files is not self._files:
            self._adopt(up.service.config.files)
        # Both end with what is then on disk, or leave everything as it is.
        if not self._seen or up.reload.active or up.upgrade.active:
            return
        now = up.reactor.clock()
        changed = [look for path in self._seen if (look := look_of(path)) != self._seen[path]]
        if changed:
            # Before they are read: whatever happens from now on is another change.
            self._seen.update((look.path, look) for look in changed)
            self._last_change = now
            if not self._pending:
                self._first_change = now
        elif not self._pending:
            return
        patient = now < self._last_change + _PATIENCE_SECONDS
        self._last_try = not patient or now > self._first_change + _LONGEST_SECONDS
        if changed or self._last_try:
            self._pending = True
            up.reload.refresh(self)

    def _adopt(self, files: tuple[FileLook, ...]) -> None:
        self._files = files
        self._seen = {look.path: look for look in files}

    # ---- what the reload answers

    def say(self, text: str) -> None:
        """A line on the way."""

    def done(self, ok: bool, **more: Any) -> None:
        """The files were read, and what is good of them is served."""
        config, counters = self._up.service.config, self._up.service.counters
        changed: Sequence[str] = more.get("changed", ())
        if changed:
            counters.count("certificate_reloads_total")
            for held in certificates_of(config):
                if held.path in changed:
                    left = days_left(held.facts, time.time())
                    title = title_of(held.facts)
                    self._log.info('%s: the certificate "%s" is new: %s', held.path, title, left)
            warn_of_certificates(config, self._log.warning, changed)
        refused = [str(Fault(*fault)) for fault in more.get("faults", ())]
        if not ok and not refused:
            refused = [more["error"]]
        if refused and not self._last_try:
            return
        self._pending = False
        self.refused = refused
        if refused:
            counters.count("certificate_reload_failures_total")
            told = "\n  ".join(refused)
            self._log.error(f"refused, so what was served before goes on:\n  {told}")


def replace_certificates(supervisor: Supervisor, memory: int) -> None:
    """Have all processes take the new certificates of some listeners: <memory> is their part.

    Routes, filters and the connections to endpoints stay as they are. Whoever is started later has
    them from the start.
    """
    service = supervisor.service
    service.config = with_part(service.config, blob.unpack(memory))
    for child in supervisor.workers:
        supervisor.tree.send(child, Kind.CERTIFICATES, fds=[memory])
    if supervisor.control is not None:
        supervisor.tree.send(supervisor.control, Kind.CERTIFICATES, fds=[memory])


def warn_of_certificates(
    config: Config, say: Callable[[str], None], paths: Sequence[str] | None = None
) -> None:
    """Tell what is wrong with certificates that are served all the same; those at <paths>."""
    for held in certificates_of(config):
        if paths is None or held.path in paths:
            for remark in remarks_of(held, time.time()):
                say(f"{held.path}: {remark}")
