"""A worker: one C engine on one uvloop, with the user's Python filters; everything after the fork.

Life: lower privileges, import the filters, build the snapshot, listen, say READY; run; on DRAIN
finish what is open and say DRAINED; on STOP, or when the supervisor is gone for good, end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from mmap import mmap
from typing import NamedTuple

import uvloop

from pyproxy import log
from pyproxy._engine import Engine, SnapshotBuilder
from pyproxy.config.compile import BoundFilter, compile_snapshot
from pyproxy.config.model import Config
from pyproxy.errors import ConfigError, PyproxyError, StartError
from pyproxy.filters.chain import bind_filters

from . import logfiles, privileges
from .channel import Channel, ChannelError, Kind

# How often a draining worker looks whether its last connection has gone.
_DRAIN_POLL_SECONDS = 0.02


# Makes the filters of a configuration, by their key in `model.filter_refs`; runs in workers.
BindFilters = Callable[[Config], Mapping[str, BoundFilter]]


class WorkerPlan(NamedTuple):
    """All that one slot's workers are made from.

    `sockets` pairs listener names with listening sockets; `column` is where they count.
    """

    config: Config
    column: int
    sockets: Sequence[tuple[str, socket.socket]]
    stats: mmap
    identity: privileges.Identity | None
    drain_seconds: float
    bind: BindFilters = bind_filters


def verify_filters(
    config: Config, identity: privileges.Identity | None, bind: BindFilters = bind_filters
) -> None:
    """Import, configure and make every Python filter as a worker would.

    Raises what <bind> raises. For a process that ends afterwards: it changes its user and imports
    the user's code.
    """
    if identity is not None:
        privileges.drop(identity)
    try:
        bind(config)
    except ConfigError as error:
        if identity is None or os.access(os.__file__, os.R_OK):
            raise
        # Every import fails then, and what failed first would only lead astray.
        user = identity.user or identity.uid
        where = sys.base_prefix
        raise StartError(f"user {user}: cannot read where Python is installed ({where})") from error


class Worker:
    """One worker process. One use: make it after the fork, `run` it."""

    def __init__(self, plan: WorkerPlan, channel: Channel) -> None:
        self._plan = plan
        self._channel = channel
        self._log = log.get("worker")
        self._draining = False
        self._deadline = 0.0
        self._aborted = 0

    def run(self) -> int:
        """Serve until told to end; the exit status. A failed start is reported as FAILED."""
        try:
            self._start()
        except PyproxyError as error:
            return self._fail(str(error))
        except Exception:
            return self._fail(traceback.format_exc())
        self._channel.send(Kind.READY)
        self._loop.run_forever()
        self._engine.flush_logs()
        self._engine.close()
        if self._draining:
            self._channel.send(Kind.DRAINED, {"aborted": self._aborted})
        return 0

    def _fail(self, text: str) -> int:
        self._channel.send(Kind.FAILED, {"error": text.rstrip()})
        return 1

    def _start(self) -> None:
        plan = self._plan
        if plan.identity is not None:
            privileges.drop(plan.identity)
        self._loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self._loop)
        self._engine = Engine(loop=self._loop, slot=plan.column, stats=plan.stats)
        filters = plan.bind(plan.config)
        # The engine could only say that a system call failed.
        logfiles.check(logfiles.paths_of(plan.config))
        self._engine.install(compile_snapshot(plan.config, SnapshotBuilder(), filters))
        for listener, sock in plan.sockets:
            self._engine.listen(sock.fileno(), listener)
        self._loop.add_reader(self._engine.fileno(), self._engine.run_ready)
        self._loop.add_reader(self._channel.fileno(), self._on_channel)
        # Somebody may recycle a single worker by hand: it leaves politely, and its slot is filled
        # again.
        self._loop.add_signal_handler(signal.SIGTERM, self._drain, plan.drain_seconds)

    def _on_channel(self) -> None:
        try:
            messages = self._channel.receive()
        except ChannelError as error:
            self._log.error(
                "the supervisor broke the protocol of the channel (%s): draining", error
            )
            self._channel.closed = True
            messages = []
        for message in messages:
            if message.kind is Kind.DRAIN:
                self._drain(float(message.body["timeout"]))
            elif message.kind is Kind.STOP:
                self._loop.stop()
            elif message.kind is Kind.REOPEN:
                self._engine.reopen_logs()
        if self._channel.closed:
            # The supervisor was killed. Nobody could replace or stop this worker any more, so it
            # ends too, but the requests in its hands are not lost for that.
            self._loop.remove_reader(self._channel.fileno())
            self._drain(self._plan.drain_seconds)

    def _drain(self, timeout: float) -> None:
        """Accept what the queues hold, then no more.

        End when the last connection has gone or time is up.
        """
        if self._draining:
            return
        self._draining = True
        self._deadline = self._loop.time() + timeout
        for _, sock in self._plan.sockets:
            sock.close()
        self._engine.stop_listening()
        self._engine.drain()
        self._await_drained()

    def _await_drained(self) -> None:
        left = self._engine.connections
        if left and self._loop.time() < self._deadline:
            self._loop.call_later(_DRAIN_POLL_SECONDS, self._await_drained)
            return
        self._aborted = left
        self._loop.stop()
