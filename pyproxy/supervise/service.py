"""What one generation of the proxy serves: configuration, sockets, counters; and how the processes
that serve it are made.

The supervisor changes it (`adopt`), and processes that are forked afterwards take what it holds
then.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pyproxy import log
from pyproxy.config.addresses import parse_bind
from pyproxy.config.bindplan import bind_plan
from pyproxy.config.compile import wants_demo
from pyproxy.config.model import Config
from pyproxy.config.resolve import resolve_endpoints
from pyproxy.control import process as control
from pyproxy.control.care import is_wanted
from pyproxy.control.discovery import wanted
from pyproxy.errors import StartError

from . import fdstore, logfiles, privileges, systemd
from .binding import open_sockets
from .bindpoint import BindPoint
from .channel import Channel
from .children import Child
from .counters import Counters
from .cpus import usable_cpus
from .first_look import with_first_look
from .memory import share_memory
from .shared import Shared
from .sockets import BoundAddress, ListenSocket, SocketTable
from .systemd import GivenSocket
from .verdicts import Verdicts
from .worker import BindFilters, Worker, WorkerPlan, use_ticket_keys

_ADMIN = "admin"
_ADMIN_MODE = 0o660
_DEMO = "demo"
# Beyond the drain time, a process gets this long to say goodbye before it is killed.
DRAIN_GRACE_SECONDS = 5.0


class Service:
    """One generation. `close` gives up what it holds."""

    def __init__(
        self,
        config: Config,
        identity: privileges.Identity | None,
        bind: BindFilters,
        *,
        source: str,
        generation: int = 1,
    ) -> None:
        self.config = config
        self.identity = identity
        self.bind_filters = bind
        # The file or folder of the configuration; empty for a program's.
        self.source = source
        # The files of the user's code that it serves, as far as they are looked for in its folder.
        self.modules: Sequence[str] = ()
        self.generation = generation
        # Counts the configurations that this generation has served.
        self.revision = 1
        self.slots = slots_of(config)
        self.table = SocketTable(self.slots)
        self.own = SocketTable()
        self.counters: Counters = None  # type: ignore[assignment]  # before `serve` has opened
        self.shared: Shared = None  # type: ignore[assignment]  # before `serve` has opened
        # Until an upgrade is committed the workers must not accept: the old generation does.
        self.accepting = True
        # Where the old generation's connections arrive, by slot.
        self.arrivals: dict[int, socket.socket] = {}
        self.start_time = process_start_time()

    def adopt(self, config: Config, kept: Sequence[str]) -> None:
        """Serve <config> from now on, but for the fields <kept>, which stay as they are."""
        same = {name: getattr(self.config, name) for name in kept}
        self.config = msgspec.structs.replace(config, **same)
        self.revision += 1
        Verdicts(self.counters.segment).prepare(self.config)

    # ---- sockets

    def open(self, given: Sequence[GivenSocket]) -> None:
        """Look host names up, then open every socket that is not in <given>.

        Raises `ConfigError` or `StartError`.
        """
        left = list(given)
        if wants_demo(self.config):
            left = self._open_own(_DEMO, "127.0.0.1:0", 0o600, left)
        # Once, here: all workers, and those that replace them, then agree on the addresses.
        self.config = resolve_endpoints(self.config, demo_address=self.demo_address)
        self.config = share_memory(self.config)
        self.config = with_first_look(self.config, None, self.identity)
        warn = log.get("supervisor").warning
        self.table = open_sockets(bind_points(self.config), self.slots, left, say=warn)
        left = self.table.unused
        if self.config.admin is not None:
            left = self._open_own(_ADMIN, self.config.admin.bind, _ADMIN_MODE, left)
        for unused in left:
            if unused.foreign and not fdstore.is_stored(unused):
                warn("the socket %r that was passed in belongs to no listener", unused.name)
            unused.sock.close()
        systemd.remove_sockets(unused.name for unused in left if fdstore.is_stored(unused))
        self.table.unused = []

    def _open_own(
        self, name: str, address: str, mode: int, given: Sequence[GivenSocket]
    ) -> list[GivenSocket]:
        opened = open_sockets([bind_point(name, address, mode)], 1, given)
        self.own.bound += opened.bound
        return opened.unused

    def own_address(self, name: str) -> BoundAddress | None:
        """The admin server's or the demonstration origin's."""
        return next((b for b in self.own.bound if b.point.listener == name), None)

    @property
    def admin(self) -> BoundAddress | None:
        """Where the admin server listens."""
        return self.own_address(_ADMIN)

    @property
    def demo(self) -> BoundAddress | None:
        """Where the demonstration origin listens."""
        return self.own_address(_DEMO)

    @property
    def demo_address(self) -> str:
        """The same as text; empty without one."""
        return self.demo.real if self.demo else ""

    def all_sockets(self) -> list[socket.socket]:
        """Every listening socket of this process."""
        return [h.sock for h in (*self.table.all_sockets(), *self.own.all_sockets())]

    def release(self, *, files: bool = True, inherited: bool = True) -> None:
        """Give up the proxy's own listening sockets, and with <files> what they are found by."""
        # Files first: a unix client then sees that nobody is there, not a socket that nobody will
        # accept on.
        self.accepting = False
        if files:
            self.table.remove_files(inherited=inherited)
        if files and inherited:
            # A service manager's copies would go on taking connections.
            systemd.remove_sockets(name for name, _ in self.table.to_store())
        self.table.close()

    def close(self, *, files: bool = True, inherited: bool = True) -> None:
        """Leave no descriptor, and with <files> no socket file.

        Without <inherited> the files of an older generation stay, for it still serves them.
        """
        self.release(files=files, inherited=inherited)
        if files:
            self.own.remove_files(inherited=inherited)
        self.own.close()
        self.close_arrivals()

    def give_up_columns(self) -> None:
        """All processes have ended: nobody counts in our columns any more."""
        if self.counters is not None:
            self.counters.release_columns_of(os.getpid())

    def close_arrivals(self) -> None:
        """The older generation has ended: nothing will come from it any more."""
        for arrival in self.arrivals.values():
            arrival.close()
        self.arrivals = {}

    # ---- processes

    def worker(self, slot: int) -> Child:
        """The place of the worker of <slot>."""
        child = Child(
            f"worker {slot}",
            lambda channel: Worker(self._worker_plan(child), channel).run(),
            f"pyproxy-w{slot}",
            slot=slot,
            keep=lambda: self._kept_by(slot),
        )
        return child

    def use_ticket_keys(self, keys: Sequence[bytes]) -> bool:
        """Give processes that are forked from now on these keys of session tickets.

        False: the TLS library keeps to its own.
        """
        return use_ticket_keys(keys)

    def sockets_at_fork(self, slot: int) -> list[ListenSocket]:
        """What a worker accepts on from its start; it gets the others when it is ready."""
        if not self.accepting:
            return []
        # What is closed was not kept by this very process.
        mine = (held for held in self.table.of_slot(slot) if held.sock.fileno() >= 0)
        return [held for held in mine if held.listens]

    def _kept_by(self, slot: int) -> list[socket.socket]:
        kept = [held.sock for held in self.sockets_at_fork(slot)]
        arrival = self.arrivals.get(slot)
        return kept if arrival is None else [*kept, arrival]

    def _worker_plan(self, child: Child) -> WorkerPlan:
        return WorkerPlan(
            config=self.config,
            slot=child.slot,
            column=child.column,
            sockets=self.sockets_at_fork(child.slot),
            arrival=self.arrivals.get(child.slot),
            stats=self.counters.memory,
            shared=self.shared.memory,
            identity=self.identity,
            bind=self.bind_filters,
        )

    def control_child(self) -> Child | None:
        """The control process, if there is something to do for it."""
        admin = self.admin
        if admin is None and not (wanted(self.config) or is_wanted(self.config)):
            return None
        sock = admin.sockets[0].sock if admin is not None else None

        def entry(channel: Channel) -> int:
            plan = control.ControlPlan(
                config=self.config,
                admin_socket=sock,
                stats=self.counters.memory,
                shared=self.shared.memory,
                listeners=self.listener_rows(),
                start_time=self.start_time,
                identity=self.identity,
            )
            return control.run(plan, channel)

        kept = [sock] if sock is not None else []
        return Child("control", entry, "pyproxy-control", keep=lambda: kept)

    def demo_child(self) -> Child | None:
        """The demonstration origin, if the configuration names it."""
        if self.demo is None:
            return None
        sock = self.demo.sockets[0].sock

        def entry(channel: Channel) -> int:
            from pyproxy.demo import run

            return run(sock, self.identity, channel)

        return Child("demo origin", entry, "pyproxy-demo", keep=lambda: [sock])

    # ---- settings

    @property
    def drain_seconds(self) -> float:
        """How long requests may take at the end; 0 in the file means no limit."""
        return self.config.drain.timeout_ms / 1000 or math.inf

    @property
    def drain_limit(self) -> float:
        """When whoever drains must have ended, with some time to say goodbye."""
        return max(self.drain_seconds, self.tunnel_seconds) + DRAIN_GRACE_SECONDS

    @property
    def tunnel_seconds(self) -> float:
        """The same for tunnels."""
        return self.config.drain.tunnels_ms / 1000 or math.inf

    @property
    def pid_file(self) -> Path | None:
        """Where the process id is to be found."""
        return Path(self.config.pid_file) if self.config.pid_file else None

    def prepare_logs(self, config: Config | None = None) -> None:
        """Make the log files. Raises `StartError`."""
        logfiles.prepare_all(config or self.config, self.identity)

    # ---- what is said

    def listener_rows(self) -> list[dict[str, Any]]:
        """Where the proxy can be reached."""
        return [
            {
                "name": bound.point.listener,
                "address": bound.real,
                "configured": bound.point.address,
                "port": bound.port or None,
                "url": self.url(bound),
                "workers": self.slots,
            }
            for bound in self.table.bound
            if not bound.retiring
        ]

    def url(self, bound: BoundAddress) -> str:
        """What to type to get there."""
        if bound.family == socket.AF_UNIX:
            return bound.real
        listener = self.config.listeners.get(bound.point.listener)
        scheme: str = listener.protocol if listener is not None else "http"
        if listener is not None and listener.tls:
            scheme = {"http": "https", "tcp": "tls"}.get(scheme, scheme)
        return f"{scheme}://{bound.real}"


def slots_of(config: Config) -> int:
    """Worker slots that a configuration asks for."""
    return usable_cpus() if config.workers == "auto" else config.workers


def bind_points(config: Config) -> list[BindPoint]:
    """Every address of the listeners."""
    return [
        BindPoint(
            b.listener,
            b.address,
            b.host,
            b.port,
            b.path,
            b.fd_name,
            mode=b.mode,
            datagram=b.datagram,
        )
        for b in bind_plan(config)
    ]


def bind_point(listener: str, address: str, mode: int) -> BindPoint:
    """Take an address of the configuration apart. Raises `StartError` for one that is none."""
    try:
        parsed = parse_bind(address)
    except ValueError as error:
        raise StartError(f"listener '{listener}': {error}") from error
    if parsed.kind == "unix":
        return BindPoint(listener, address, path=parsed.path, mode=mode)
    if parsed.kind == "fd":
        return BindPoint(listener, address, fd_name=parsed.path)
    return BindPoint(listener, address, host=parsed.host, port=parsed.port)


def process_start_time() -> float:
    """Unix time at which this process was started, interpreter included (to 10 ms)."""
    now = time.time()
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return now
    return now - age
