"""Another configuration, in the same processes: no connection notices.

    read     a process of its own reads the file, resolves names and tries the filters
    open     sockets of new listeners are bound; the counters get new records
    prepare  every worker builds the new snapshot beside the one that it serves
    switch   when all have said that they can: each serves the new one from its next request on

Whatever fails before the switch changes nothing: the old configuration goes on, and the reason is
logged, counted, and told to whoever asked.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

from pyproxy import log
from pyproxy.config.model import Config
from pyproxy.errors import Fault, StartError

from . import blob, systemd
from .certificates import replace_certificates, warn_of_certificates
from .channel import Channel, Kind, Message
from .children import Child, State
from .control_child import begin_control
from .endpoints import Endpoints
from .loader import pass_on, read_again, read_files_again
from .reactor import Timer
from .rebind import Rebind
from .service import bind_points, slots_of

if TYPE_CHECKING:
    from .supervisor import Supervisor

# For reading and for preparing, each; beyond it something hangs.
_STEP_SECONDS = 60.0
# Fields that processes take when they start: a reload leaves them as they are.
_FIXED = ("user", "pid_file", "control_socket", "log", "admin", "watch", "shared_memory_bytes")


class Asker(Protocol):
    """Somebody who wants to know how it goes."""

    def say(self, text: str) -> None:
        """A line on the way."""

    def done(self, ok: bool, **more: Any) -> None:
        """The outcome."""


class _Step(enum.Enum):
    IDLE = enum.auto()
    READING = enum.auto()
    PREPARING = enum.auto()
    SWITCHING = enum.auto()


class _What(enum.Enum):
    """What is read."""

    ALL = enum.auto()
    DIFFERENCE = enum.auto()  # and then only told
    FILES = enum.auto()  # those that the configuration names, such as certificates
    GIVEN = enum.auto()  # nothing: it is given, with other endpoints


class Reload:
    """At most one reload runs; requests that come meanwhile are served by one more after it."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._up = supervisor
        self._log = log.get("supervisor")
        self._step = _Step.IDLE
        self._askers: list[Asker] = []
        self._next: list[Asker] = []
        self._again = False
        self._loader: Child | None = None
        self._what = _What.ALL
        self._memory = -1
        self._found: dict[str, Any] = {}
        self._config: Config | None = None
        self._given: Config | None = None
        self._rebind: Rebind | None = None
        self._waiting: set[Child] = set()
        self._timer: Timer | None = None
        self._number = 0

    # ---- asking for it

    def request(self, asker: Asker | None = None, *, only_diff: bool = False) -> None:
        """Read the configuration again, and serve it if it is right."""
        why_not = self.why_not()
        if why_not:
            self._log.warning(f"no reload: {why_not}")
            if asker:
                asker.done(False, error=why_not)
            return
        if self._step is not _Step.IDLE:
            if asker and only_diff:
                asker.done(False, error="a reload is in progress")
                return
            self._again = True
            self._next += [asker] if asker else []
            return
        self._askers = [asker] if asker else []
        self._what = _What.DIFFERENCE if only_diff else _What.ALL
        self._begin()

    def refresh(self, asker: Asker) -> None:
        """Read only the files that the configuration names; for use while none is `active`.

        What can be used of them is served. <asker> is told which sections have `changed`, and the
        `faults` of those that stay as they were.
        """
        self._askers = [asker]
        self._what = _What.FILES
        self._begin()

    def serve(self, config: Config, asker: Asker) -> None:
        """Serve <config>, which differs from what is served in endpoints alone; filters stay as
        they are. For use while none is `active`."""
        self._askers = [asker]
        self._what = _What.GIVEN
        self._given = config
        self._begin()

    def why_not(self) -> str:
        """What stands against reading the configuration again; empty: nothing."""
        up = self._up
        if up.phase != "running":
            return f"the service is {up.phase.value}"
        if not up.service.source:
            return "a program made the configuration, there is no file to read"
        if up.service.source == "-":
            return "the configuration was read from standard input"
        if up.upgrade.active:
            return "an upgrade is in progress"
        return ""

    @property
    def active(self) -> bool:
        """One is in progress."""
        return self._step is not _Step.IDLE

    # ---- the steps

    def _begin(self) -> None:
        self._step = _Step.READING
        if self._what is _What.ALL:
            systemd.notify_reloading()
        self._loader = Child(
            "the reading of the configuration", self._read, "pyproxy-load", lasting=False
        )
        if self._what is _What.ALL:
            self._up.watch.note()
        self._timer = self._up.reactor.call_later(_STEP_SECONDS, self._on_timeout)
        try:
            self._up.tree.add(self._loader)
        except (OSError, StartError) as error:
            self._loader = None
            self._fail(f"no process for reading it: {error}")

    def _read(self, channel: Channel) -> int:
        """What the loader does."""
        service = self._up.service
        if self._what is _What.FILES:
            return read_files_again(channel, service.config)
        if self._given is not None:
            return pass_on(channel, self._given)
        return read_again(
            channel,
            service.source,
            service.config,
            service.demo_address,
            service.identity,
            service.bind_filters,
            only_diff=self._what is _What.DIFFERENCE,
        )

    def on_message(self, child: Child, message: Message) -> None:
        """A loader or worker said something that may be about this."""
        self._guarded(lambda: self._on_message(child, message))

    def on_exit(self, child: Child, reason: str) -> None:
        """Some process has ended."""
        self._guarded(lambda: self._on_exit(child, reason))

    def _guarded(self, step: Callable[[], None]) -> None:
        """Give the reload up when the machine has no more to give; the service goes on."""
        try:
            step()
        except (OSError, StartError, ValueError) as error:
            self._fail(str(error))

    def _on_message(self, child: Child, message: Message) -> None:
        if child is self._loader:
            if message.kind is Kind.FAILED:
                self._fail(message.body.get("error", ""), message.body.get("faults", ()))
            elif message.kind is Kind.LOADED and not message.fds:
                self._finish(True, **message.body)
            elif message.kind is Kind.LOADED:
                self._found = message.body
                self._memory = os.dup(message.fds[0])
        elif child in self._waiting and message.body.get("id") == self._number:
            if message.kind is Kind.REFUSED:
                self._fail(f"{child.role}: {message.body['error']}")
            elif message.kind is Kind.PREPARED and self._step is _Step.PREPARING:
                self._heard_from(child, self._switch)
            elif message.kind is Kind.SWITCHED:
                self._heard_from(child, self._switched)

    def on_forked(self, child: Child) -> None:
        """A worker that is started while the others prepare has the old configuration as well."""
        if self._step is _Step.PREPARING and child in self._up.workers:
            self._waiting.add(child)
            self._ask_to_prepare(child)

    def _ask_to_prepare(self, child: Child) -> None:
        same = self._what is _What.GIVEN
        body = {"id": self._number, "same_filters": same}
        self._up.tree.send(child, Kind.PREPARE, body, [self._memory])

    def _heard_from(self, child: Child, then: Callable[[], None]) -> None:
        self._waiting.discard(child)
        if not self._waiting:
            then()

    def _on_exit(self, child: Child, reason: str) -> None:
        if child is self._loader:
            self._loader = None
            if self._step is _Step.READING and self._memory >= 0 and not reason:
                if self._found.get("part"):
                    replace_certificates(self._up, self._memory)
                    self._finish(True, **self._found)
                else:
                    self._prepare()
            elif self._step is _Step.READING:
                self._fail(f"the process that reads it ended: {reason or 'without a result'}")
        elif child in self._waiting:
            if self._step is _Step.SWITCHING:
                # Whoever comes in its place has the new configuration from the start.
                self._heard_from(child, self._switched)
            else:
                self._fail(f"{child.role} ended: {reason or 'nobody knows why'}")

    def _on_timeout(self) -> None:
        if self._step is _Step.SWITCHING:
            late = ", ".join(child.role for child in self._waiting)
            self._log.error(f"{late}: no answer to the new configuration: killed")
            for child in self._waiting:
                self._up.tree.kill(child)
            return
        who = ", ".join(child.role for child in self._waiting) or "the reading of it"
        self._fail(f"{who} did not end within {_STEP_SECONDS:g} s")

    def _prepare(self) -> None:
        up = self._up
        try:
            self._config = config = blob.unpack(self._memory)
            up.service.prepare_logs(config)
            points, say = bind_points(config), self._log.warning
            self._rebind = Rebind(up.service.table, points, slots_of(config), say)
            up.service.counters.add(config)
            Endpoints(up.service.counters.segment).forget(up.service.config, config)
        except (StartError, OSError) as error:
            self._fail(str(error))
            return
        self._number += 1
        self._step = _Step.PREPARING
        self._restart_clock()
        self._waiting = {child for child in up.workers if child.running}
        for child in self._waiting:
            self._ask_to_prepare(child)

    def _restart_clock(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._up.reactor.call_later(_STEP_SECONDS, self._on_timeout)

    def _switch(self) -> None:
        up, config, rebind = self._up, self._config, self._rebind
        assert config is not None
        assert rebind is not None
        self._step = _Step.SWITCHING
        self._restart_clock()
        service = up.service
        if self._is_internal:
            service.config = config
        else:
            kept = [
                name for name in _FIXED if getattr(service.config, name) != getattr(config, name)
            ]
            self._tell_fixed(kept)
            service.adopt(config, kept)
        rebind.apply(self._log.warning)
        self._waiting = {child for child in up.workers if child.state is State.READY}
        for child in self._waiting:
            up.tree.send(child, Kind.SWITCH, {"id": self._number})
        if up.control is not None:
            up.tree.send(
                up.control, Kind.CONFIG, {"listeners": up.service.listener_rows()}, [self._memory]
            )
        begin_control(up)
        # Each worker hears this after the switch, so it knows the listeners by then.
        up.assignment.resize(slots_of(config))
        up.assignment.retire(rebind.removed)
        systemd.store_sockets(service.table.to_store())
        systemd.remove_sockets(rebind.names_removed)
        if not self._waiting:
            self._switched()

    def _tell_fixed(self, kept: Iterable[str]) -> None:
        for name in kept:
            field = name.removesuffix("_bytes")
            text = f"`{field}` has changed; that takes effect with `pyproxy upgrade`"
            self._log.warning(text)
            self._say(text)

    def _switched(self) -> None:
        service = self._up.service
        if self._is_internal:
            self._finish(True, **self._found)
            return
        self._up.watch.note_modules(self._found.get("modules", ()))
        service.counters.set("config_generation", service.revision)
        self._log.info("configuration %d is served: %s", service.revision, service.source)
        warn_of_certificates(service.config, self._log.warning)
        self._finish(True, revision=service.revision)

    # ---- the outcome

    @property
    def _is_internal(self) -> bool:
        """The configuration's own files were not read again: it is the same revision."""
        return self._what in (_What.FILES, _What.GIVEN)

    def _say(self, text: str) -> None:
        for asker in self._askers:
            asker.say(text)

    def _fail(self, error: str, faults: Iterable[Any] = ()) -> None:
        if not self._is_internal:  # whoever asked for that knows what it means
            texts = [str(Fault(*fault)) for fault in faults] or [error]
            self._log.error("the configuration stays as it was:\n  %s", "\n  ".join(texts))
        for child in self._waiting:
            self._up.tree.send(child, Kind.ABANDON)
        if self._rebind is not None:
            self._rebind.abandon()
        self._finish(False, error=error, faults=[list(fault) for fault in faults])

    def _finish(self, ok: bool, **more: Any) -> None:
        if self._what is _What.ALL:
            counters = self._up.service.counters
            counters.count("config_reloads_total" if ok else "config_reload_failures_total")
            counters.set("config_last_reload_successful", int(ok))
            systemd.notify_ready()
        self._clear()
        askers, self._askers = self._askers, []
        for asker in askers:
            asker.done(ok, **more)
        self._up.on_change()
        self._up.discovery.look()
        if self._again:
            self._again = False
            self._askers, self._next = self._next, []
            self._what = _What.ALL
            self._begin()

    def _clear(self) -> None:
        self._step = _Step.IDLE
        if self._timer is not None:
            self._timer.cancel()
        if self._loader is not None:
            loader, self._loader = self._loader, None
            self._up.tree.kill(loader)
        if self._memory >= 0:
            os.close(self._memory)
        self._memory = -1
        self._config = self._rebind = self._given = None
        self._found = {}
        self._waiting = set()

    def close_inherited(self) -> None:
        """In a forked child."""
        if self._memory >= 0:
            os.close(self._memory)
        if self._rebind is not None:
            self._rebind.close_inherited()

    def cancel(self) -> None:
        """Give up what has not been switched yet; the service is ending."""
        self._again = False
        if self._step in (_Step.READING, _Step.PREPARING):
            self._fail("the service is ending")
