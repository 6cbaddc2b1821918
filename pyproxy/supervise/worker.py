"""A worker: one C engine on one uvloop, with the user's Python filters; everything after the fork.

Life: lower privileges, import the filters, build the snapshot, listen, say READY; run, with new
configurations and sockets as the supervisor says; on DRAIN finish what is open, or hand it over,
and say DRAINED; on STOP end. When the supervisor is gone for good, drain too.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from mmap import mmap
from typing import NamedTuple, TypeVar

import uvloop

from pyproxy import log
from pyproxy._engine import (
    Engine,
    ListenerTls,
    Snapshot,
    SnapshotBuilder,
    load_tls,
    set_ticket_keys,
    sweep_tls,
)
from pyproxy.config.compile import compile_snapshot, compile_steps
from pyproxy.config.compile_filters import BoundFilter
from pyproxy.config.compile_tls import server_settings
from pyproxy.config.model import Config
from pyproxy.errors import ConfigError, PyproxyError, StartError
from pyproxy.filters.chain import bind_filters
from pyproxy.tls.names import choice_steps

from . import blob, logfiles, privileges
from .channel import Channel, ChannelError, Kind, Message, Voice
from .children import end_with_parent
from .drain import Drain, DrainLimits
from .moving import Arrivals, HandOver
from .overload import OverloadLog
from .sockets import ListenSocket

_ROUTES_IN_A_STEP = 64
_T = TypeVar("_T")

# Filters by their key in `model.filter_refs`; and what makes those of a configuration, in workers.
Filters = Mapping[str, BoundFilter]
BindFilters = Callable[[Config], Filters]


class WorkerPlan(NamedTuple):
    """All that one slot's workers are made from.

    `column` is where it counts in `stats`; `shared` is the table of all workers; `arrival` is where
    an older generation sends its connections, if there is one.
    """

    config: Config
    slot: int
    column: int
    sockets: Sequence[ListenSocket]
    arrival: socket.socket | None
    stats: mmap
    shared: mmap
    identity: privileges.Identity | None
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


def prepare_tls(config: Config) -> None:
    """Load the TLS library if <config> speaks TLS; a process that does not is quicker and smaller.

    For the supervisor, before it forks: its workers share the library then, and can resume what
    another began also where only the library's own keys of session tickets are to be had. Where a
    reload brings the first TLS, each worker loads it.
    """
    ours = any(listener.tls for listener in config.listeners.values())
    if ours or any(upstream.tls for upstream in config.upstreams.values()):
        load_tls()


def use_ticket_keys(keys: Sequence[bytes]) -> bool:
    """Have this process, and those that are forked from it, make session tickets with the first of
    <keys> and open them with all. False: the TLS library keeps to its own.
    """
    return set_ticket_keys(b"".join(keys))


class Worker:
    """One worker process. One use: make it after the fork, `run` it."""

    def __init__(self, plan: WorkerPlan, channel: Channel) -> None:
        self._plan = plan
        self._channel = channel
        self._log = log.get("worker")
        # Listening sockets: number of the supervisor -> handle of the engine.
        self._doors: dict[int, int] = {}
        self._pending: tuple[int, Snapshot, Filters] | None = None
        # Those of the snapshot that is served.
        self._filters: Filters = {}
        self._building: asyncio.Task[None] | None = None
        # Those at work on new certificates, in the order of their arrival.
        self._replacing: list[asyncio.Task[None]] = []
        self._tidying: asyncio.Task[None] | None = None
        self._arrivals: list[Arrivals] = []
        self._drain: Drain | None = None

    def run(self) -> int:
        """Serve until told to end; the exit status. A failed start is reported as FAILED."""
        stop_watching = end_with_parent(self._channel)
        try:
            self._start()
            # From now on the loop sees the end of the supervisor, and what is open can be finished.
            stop_watching()
        except PyproxyError as error:
            return self._fail(str(error))
        except Exception:
            return self._fail(traceback.format_exc())
        self._voice.say(Kind.READY)
        self._loop.run_forever()
        self._engine.flush_logs()
        self._engine.close()
        if self._drain is not None:
            self._channel.send(Kind.DRAINED, {"aborted": self._drain.aborted})
        return 0

    def _fail(self, text: str) -> int:
        self._channel.send(Kind.FAILED, {"error": text.rstrip()})
        return 1

    def _start(self) -> None:
        plan = self._plan
        if plan.identity is not None:
            # The other user may not be able to read where Python is installed.
            import_module("pickle")
            privileges.drop(plan.identity)
        self._loop = uvloop.new_event_loop()
        asyncio.set_event_loop(self._loop)
        say = OverloadLog()
        self._engine = Engine(
            loop=self._loop, slot=plan.column, stats=plan.stats, shared=plan.shared, on_overload=say
        )
        filters = self._filters = plan.bind(plan.config)
        # The engine could only say that a system call failed.
        logfiles.check(logfiles.paths_of(plan.config))
        self._engine.install(compile_snapshot(plan.config, SnapshotBuilder(), filters))
        for held in plan.sockets:
            self._doors[held.id] = self._engine.listen(held.sock.fileno(), held.listener)
            held.sock.close()
        if plan.arrival is not None:
            self._arrivals.append(Arrivals(self._loop, self._engine, plan.arrival))
        self._loop.add_reader(self._engine.fileno(), self._engine.run_ready)
        self._voice = Voice(self._loop, self._channel)
        self._loop.add_reader(self._channel.fileno(), self._on_channel)
        # Somebody may recycle a single worker by hand: it leaves politely, and another one comes.
        self._loop.add_signal_handler(signal.SIGTERM, self._on_terminate)

    # ---- messages

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
            try:
                _ACTIONS[message.kind](self, message)
            except Exception:
                # What comes after it, perhaps DRAIN, must still be heard.
                self._log.exception("%s", message.kind.name.lower())
            finally:
                message.close()
        if self._channel.closed:
            # The supervisor was killed. Nobody could replace or stop this worker any more, so it
            # ends too, but the requests in its hands are not lost for that.
            self._loop.remove_reader(self._channel.fileno())
            self._leave()

    def _on_stop(self, message: Message) -> None:
        self._loop.stop()

    def _on_reopen(self, message: Message) -> None:
        self._engine.reopen_logs()

    def _on_listen(self, message: Message) -> None:
        if self._drain is not None:
            return
        for (listener, number), fd in zip(message.body["sockets"], message.fds, strict=True):
            self._doors[number] = self._engine.listen(fd, listener)

    def _on_unlisten(self, message: Message) -> None:
        for number in message.body["ids"]:
            handle = self._doors.pop(number, None)
            if handle is not None:
                self._engine.unlisten(handle)
        self._voice.say(Kind.UNLISTENED, message.body)

    # ---- a new configuration

    def _on_prepare(self, message: Message) -> None:
        self._forget()
        fd = os.dup(message.fds[0])
        filters = self._filters if message.body.get("same_filters") else None
        self._building = self._loop.create_task(self._prepare(message.body["id"], fd, filters))

    def _forget(self) -> None:
        """Give up a configuration that is being built or has been."""
        if self._building is not None:
            self._building.cancel()
        self._building = self._pending = None

    async def _prepare(self, number: int, fd: int, filters: Filters | None) -> None:
        try:
            with contextlib.closing(os.fdopen(fd, "rb")):
                self._pending = number, *await self._build(fd, filters)
        except PyproxyError as error:
            self._voice.say(Kind.REFUSED, {"id": number, "error": str(error)})
        except Exception:
            self._voice.say(Kind.REFUSED, {"id": number, "error": traceback.format_exc().rstrip()})
        else:
            self._voice.say(Kind.PREPARED, {"id": number})

    async def _build(self, fd: int, filters: Filters | None) -> tuple[Snapshot, Filters]:
        """Build a snapshot from memory, a little at a time: requests go on meanwhile.

        Without <filters>, which are those of the same routes, they are made anew."""
        # Nothing of it is garbage; looking for some again and again would stop the requests.
        gc.disable()
        try:
            config = await _in_steps(blob.unpack_steps(fd))
            logfiles.check(logfiles.paths_of(config))
            filters = self._plan.bind(config) if filters is None else filters
            await asyncio.sleep(0)
            steps = compile_steps(config, SnapshotBuilder(), filters)
            routes = list(config.routes)
            del config
            snapshot = await _in_steps(steps)
            # All at once, ten thousand routes would take tens of milliseconds to free.
            while routes:
                del routes[-_ROUTES_IN_A_STEP:]
                await asyncio.sleep(0)
        finally:
            gc.enable()
        return snapshot, filters

    def _on_switch(self, message: Message) -> None:
        pending, self._pending = self._pending, None
        if pending is None or pending[0] != message.body["id"]:
            return  # it was told to forget it in the meantime
        try:
            self._engine.install(pending[1])
            self._filters = pending[2]
        except Exception:
            # Whoever comes in our place begins with the new configuration.
            self._log.exception("the new configuration cannot be served here")
            self._voice.say(Kind.LEAVING)
        # It was read after the certificates that somebody may still be at work on.
        for task in self._replacing:
            task.cancel()
        self._voice.say(Kind.SWITCHED, message.body)
        self._tidying = self._loop.create_task(_tidy())

    def _on_certificates(self, message: Message) -> None:
        fd = os.dup(message.fds[0])
        task = self._loop.create_task(self._replace(fd, list(self._replacing)))
        task.add_done_callback(lambda _: os.close(fd))
        task.add_done_callback(self._replacing.remove)
        self._replacing.append(task)

    async def _replace(self, fd: int, earlier: list[asyncio.Task[None]]) -> None:
        """Serve the certificates of a configuration in memory, read a little at a time."""
        try:
            if earlier:
                await asyncio.wait(earlier)
            for name, listener in (await _in_steps(blob.unpack_steps(fd))).listeners.items():
                assert listener.tls is not None
                tls = ListenerTls(name, server_settings(listener, listener.tls))
                for choice in choice_steps(listener.tls.certificates):
                    if choice is not None:
                        tls.add(*choice)
                    await asyncio.sleep(0)
                self._engine.replace_listener_tls(name, tls)
        except Exception:
            # Whoever comes in our place begins with them.
            self._log.exception("the new certificates cannot be served here")
            self._voice.say(Kind.LEAVING)
        await _tidy()

    def _on_ticket_keys(self, message: Message) -> None:
        use_ticket_keys([bytes.fromhex(text) for text in message.body["keys"]])

    def _on_abandon(self, message: Message) -> None:
        self._forget()

    # ---- the end

    def _on_arrivals(self, message: Message) -> None:
        arrival = socket.socket(fileno=os.dup(message.fds[0]))
        self._arrivals.append(Arrivals(self._loop, self._engine, arrival))

    def _on_hand_over(self, message: Message) -> None:
        sender = HandOver(socket.socket(fileno=os.dup(message.fds[0])))
        self._engine.hand_over(sender.connection)
        self._engine.hand_over_tunnels(sender.tunnel)

    def _on_drain(self, message: Message) -> None:
        self._begin_drain(DrainLimits(**message.body))

    def _begin_drain(self, limits: DrainLimits) -> None:
        if self._drain is None:
            self._drain = Drain(
                self._loop,
                self._engine,
                limits,
                lambda: any(arrivals.open for arrivals in self._arrivals),
                self._on_progress,
            )

    def _on_progress(self, connections: int, tunnels: int) -> None:
        self._voice.say(Kind.PROGRESS, {"connections": connections, "tunnels": tunnels})

    def _on_terminate(self) -> None:
        """Somebody recycles this worker by hand: its successor comes first."""
        self._voice.say(Kind.LEAVING)

    def _leave(self) -> None:
        """End politely without having been told how."""
        self._begin_drain(DrainLimits.of(self._plan.config.drain)._replace(spread=0.0))


async def _in_steps(steps: Iterator[_T | None]) -> _T:
    """The last that <steps> gives; the loop has its turn after each None before it."""
    for result in steps:
        if result is not None:
            return result
        await asyncio.sleep(0)
    raise AssertionError("the last step has the result")


async def _tidy() -> None:
    """Free what TLS listeners of the past have left; the loop has its turn meanwhile."""
    for _ in iter(sweep_tls, False):
        await asyncio.sleep(0)


_ACTIONS: dict[Kind, Callable[[Worker, Message], None]] = {
    Kind.DRAIN: Worker._on_drain,
    Kind.STOP: Worker._on_stop,
    Kind.REOPEN: Worker._on_reopen,
    Kind.LISTEN: Worker._on_listen,
    Kind.UNLISTEN: Worker._on_unlisten,
    Kind.PREPARE: Worker._on_prepare,
    Kind.SWITCH: Worker._on_switch,
    Kind.ABANDON: Worker._on_abandon,
    Kind.CERTIFICATES: Worker._on_certificates,
    Kind.TICKET_KEYS: Worker._on_ticket_keys,
    Kind.ARRIVALS: Worker._on_arrivals,
    Kind.HAND_OVER: Worker._on_hand_over,
}
