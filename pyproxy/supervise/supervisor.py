"""The process tree: starts the children, replaces those that die, and turns signals into messages.

    SIGTERM          drain: accept no more, finish what is open, exit 0; a second one stops now
    SIGINT, SIGQUIT  stop now
    SIGUSR1          reopen the log files everywhere

Standard library only. After the start nothing that came from outside is parsed here: the supervisor
never accepts a connection, and it closes its listening sockets only when the service ends.
"""

from __future__ import annotations

import contextlib
import enum
import math
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

from pyproxy import log
from pyproxy.errors import StartError

from . import systemd
from .channel import Channel, ChannelError, Kind, Message
from .children import Child, State, describe_exit, fork_child

# Beyond the drain time, a child gets this long to say goodbye before it is killed.
_DRAIN_GRACE_SECONDS = 5.0
_STOP_SECONDS = 3.0


class Phase(enum.StrEnum):
    """What the tree as a whole is doing; it only moves forward."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPING = "stopping"


def _ignore(number: int, frame: FrameType | None) -> None:
    """Only there so that the signal number reaches the wake-up socket."""


class Supervisor:
    """Runs the children until the service ends. One use: make it, `run` it.

    `services` start before the workers (the demonstration origin), `control` after all workers are
    ready. `sockets` are all listening sockets of this process; each child keeps those in
    `child.keep`, and the rest is closed in it. `release` gives up the proxy's own listening sockets
    and files when the drain begins.
    """

    def __init__(
        self,
        *,
        workers: Sequence[Child],
        services: Sequence[Child] = (),
        control: Child | None = None,
        sockets: Sequence[socket.socket] = (),
        release: Callable[[], None] = lambda: None,
        prepare_logs: Callable[[], None] = lambda: None,
        on_ready: Callable[[], None] = lambda: None,
        on_restart: Callable[[], None] = lambda: None,
        drain_seconds: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workers = list(workers)
        self._services = list(services)
        self._control = control
        self._sockets = list(sockets)
        self._release = release
        self._prepare_logs = prepare_logs
        self._on_ready = on_ready
        self._on_restart = on_restart
        self._log = log.get("supervisor")
        self._drain_seconds = drain_seconds
        self._clock = clock
        self._phase = Phase.STARTING
        self._deadline: float | None = None
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()

    # ---- life

    def run(self) -> int:
        """Start everything and stay until the service has ended; returns the exit status.

        Raises `StartError` when a child cannot start; all others are gone by then.
        """
        self._watch_signals()
        try:
            for child in (*self._services, *self._workers):
                self._start(child)
            while self._phase is not Phase.STOPPING or any(c.running for c in self._all()):
                self._turn()
        except BaseException:
            self._kill_all()
            raise
        finally:
            self._unwatch_signals()
        return 0

    def _turn(self) -> None:
        """Wait for the next event or deadline, and handle all that has happened."""
        for key, events in self._selector.select(self._wait_seconds()):
            if key.data is None:
                self._on_wakeup()
            else:
                self._on_channel(key.data, events)
        self._reap()
        self._start_due()
        self._advance()

    def _all(self) -> Iterator[Child]:
        yield from self._workers
        yield from self._services
        if self._control:
            yield self._control

    def _wait_seconds(self) -> float | None:
        times = [c.restart_at for c in self._all() if c.restart_at is not None]
        if self._deadline is not None:
            times.append(self._deadline)
        return max(min(times) - self._clock(), 0.0) if times else None

    # ---- signals

    def _watch_signals(self) -> None:
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        self._old_handlers = {number: signal.signal(number, _ignore) for number in _ACTIONS}

    def _unwatch_signals(self) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    def _on_wakeup(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._wake_read.recv(4096):
                action = _ACTIONS.get(signal.Signals(number))
                if action is not None:
                    action(self)

    def _on_terminate(self) -> None:
        if self._phase is Phase.RUNNING:
            self._drain()
        else:
            self._stop()

    def _on_reopen(self) -> None:
        self._prepare_logs()
        for child in self._workers:
            self._send(child, Kind.REOPEN)
        self._log.info("log files reopened")

    def _on_unused_signal(self) -> None:
        self._log.warning(
            "SIGHUP and SIGUSR2 do nothing in this version: restart to apply a new configuration"
        )

    # ---- messages

    def _on_channel(self, child: Child, events: int) -> None:
        channel = child.channel
        if channel is None:
            return
        if events & selectors.EVENT_WRITE:
            channel.flush()
        if events & selectors.EVENT_READ:
            self._receive(child, channel)
        self._watch(child)

    def _receive(self, child: Child, channel: Channel) -> None:
        try:
            messages = channel.receive()
        except ChannelError as error:
            self._log.error(
                f"{child.role} (pid {child.pid}) broke the channel's protocol ({error}): killed"
            )
            self._kill(child)
            return
        for message in messages:
            self._on_message(child, message)

    def _on_message(self, child: Child, message: Message) -> None:
        if message.kind is Kind.READY:
            # A drain may have overtaken the start: then READY is old news.
            if child.state is State.STARTING:
                child.state = State.READY
                self._publish()
            if self._phase is Phase.STARTING and all(w.state is State.READY for w in self._workers):
                self._on_all_ready()
        elif message.kind is Kind.FAILED:
            child.error = str(message.body.get("error", ""))
        elif message.kind is Kind.DRAINED:
            child.drained = True
            aborted = message.body.get("aborted", 0)
            if aborted:
                self._log.warning(
                    f"{child.role}: {aborted} connections were still open when the drain time ended"
                )

    def _on_all_ready(self) -> None:
        self._phase = Phase.RUNNING
        self._on_ready()
        systemd.notify("READY=1")
        if self._control:
            self._start(self._control)

    def _send(self, child: Child, kind: Kind, body: dict[str, Any] | None = None) -> None:
        if child.channel is not None:
            child.channel.send(kind, body)
            self._watch(child)

    def _watch(self, child: Child) -> None:
        """Make the selector wait for what the child's channel needs next."""
        channel = child.channel
        if channel is None or channel.fileno() < 0:
            return
        if channel.closed:
            # Its end of file would be reported for ever; the death of the process comes by SIGCHLD.
            with contextlib.suppress(KeyError):
                self._selector.unregister(channel)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if channel.wants_write else 0)
        self._selector.modify(channel, events, child)

    def state(self) -> dict[str, Any]:
        """The tree as the control process is told about it."""
        return {
            "phase": self._phase.value,
            "pid": os.getpid(),
            "workers": [
                {"slot": w.slot, "pid": w.pid, "state": w.state.value, "restarts": w.restarts}
                for w in self._workers
            ],
        }

    def _publish(self) -> None:
        if self._control and self._control.running:
            self._send(self._control, Kind.STATE, self.state())

    # ---- children

    def _start(self, child: Child) -> None:
        fork_child(child, self._clock(), lambda: self._close_others(child))
        assert child.channel is not None
        self._selector.register(child.channel, selectors.EVENT_READ, child)
        if child is self._control:
            child.state = State.READY
        self._publish()

    def _close_others(self, child: Child) -> None:
        """In a new process: let go of everything that belongs to the supervisor or to a sibling."""
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()
        for other in self._all():
            if other.channel is not None:
                other.channel.close()
        kept = {id(sock) for sock in child.keep}
        for sock in self._sockets:
            if id(sock) not in kept:
                sock.close()

    def _reap(self) -> None:
        for child in self._all():
            if not child.running:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._on_exit(child, status)

    def _on_exit(self, child: Child, status: int) -> None:
        channel = child.channel
        if channel is not None:
            # Its last words are still in the channel.
            self._receive(child, channel)
            with contextlib.suppress(KeyError):
                self._selector.unregister(channel)
            channel.close()
        pid, lived = child.pid, self._clock() - child.started_at
        child.channel, child.pid, child.state = None, 0, State.DOWN
        reason = child.error or describe_exit(status)
        if self._phase is Phase.STARTING:
            raise StartError(f"{child.role} could not start: {reason}")
        if self._phase is Phase.RUNNING:
            child.restarts += 1
            if child in self._workers:
                self._on_restart()
            delay = 0.0 if child.drained else child.backoff.next_delay(lived)
            child.restart_at = self._clock() + delay
            when = f"in {delay:g} s" if delay else "now"
            self._log.warning(
                f"{child.role} (pid {pid}) ended after {lived:.1f} s: {reason}; restarting {when}"
            )
        elif status and not child.drained:
            self._log.warning(f"{child.role} (pid {pid}): {reason}")
        self._publish()

    def _start_due(self) -> None:
        if self._phase is not Phase.RUNNING:
            return
        now = self._clock()
        for child in self._all():
            if child.restart_at is not None and child.restart_at <= now:
                try:
                    self._start(child)
                except OSError as error:
                    child.restart_at = now + child.backoff.next_delay(0.0)
                    self._log.warning(f"{child.role} cannot be started: {error}; trying again")

    # ---- the end

    def _drain(self) -> None:
        self._phase = Phase.DRAINING
        limit = "no limit"
        if self._drain_seconds != math.inf:
            self._deadline = self._clock() + self._drain_seconds + _DRAIN_GRACE_SECONDS
            limit = f"up to {self._drain_seconds:g} s"
        systemd.notify("STOPPING=1")
        self._log.info("draining: no new connections, %s for the open ones", limit)
        # First our references: the workers still hold theirs, empty the accept queues and close
        # last, so what is refused after that was never accepted by the kernel.
        self._release()
        for child in self._workers:
            child.restart_at = None
            if child.running:
                child.state = State.DRAINING
                self._send(child, Kind.DRAIN, {"timeout": self._drain_seconds})
        self._publish()

    def _stop(self) -> None:
        if self._phase is Phase.STOPPING:
            return
        if self._phase is not Phase.DRAINING:
            systemd.notify("STOPPING=1")
        self._phase = Phase.STOPPING
        self._deadline = self._clock() + _STOP_SECONDS
        self._release()
        for child in self._all():
            child.restart_at = None
            self._send(child, Kind.STOP)

    def _advance(self) -> None:
        """Move on when the drain is complete or its time is over."""
        if self._phase is Phase.DRAINING and not any(w.running for w in self._workers):
            self._stop()
        if self._deadline is not None and self._clock() >= self._deadline:
            draining = self._phase is Phase.DRAINING
            late = [c for c in (self._workers if draining else self._all()) if c.running]
            self._deadline = None
            if draining:
                self._stop()
            for child in late:
                self._log.warning(f"{child.role} (pid {child.pid}) did not end in time: killed")
                self._kill(child)

    def _kill(self, child: Child) -> None:
        # Not reaped yet, so the number cannot belong to another process.
        if child.running:
            os.kill(child.pid, signal.SIGKILL)

    def _kill_all(self) -> None:
        for child in self._all():
            self._kill(child)
        for child in self._all():
            if child.running:
                os.waitpid(child.pid, 0)
                child.pid = 0


_ACTIONS: dict[signal.Signals, Callable[[Supervisor], None]] = {
    signal.SIGCHLD: lambda supervisor: None,
    signal.SIGTERM: Supervisor._on_terminate,
    signal.SIGINT: Supervisor._stop,
    signal.SIGQUIT: Supervisor._stop,
    signal.SIGHUP: Supervisor._on_unused_signal,
    signal.SIGUSR1: Supervisor._on_reopen,
    signal.SIGUSR2: Supervisor._on_unused_signal,
}
