"""The old side of a hot upgrade: offer what we hold, serve on, and drain only when the new program
says that it is ready.

    request  start the program again (or answer one that somebody else has started)
    offer    MANIFEST, every socket, MANIFEST_END; it loads, checks, and starts its workers
    COMMIT   all of them are ready: it begins to accept, beside this generation
    TAKEN    it serves, and all who must know do: from now on this generation drains

Everything that goes wrong before TAKEN leaves this generation serving: the new program ends,
crashes or hangs; its configuration has faults; a second upgrade is asked for meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from pyproxy import log
from pyproxy._version import __version__
from pyproxy.errors import StartError

from .channel import MAX_FDS, Channel, ChannelError, Kind, Message
from .control_socket import PROTOCOL, Caller
from .reactor import READ, WRITE, Timer
from .reload import Asker

if TYPE_CHECKING:
    from .supervisor import Supervisor

# Which descriptor is the link, and which the real standard error.
LINK_VARIABLE = "PYPROXY_UPGRADE_FD"
_LAST_WORDS_BYTES = 2000
# What the workers of a program that has failed need to end.
_ORPHAN_SECONDS = 5.0
# Between COMMIT and TAKEN: to tell the workers, and a service manager.
_BEGIN_SECONDS = 30.0


class Upgrade:
    """At most one upgrade is in progress."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._up = supervisor
        self._log = log.get("supervisor")
        self._asker: Asker | None = None
        self._link: Channel | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._words: int = -1
        self._timer: Timer | None = None
        self._began = 0.0
        # What the new program has said of itself, and where its workers take connections.
        self._newcomer: dict[str, Any] = {}
        self._departures: list[int] = []
        self._ended: list[subprocess.Popen[bytes]] = []

    @property
    def active(self) -> bool:
        """One is in progress."""
        return self._link is not None

    # ---- beginning

    def _why_not(self) -> str:
        up = self._up
        if up.succeeded or up.phase != "running":
            return f"the service is {up.phase.value}"
        if self.active:
            who = f" (pid {self._process.pid})" if self._process else ""
            return f"another upgrade is in progress{who}"
        if up.reload.active:
            return "a reload is in progress; try again in a moment"
        return ""

    def request(self, asker: Asker | None = None, program: list[str] | None = None) -> None:
        """Start the program again, or <program> with the same arguments, and let it take over."""
        why_not = self._why_not()
        if why_not:
            self._log.warning(f"no upgrade: {why_not}")
            if asker:
                asker.done(False, error=why_not)
            return
        words = command_line(program)
        try:
            ours = self._start(words)
        except OSError as error:
            self._close_words()
            self._refuse(asker, f"{words[0]} cannot be started: {error.strerror}")
            return
        assert self._process is not None
        self._log.info(f"upgrade: pid {self._process.pid} runs {' '.join(words)}")
        self._begin(Channel(ours), asker)

    def _start(self, words: list[str]) -> socket.socket:
        """Start the new program; returns our end of the link. Raises `OSError`."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._words = os.memfd_create("pyproxy-upgrade", os.MFD_CLOEXEC)
                self._process = self._spawn(words, theirs.fileno())
        except OSError:
            ours.close()
            raise
        return ours

    def _spawn(self, words: list[str], link: int) -> subprocess.Popen[bytes]:
        """What the program says before it can talk to us is kept for the error message."""
        real = os.dup(2)
        try:
            environment = {**os.environ, LINK_VARIABLE: f"{link}:{real}"}
            return subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stderr=self._words,
                env=environment,
                pass_fds=[link, real, *self._up.passed_fds()],
            )
        finally:
            os.close(real)

    def _refuse(self, asker: Asker | None, why: str) -> None:
        self._log.error(f"no upgrade: {why}")
        self._up.service.counters.count("upgrade_failures_total")
        if asker:
            asker.done(False, error=why)

    def answer(self, caller: Caller, hello: dict[str, Any]) -> None:
        """A program that somebody has started by hand wants to take over, as it says in <hello>."""
        why_not = self._why_not()
        if why_not:
            caller.done(False, error=why_not)
            return
        self._log.info("upgrade: a new program has called")
        self._begin(self._up.control_socket.detach(caller), None)
        self._offer(hello)

    def _begin(self, link: Channel, asker: Asker | None) -> None:
        self._link = link
        self._asker = asker
        self._began = time.monotonic()
        self._watch()
        limit = self._up.service.config.upgrade_timeout_ms / 1000
        self._set_deadline(limit, "the new program was not ready")

    def _set_deadline(self, seconds: float, what: str) -> None:
        """Fail when nothing cancels it in time; 0: no deadline."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if seconds:
            why = f"{what} within {seconds:g} s"
            self._timer = self._up.reactor.call_later(seconds, lambda: self._fail(why))

    # ---- the conversation

    def _watch(self) -> None:
        link = self._link
        if link is not None:
            events = READ | (WRITE if link.wants_write else 0)
            self._up.reactor.watch(link, events, self._on_events)

    def _on_events(self, events: int) -> None:
        link = self._link
        assert link is not None
        if events & WRITE:
            link.flush()
        try:
            messages = link.receive() if events & READ else []
        except ChannelError as error:
            self._fail(f"the new program says what nobody understands: {error}")
            return
        gone = link.closed or any(message.kind is Kind.FAILED for message in messages)
        for message in messages:
            # A program that is gone already has nothing to begin.
            if self._link is link and not (gone and message.kind is Kind.COMMIT):
                self._try(message)
            message.close()
        if self._link is link and link.closed:
            self._fail(self._last_words())
        self._watch()

    def _try(self, message: Message) -> None:
        try:
            self._on_message(message)
        except (OSError, ValueError) as error:
            self._fail(f"the upgrade is given up: {error}")

    def _on_message(self, message: Message) -> None:
        if message.kind is Kind.HELLO:
            if message.body.get("protocol") != PROTOCOL:
                self._fail(f"the new program speaks protocol {message.body.get('protocol')}")
            else:
                self._offer(message.body)
        elif message.kind is Kind.SAY:
            if self._asker:
                self._asker.say(str(message.body.get("text", "")))
        elif message.kind is Kind.FAILED:
            self._fail(str(message.body.get("error", "")), message.body.get("faults", []))
        elif message.kind is Kind.COMMIT:
            self._agree(message)
        elif message.kind is Kind.TAKEN and self._newcomer:
            self._leave()

    def _offer(self, hello: dict[str, Any]) -> None:
        """Say what there is to take over. The descriptors that travel are duplicates."""
        link, service = self._link, self._up.service
        assert link is not None
        trees, links = self._up.generations.pass_on()
        control = self._up.control_socket.pass_on()
        fds = [service.counters.fd, *links, *([control.sock.fileno()] if control else [])]
        # An older program would not know what to do with one more.
        shares = bool(hello.get("shared"))
        if shares:
            fds.append(service.shared.fd)
        link.send(
            Kind.MANIFEST,
            {
                "protocol": PROTOCOL,
                "version": __version__,
                "generation": service.generation,
                "tree": self._up.state(),
                "older": trees,
                "tickets": self._up.tickets.pass_on(),
                "control": [control.path, control.file_id] if control else None,
                "shared": shares,
            },
            fds,
        )
        rows = [
            (
                {
                    "name": bound.point.fd_name or bound.point.listener,
                    "configured": bound.point.address,
                    "address": bound.real,
                    "slot": held.slot,
                    "foreign": bound.foreign,
                    "file": bound.file_id,
                },
                held.sock.fileno(),
            )
            for bound in (*service.own.bound, *service.table.bound)
            if not bound.retiring
            for held in bound.sockets
            if held.listens
        ]
        for start in range(0, len(rows), MAX_FDS):
            part = rows[start : start + MAX_FDS]
            link.send(Kind.SOCKETS, {"sockets": [row for row, _ in part]}, [fd for _, fd in part])
        link.send(Kind.MANIFEST_END)

    # ---- the outcome

    def _agree(self, message: Message) -> None:
        """Every worker of the new generation is ready: it may begin, and we go on until it has."""
        assert self._link is not None
        self._newcomer = message.body
        self._departures = [os.dup(fd) for fd in message.fds]
        self._set_deadline(_BEGIN_SECONDS, "the new program did not begin to serve")
        self._link.send(Kind.COMMITTED)

    def _leave(self) -> None:
        """The new generation serves, and whoever looks after the service knows it."""
        up, link = self._up, self._link
        assert link is not None
        self._set_deadline(0, "")
        self._link = None
        pid, version = self._newcomer.get("pid"), self._newcomer.get("version")
        seconds = time.monotonic() - self._began
        self._log.info(f"upgrade: pid {pid} serves since now, {seconds:.1f} s after the request")
        up.service.counters.count("upgrades_total")
        for child in up.workers if self._departures else []:
            target = self._departures[child.slot % len(self._departures)]
            with contextlib.suppress(OSError):  # no descriptor left: then it only drains
                up.tree.send(child, Kind.HAND_OVER, {}, [target])
        self._close_departures()
        asker, self._asker = self._asker, None
        if asker:
            asker.done(True, pid=pid, version=version, seconds=seconds)
        self._keep_process()
        up.generations.let_go()
        up.succeed()
        up.generations.set_newer(link)

    def _close_departures(self) -> None:
        for fd in self._departures:
            os.close(fd)
        self._departures = []

    def _fail(self, why: str, faults: list[list[Any]] | None = None) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        self._set_deadline(0, "")
        self._up.reactor.unwatch(link)
        link.send(Kind.DONE, {"ok": False, "error": why})
        link.close()
        if self._newcomer:
            # It had begun already: what it has put in the place of ours is put back.
            with contextlib.suppress(StartError):
                self._up.write_pid_file()
                if self._up.init_link is not None:
                    self._up.init_link.become_main()
        self._newcomer = {}
        self._close_departures()
        process = self._process
        if process is not None and process.poll() is None:
            # Its workers end when they lose it, and what it holds of ours are duplicates.
            process.kill()
        asker, self._asker = self._asker, None
        self._keep_process()
        self._refuse(None, f"{why}; this one serves on")
        if asker:
            asker.done(False, error=why, faults=faults or [])

    def _last_words(self) -> str:
        """Why a program ended that did not say it itself."""
        process = self._process
        if process is None:
            return "the new program has hung up before it was ready"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
        status = process.poll()
        size = os.fstat(self._words).st_size if self._words >= 0 else 0
        start = max(size - _LAST_WORDS_BYTES, 0)
        words = (
            os.pread(self._words, _LAST_WORDS_BYTES, start).decode(errors="replace") if size else ""
        )
        ended = "hung up" if status is None else f"ended with status {status}"
        return f"the new program {ended} before it was ready" + (
            f":\n{words.strip()}" if words else ""
        )

    def _close_words(self) -> None:
        if self._words >= 0:
            os.close(self._words)
        self._words = -1

    def _keep_process(self) -> None:
        """Collect it when it ends: it is our child."""
        self._close_words()
        if self._process is not None:
            self._ended.append(self._process)
        self._process = None

    def reap(self) -> None:
        """Collect programs that have ended."""
        if (
            self._process is not None
            and self._link is not None
            and self._process.poll() is not None
        ):
            # Something of it may still hold the link.
            self._on_events(READ)
            self._fail(self._last_words())
        for process in list(self._ended):
            if process.poll() is not None:
                self._ended.remove(process)
                if not self._up.succeeded:
                    # Its workers end when they miss it.
                    self._up.reactor.call_later(
                        _ORPHAN_SECONDS, partial(self._release_columns, process.pid)
                    )

    def _release_columns(self, pid: int) -> None:
        self._up.service.counters.release_columns_of(pid)

    def cancel(self, why: str) -> None:
        """Give it up; too late when it has been committed."""
        self._fail(why)

    def close_inherited(self) -> None:
        """In a forked child."""
        if self._link is not None:
            self._link.close()
        self._close_words()
        self._close_departures()


def command_line(program: list[str] | None) -> list[str]:
    """How this program was started, or the same with another <program> in its place."""
    words = list(sys.orig_argv)
    if program is None:
        # The name that was typed need not lead anywhere now (a PATH, a relative path).
        return [sys.executable, *words[1:]]
    return [*program, *sys.argv[1:]]
