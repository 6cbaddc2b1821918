"""What sources of endpoints have found becomes what is served.

The control process watches the sources (control/discovery) and tells every change. Here changes are
put together, at most once a second, and served by a reload that reads no file: workers build a
snapshot with the new endpoints beside the one that they serve, all of them or none switches, and
connections to endpoints that stay are kept.

What was told is kept too: a reload of the files may have carried an older picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyproxy import log
from pyproxy.config.found import differing, from_rows, with_found
from pyproxy.config.sections_balance import Endpoint

from .children import State
from .reactor import Timer

if TYPE_CHECKING:
    from .supervisor import Supervisor

# Between two switches, whatever the sources say.
_PAUSE_SECONDS = 1.0
# While something else is in progress.
_WAIT_SECONDS = 0.1
# After a switch that failed.
_RETRY_SECONDS = 10.0


class Discovery:
    """The endpoints that were told, and their way into the workers."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._up = supervisor
        self._log = log.get("supervisor")
        # By upstream: the key of the section that they were found by, and the endpoints.
        self._told: dict[str, tuple[str, tuple[Endpoint, ...]]] = {}
        self._said: dict[str, dict[str, Any]] = {}
        self._timer: Timer | None = None
        self._quiet_until = 0.0

    def on_found(self, body: dict[str, Any]) -> None:
        """The control process has found something, or nothing."""
        name, rows = str(body["upstream"]), body["endpoints"]
        self._said[name] = body
        if rows is None:
            return
        try:
            self._told[name] = str(body["key"]), from_rows(rows)
        except ValueError as error:
            self._log.error(f"upstream {name}: what was found cannot be used: {error}")
            return
        self._later(0.0)

    def look(self) -> None:
        """Another configuration is served, perhaps with an older picture, or with sources for the
        first time."""
        up = self._up
        if up.phase == "running" and up.control is None:
            up.control = up.service.control_child()
            if up.control is not None:
                up.tree.add(up.control)
                up.control.state = State.READY
        if self._pending():
            self._later(0.0)

    def rows(self) -> dict[str, dict[str, Any]]:
        """For `pyproxy upstream`: what the source of each upstream has said last."""
        rows = {}
        for name, upstream in self._up.service.config.upstreams.items():
            if upstream.discover is None:
                continue
            said = self._said.get(name, {})
            fits = said.get("key") == upstream.discover.key
            rows[name] = {
                "source": upstream.discover.title,
                "error": said["error"] if fits else "",
                "last_change": said["changed"] or None if fits else None,
            }
        return rows

    def _pending(self) -> dict[str, Sequence[Endpoint]]:
        """What is not served as it was told."""
        config = self._up.service.config
        told = {}
        for name, (key, endpoints) in self._told.items():
            upstream = config.upstreams.get(name)
            if upstream and upstream.discover and upstream.discover.key == key:
                told[name] = endpoints
        return differing(config, told)

    def _later(self, seconds: float) -> None:
        if self._timer is None:
            reactor = self._up.reactor
            wait = max(seconds, self._quiet_until - reactor.clock())
            self._timer = reactor.call_later(wait, self._switch)

    def _switch(self) -> None:
        self._timer = None
        up = self._up
        if up.phase != "running":
            return
        if up.reload.active or up.upgrade.active:
            self._later(_WAIT_SECONDS)
            return
        changed = self._pending()
        if not changed:
            return
        self._quiet_until = up.reactor.clock() + _PAUSE_SECONDS
        up.reload.serve(with_found(up.service.config, changed), _Switch(self, changed))

    def on_switched(self, ok: bool, changed: dict[str, Sequence[Endpoint]], error: str) -> None:
        """The workers serve them, or cannot."""
        if not ok:
            self._log.error(f"endpoints stay as they were: {error}")
            self._later(_RETRY_SECONDS)
            return
        for name, endpoints in changed.items():
            self._log.info("upstream %s: %d endpoints were found", name, len(endpoints))


class _Switch:
    """Hears how it went."""

    def __init__(self, owner: Discovery, changed: dict[str, Sequence[Endpoint]]) -> None:
        self._owner = owner
        self._changed = changed

    def say(self, text: str) -> None:
        """A line on the way."""

    def done(self, ok: bool, **more: Any) -> None:
        """The outcome."""
        self._owner.on_switched(ok, self._changed, str(more.get("error", "")))
