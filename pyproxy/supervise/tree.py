"""The children of a supervisor: started, watched, spoken to, and replaced when they die."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from pyproxy import log
from pyproxy.errors import StartError

from .channel import Channel, ChannelError, Kind, Message
from .children import Child, State, describe_exit, fork_child
from .reactor import READ, WRITE, Reactor, Timer


class TreeOwner(Protocol):
    """Whom the tree tells what happens."""

    def on_message(self, child: Child, message: Message) -> None:
        """A child said something. Descriptors that come with it are closed afterwards."""

    def on_exit(self, child: Child, pid: int, reason: str) -> None:
        """A child has ended; <reason> is what it said, or its exit status; empty for status 0."""

    def on_change(self) -> None:
        """The state of some child is another one."""

    def before_fork(self, child: Child) -> None:
        """A process for this place is about to be made."""

    def after_fork(self, child: Child) -> None:
        """There is a process for this place."""

    def close_inherited(self, child: Child) -> None:
        """In a new process: close what belongs to the supervisor and not to <child>."""


class Tree:
    """All children. `respawn` says whether those that end are started again."""

    def __init__(self, reactor: Reactor, owner: TreeOwner) -> None:
        self._reactor = reactor
        self._owner = owner
        self._log = log.get("supervisor")
        self._restarts: dict[Child, Timer] = {}
        self.children: list[Child] = []
        self.respawn = False

    def running(self) -> Iterator[Child]:
        """Those with a process."""
        return (child for child in self.children if child.running)

    # ---- processes

    def add(self, child: Child) -> None:
        """Make <child> a part of the tree and start it.

        Raises `OSError` or `StartError` when there can be no process, unless it would be started
        again anyway.
        """
        if child not in self.children:
            self.children.append(child)
        if child.lasting and self.respawn:
            self._restart(child)
            return
        try:
            self._start(child)
        except (OSError, StartError):
            self.children.remove(child)
            raise

    def remove(self, child: Child) -> None:
        """Forget a child that has no process, or will not be started again when it ends."""
        child.lasting = False
        self._cancel_restart(child)
        if not child.running and child in self.children:
            self.children.remove(child)

    def _start(self, child: Child) -> None:
        self._owner.before_fork(child)
        fork_child(child, self._reactor.clock(), lambda: self._close_inherited(child))
        self._watch(child)
        self._owner.after_fork(child)
        self._owner.on_change()

    def _close_inherited(self, child: Child) -> None:
        self._reactor.close()
        for other in self.children:
            if other.channel is not None:
                other.channel.close()
        self._owner.close_inherited(child)

    def kill(self, child: Child) -> None:
        """End it at once. Its number cannot belong to another process: it is not reaped yet."""
        if child.running:
            os.kill(child.pid, signal.SIGKILL)

    def kill_all(self) -> None:
        """End everything and wait for it."""
        self.stop_respawn()
        for child in self.children:
            self.kill(child)
        for child in self.running():
            os.waitpid(child.pid, 0)
            child.pid = 0

    def stop_respawn(self) -> None:
        """From now on a child that ends stays ended."""
        self.respawn = False
        for child in list(self._restarts):
            self._cancel_restart(child)

    def _cancel_restart(self, child: Child) -> None:
        timer = self._restarts.pop(child, None)
        if timer is not None:
            timer.cancel()

    def reap(self) -> None:
        """Collect the children that have ended."""
        for child in list(self.running()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._on_exit(child, status)

    def _on_exit(self, child: Child, status: int) -> None:
        channel, pid = child.channel, child.pid
        lived = self._reactor.clock() - child.started_at
        # From now on its number may be another process's.
        child.pid, child.state = 0, State.DOWN
        if channel is not None:
            # Its last words are still in the channel.
            self._receive(child, channel)
            self._reactor.unwatch(channel)
            channel.close()
        child.channel = None
        reason = child.error or (describe_exit(status) if status else "")
        if not child.lasting:
            self.children.remove(child)
        elif self.respawn:
            child.restarts += 1
            delay = 0.0 if child.drained else child.backoff.next_delay(lived)
            when = f"in {delay:g} s" if delay else "now"
            self._log.warning(
                f"{child.role} (pid {pid}) ended after {lived:.1f} s: "
                f"{reason or describe_exit(status)}; restarting {when}"
            )
            self._restart_in(child, delay)
        elif status and not child.drained:
            self._log.warning(f"{child.role} (pid {pid}): {reason}")
        self._owner.on_exit(child, pid, reason)
        self._owner.on_change()

    def _restart_in(self, child: Child, delay: float) -> None:
        self._restarts[child] = self._reactor.call_later(delay, lambda: self._restart(child))

    def _restart(self, child: Child) -> None:
        self._restarts.pop(child, None)
        try:
            self._start(child)
        except (OSError, StartError) as error:
            self._log.warning(f"{child.role} cannot be started: {error}; trying again")
            self._restart_in(child, child.backoff.next_delay(0.0))

    # ---- messages

    def send(
        self,
        child: Child,
        kind: Kind,
        body: dict[str, Any] | None = None,
        fds: Sequence[int] = (),
    ) -> None:
        """Say something to a child; one without a process does not hear it."""
        if child.channel is not None:
            child.channel.send(kind, body, fds)
            self._watch(child)

    def _watch(self, child: Child) -> None:
        """Make the reactor wait for what the child's channel needs next."""
        channel = child.channel
        if channel is None or channel.fileno() < 0:
            return
        if channel.closed:
            # Its end of file would be reported for ever; the death of the process comes by SIGCHLD.
            self._reactor.unwatch(channel)
            return
        events = READ | (WRITE if channel.wants_write else 0)
        self._reactor.watch(channel, events, lambda ready: self._on_channel(child, ready))

    def _on_channel(self, child: Child, events: int) -> None:
        channel = child.channel
        if channel is None:
            return
        if events & WRITE:
            channel.flush()
        if events & READ:
            self._receive(child, channel)
        self._watch(child)

    def _receive(self, child: Child, channel: Channel) -> None:
        try:
            messages = channel.receive()
        except ChannelError as error:
            self._log.error(
                f"{child.role} (pid {child.pid}) broke the channel's protocol ({error}): killed"
            )
            with contextlib.suppress(ProcessLookupError):
                self.kill(child)
            return
        for message in messages:
            try:
                self._owner.on_message(child, message)
            finally:
                message.close()
