"""The life of one generation: starts its processes, serves, and ends; signals become calls here.

    SIGTERM          drain: accept no more, finish what is open, exit 0; a second one stops now
    SIGINT, SIGQUIT  stop now
    SIGHUP           read the configuration again, and serve it if it is right
    SIGUSR1          reopen the log files everywhere
    SIGUSR2          start the program again, which takes over when it is ready

Standard library only. After the start nothing that came from outside is parsed here: the supervisor
never accepts a client's connection, and it closes a listening socket only when nobody can be
waiting in it.

      STARTING -> RUNNING -> [DELAYING] -> DRAINING -> STOPPING
"""

from __future__ import annotations

import enum
import gc
import math
import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyproxy import log
from pyproxy.errors import StartError

from . import pidfile, systemd
from .announce import announce, describe
from .assignment import Assignment
from .certificates import CertificateWatch
from .channel import Kind, Message
from .children import Child, State
from .config_watch import ConfigWatch
from .control_child import begin_control
from .control_socket import ControlSocket
from .discovery import Discovery
from .drain import DrainLimits
from .generations import Generations
from .reactor import Reactor, Timer
from .reload import Reload
from .service import Service
from .tickets import Tickets
from .tree import Tree
from .upgrade import Upgrade

if TYPE_CHECKING:
    from .init_link import InitLink
    from .takeover import Takeover

_STOP_SECONDS = 3.0


class Phase(enum.StrEnum):
    """What the generation as a whole is doing; it only moves forward."""

    STARTING = "starting"
    RUNNING = "running"
    DELAYING = "leaving"
    DRAINING = "draining"
    STOPPING = "stopping"


class Supervisor:
    """Runs the children until the service ends. One use: make it, `run` it."""

    def __init__(
        self,
        service: Service,
        takeover: Takeover | None = None,
        init_link: InitLink | None = None,
        before_fork: Callable[[], None] = lambda: None,
    ) -> None:
        self.service = service
        self.reactor = Reactor()
        self.tree = Tree(self.reactor, self)
        self.phase = Phase.STARTING
        self.workers = [service.worker(slot) for slot in range(service.slots)]
        self.control: Child | None = None
        self.assignment = Assignment(self)
        self.generations = Generations(self)
        self.reload = Reload(self)
        self.watch = ConfigWatch(self)
        self.upgrade = Upgrade(self)
        self.certificates = CertificateWatch(self)
        self.tickets = Tickets(self)
        self.discovery = Discovery(self)
        self.control_socket = ControlSocket(self)
        # The next generation, once it has taken over: this one only has to end then.
        self.succeeded = False
        self._all_ready = False
        self._told_to_end = False
        # This one has been the service.
        self.served = False
        self.init_link = init_link
        self._takeover = takeover
        self._before_fork = before_fork
        self._deadline: Timer | None = None
        self._log = log.get("supervisor")

    # ---- life

    def run(self) -> int:
        """Start everything and stay until the service has ended; returns the exit status.

        Raises `StartError` when a child cannot start; all others are gone by then.
        """
        self.reactor.watch_signals(
            {
                signal.SIGCHLD: lambda: None,
                signal.SIGTERM: self._on_terminate,
                signal.SIGINT: self.stop,
                signal.SIGQUIT: self.stop,
                signal.SIGHUP: self.reload.request,
                signal.SIGUSR1: self._on_reopen,
                signal.SIGUSR2: self.upgrade.request,
            }
        )
        if self._takeover is not None:
            self._takeover.watch(self)
        self.tickets.prepare(self._takeover.tickets if self._takeover else None)
        # What exists now is shared with the children page by page; the collector must not touch it
        # there. It does not even tidy up first: holes would be filled, and their pages copied.
        gc.freeze()
        self._before_fork()
        try:
            demo = self.service.demo_child()
            for child in ([demo] if demo else []) + self.workers:
                self.tree.add(child)
            while self.phase is not Phase.STOPPING or any(self.tree.running()):
                self.reactor.turn()
                self.tree.reap()
                self.upgrade.reap()
                self._advance()
            if self.init_link is not None:
                self.init_link.say_end(0)
        except BaseException:
            self.tree.kill_all()
            raise
        finally:
            if self.served:
                self.control_socket.close()
            else:  # it is an older generation's
                self.control_socket.leave()
            self.generations.close()
            self.reactor.unwatch_signals()
            self.reactor.close()
        return 0

    def _on_all_ready(self) -> None:
        """Every worker can serve. In an upgrade this is the moment to take over."""
        if self._takeover is not None:
            self._takeover.commit(self)
        else:
            self.begin_serving()

    def begin_serving(self) -> None:
        """The workers accept: from now on this is the service."""
        self.served = self._takeover is None
        # What can fail comes first: once the workers accept, they have something to lose.
        self.write_pid_file()
        if self.init_link is not None:
            self.init_link.become_main()
        self.phase = Phase.RUNNING
        self.tree.respawn = True
        self.service.accepting = True
        self.assignment.settle()
        self.control_socket.open(self._takeover.control if self._takeover else None)
        self.service.counters.set("generation", self.service.generation)
        announce(self.service)
        systemd.store_sockets(self.service.table.to_store())
        systemd.notify_ready()
        if self._takeover is not None and self.init_link is None:
            # Whoever looks after the service must know its main process before the old one ends.
            systemd.notify_main_pid(os.getpid())
            systemd.barrier()
        begin_control(self)
        self.watch.begin()
        self.certificates.begin()
        self.tickets.begin()
        self.on_change()

    def write_pid_file(self) -> None:
        """Say in the file, if there is to be one, that this is the service. Raises `StartError`."""
        if self.service.pid_file is not None:
            pidfile.write(self.service.pid_file)

    def _on_reopen(self) -> None:
        try:
            self.service.prepare_logs()
        except StartError as error:
            self._log.error(str(error))
        self.reopen_logs()
        self._log.info("log files reopened")

    def reopen_logs(self) -> None:
        """Everybody who writes to the log files opens them anew, in older generations too."""
        for child in (c for c in self.tree.children if c.slot >= 0):
            self.tree.send(child, Kind.REOPEN)
        self.generations.reopen_logs()

    # ---- what the tree tells

    def before_fork(self, child: Child) -> None:
        """Give a worker's place what its process will hold."""
        if child.slot >= 0:
            if child.column < 0:
                child.column = self.service.counters.take_column()
            self.assignment.forked(child)

    def after_fork(self, child: Child) -> None:
        """Tell a worker what the others have been told already."""
        self.reload.on_forked(child)

    def close_inherited(self, child: Child) -> None:
        """In a new process: let go of what belongs to the supervisor or to a sibling."""
        if self.init_link is not None:
            self.init_link.close()
        self.control_socket.close_inherited()
        self.generations.close_inherited()
        self.upgrade.close_inherited()
        self.reload.close_inherited()
        if self._takeover is not None:
            self._takeover.close_inherited()
        kept = {id(sock) for sock in child.keep()}
        service = self.service
        for sock in (*service.all_sockets(), *service.arrivals.values()):
            if id(sock) not in kept:
                sock.close()

    def on_message(self, child: Child, message: Message) -> None:
        """A child said something."""
        if message.kind is Kind.READY:
            # A drain may have overtaken the start: then READY is old news.
            if child.running and child.state is State.STARTING:
                child.state = State.READY
                if child in self.workers:
                    self.assignment.on_ready(child)
                self.on_change()
            if not self._all_ready and all(w.state is State.READY for w in self.workers):
                self._all_ready = True
                self._on_all_ready()
        elif message.kind is Kind.FAILED:
            child.error = str(message.body.get("error", ""))
            self.reload.on_message(child, message)
        elif message.kind is Kind.DRAINED:
            child.drained = True
            if aborted := message.body.get("aborted", 0):
                self._log.warning(
                    f"{child.role}: {aborted} connections were still open when the drain time ended"
                )
        elif message.kind is Kind.LEAVING:
            self.assignment.replace(child)
        elif message.kind is Kind.PROGRESS:
            child.progress = message.body
            self.on_change()
        elif message.kind is Kind.FOUND:
            self.discovery.on_found(message.body)
        elif message.kind is Kind.UNLISTENED:
            self.assignment.on_unlistened(child, message.body["ids"])
        else:
            self.reload.on_message(child, message)

    def on_exit(self, child: Child, pid: int, reason: str) -> None:
        """A child has ended."""
        if self.phase is Phase.STARTING and child.lasting:
            raise StartError(f"{child.role} could not start: {reason or 'it ended'}")
        if child.slot >= 0:
            self.assignment.on_exit(child)
            if child.lasting and self.tree.respawn:
                self.service.counters.count("worker_restarts_total")
        self.reload.on_exit(child, reason)

    def on_change(self) -> None:
        """Tell those who show the tree."""
        if self.control is not None and self.control.running:
            self.tree.send(self.control, Kind.STATE, self.state())
        self.generations.tell()

    def state(self) -> dict[str, Any]:
        """The tree as the control process, the next generation and `pyproxy status` see it."""
        return describe(self.service, self.tree, self.phase.value)

    def passed_fds(self) -> list[int]:
        """Descriptors that a successor inherits under the same numbers."""
        return [] if self.init_link is None else [self.init_link.fileno()]

    # ---- the end

    def _on_terminate(self) -> None:
        if self.phase is Phase.RUNNING:
            self.leave()
        elif self.succeeded and not self._told_to_end:
            # Who ends a service signals all of its processes, perhaps: this one is ending already.
            self._told_to_end = True
        else:
            self.stop()

    def leave(self) -> None:
        """Begin the end: balancers hear of it first, if they are given time."""
        delay = self.service.config.drain.delay_ms / 1000
        self.reload.cancel()
        self.upgrade.cancel("the service is being stopped")
        systemd.notify("STOPPING=1")
        if delay:
            self.phase = Phase.DELAYING
            self._log.info("leaving: /ready says no, accepting goes on for %g s", delay)
            self.reactor.call_later(delay, self._drain_all)
            self.on_change()
        else:
            self._drain_all()

    def _drain_all(self) -> None:
        if self.phase not in (Phase.RUNNING, Phase.DELAYING):
            return
        # First our references: the workers still hold theirs, empty the accept queues and close
        # last, so what is refused after that was never accepted by the kernel.
        self.service.release()
        self.drain()

    def succeed(self) -> None:
        """The next generation has taken over: end, without a trace that it does not want."""
        self.succeeded = True
        self.reload.cancel()
        self.control_socket.leave()
        self.service.close(files=False)
        if self.control is not None:
            self.tree.remove(self.control)
            self.tree.send(self.control, Kind.STOP)
        self.drain()

    def drain(self) -> None:
        """Let the workers finish what they have."""
        self.phase = Phase.DRAINING
        self.tree.stop_respawn()
        service = self.service
        if service.drain_limit != math.inf:
            self._deadline = self.reactor.call_later(service.drain_limit, self._on_deadline)
        limit = service.drain_seconds
        self._log.info(
            "draining: no new connections, %s for the open ones",
            "no limit" if limit == math.inf else f"up to {limit:g} s",
        )
        for child in self.tree.children:
            if child.slot >= 0:
                self.drain_worker(child)
        self.on_change()

    def drain_worker(self, child: Child) -> None:
        """Let one worker finish what it has; it is not started again."""
        child.lasting = False
        if not child.running:
            self.tree.remove(child)
            return
        child.state = State.DRAINING
        limits = DrainLimits.of(self.service.config.drain)
        self.tree.send(child, Kind.DRAIN, limits._asdict())
        self.assignment.left(child)

    def stop(self) -> None:
        """End now."""
        if self.phase is Phase.STOPPING:
            return
        # Not when a service manager looks after another generation.
        starting = self.phase is Phase.STARTING and self._takeover is None
        if starting or (self.phase is Phase.RUNNING and not self.succeeded):
            systemd.notify("STOPPING=1")
        self.phase = Phase.STOPPING
        self.tree.stop_respawn()
        self.reload.cancel()
        self.upgrade.cancel("the service is being stopped")
        self.generations.end_all()
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = self.reactor.call_later(_STOP_SECONDS, self._on_deadline)
        self.service.release(files=not self.succeeded, inherited=self.served)
        for child in self.tree.children:
            self.tree.send(child, Kind.STOP)

    def _on_deadline(self) -> None:
        """Some children did not end in time."""
        draining = self.phase is Phase.DRAINING
        late = [c for c in self.tree.running() if c.slot >= 0 or not draining]
        if draining:
            self.stop()
        for child in late:
            self._log.warning(f"{child.role} (pid {child.pid}) did not end in time: killed")
            self.tree.kill(child)

    def _advance(self) -> None:
        """Move on when the drain is complete, older generations included."""
        if (
            self.phase is Phase.DRAINING
            and not any(child.slot >= 0 for child in self.tree.running())
            and not (self.generations.older and not self.succeeded)
        ):
            self.stop()
