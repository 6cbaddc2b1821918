"""From a configuration to a running process tree: everything before the first fork, in order.

User and log files are checked, then the Python filters (in a process that ends afterwards), and
only then is anything bound; a fault of the configuration or of a filter never leaves a half-open
service behind.
"""

from __future__ import annotations

import gc
import math
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable
from mmap import mmap
from pathlib import Path
from types import FrameType
from typing import Any

from pyproxy import log
from pyproxy.config.addresses import parse_bind
from pyproxy.config.compile import bind_plan, resolve_endpoints, wants_demo
from pyproxy.config.model import Config, filter_refs
from pyproxy.control import process as control
from pyproxy.errors import ConfigError, Fault, PyproxyError, StartError
from pyproxy.filters.chain import bind_filters

from . import logfiles, pidfile, privileges, systemd
from .channel import Channel, Kind
from .children import Child, describe_exit, fork_child
from .counters import Counters
from .cpus import usable_cpus
from .sockets import BindPoint, BoundAddress, SocketTable, open_sockets
from .supervisor import Supervisor
from .worker import BindFilters, Worker, WorkerPlan, verify_filters

_ADMIN = "admin"
_ADMIN_MODE = 0o660
_DEMO = "demo"


def _nothing() -> None:
    """The default of a hook."""


def serve(
    config: Config,
    bind: BindFilters = bind_filters,
    *,
    before_fork: Callable[[], None] = _nothing,
) -> int:
    """Run the proxy until a signal ends it; returns the exit status.

    <bind> makes the filters, in each worker; <before_fork> runs once when everything is loaded.
    Raises `PyproxyError` when the proxy cannot start: nothing is bound or running then.
    """
    if threading.current_thread() is not threading.main_thread():
        raise StartError("the proxy must be run in the main thread: it looks after signals")
    # Until the supervisor does, SIGTERM unwinds like Ctrl-C, so that nothing is left behind.
    old_handler = signal.signal(signal.SIGTERM, _leave)
    try:
        log.configure(config.log.level, config.log.format)
        identity = _identity(config)
        logs = logfiles.paths_of(config)
        logfiles.prepare(logs, identity)
        if filter_refs(config):
            _check_filters(config, identity, bind)
        privileges.raise_file_limit()
        service = _Service(config, identity, logs, bind, before_fork)
        try:
            service.bind()
            return service.run()
        finally:
            service.close()
    finally:
        signal.signal(signal.SIGTERM, old_handler)


def _identity(config: Config) -> privileges.Identity | None:
    if not config.user:
        return None
    identity = privileges.resolve(config.user)
    privileges.check(identity)
    return identity


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _check_filters(config: Config, identity: privileges.Identity | None, bind: BindFilters) -> None:
    """Import the user's filters in a process of their own.

    So their faults are reported before anything is bound, and the supervisor stays free of user
    code.
    """

    def entry(channel: Channel) -> int:
        try:
            verify_filters(config, identity, bind)
        except ConfigError as error:
            channel.send(Kind.FAILED, {"faults": error.faults})
            return 1
        except PyproxyError as error:
            channel.send(Kind.FAILED, {"error": str(error)})
            return 1
        except Exception:
            text = f"a Python filter cannot be made\n{traceback.format_exc()}"
            channel.send(Kind.FAILED, {"error": text.rstrip()})
            return 1
        return 0

    child = Child("the check of the filters", entry, "pyproxy-check")
    try:
        fork_child(child, time.monotonic(), lambda: None)
        _, status = os.waitpid(child.pid, 0)
    except BaseException:
        if child.running:
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
        raise
    assert child.channel is not None
    verdicts = [m.body for m in child.channel.receive() if m.kind is Kind.FAILED]
    child.channel.close()
    for verdict in verdicts:
        if "faults" in verdict:
            raise ConfigError(Fault(*fault) for fault in verdict["faults"])
        raise StartError(verdict["error"])
    if status:
        raise StartError(f"the check of the Python filters ended: {describe_exit(status)}")


class _Service:
    """What one run of the proxy holds: sockets, shared memory, children."""

    def __init__(
        self,
        config: Config,
        identity: privileges.Identity | None,
        logs: list[str],
        bind: BindFilters,
        before_fork: Callable[[], None],
    ) -> None:
        self._config = config
        self._identity = identity
        self._logs = logs
        self._bind = bind
        self._bind_filters = bind
        self._before_fork = before_fork
        # 0 in the file means no limit.
        self._drain_seconds = config.drain_timeout_ms / 1000 or math.inf
        self._slots = usable_cpus() if config.workers == "auto" else config.workers
        self._table = SocketTable()
        self._own = SocketTable()
        self._admin: BoundAddress | None = None
        self._demo: BoundAddress | None = None
        self._pid_file = Path(config.pid_file) if config.pid_file else None
        self._start_time = process_start_time()

    def bind(self) -> None:
        """Look host names up, then open every socket. Raises `ConfigError` or `StartError`."""
        if wants_demo(self._config):
            self._demo = self._bind_own(_DEMO, "127.0.0.1:0", 0o600)
        demo_address = self._demo.real if self._demo else ""
        # Once, here: all workers, and those that replace them, then agree on the addresses.
        self._config = resolve_endpoints(self._config, demo_address=demo_address)
        try:
            given = systemd.given_sockets()
        except ValueError as error:
            raise StartError(str(error)) from error
        logger = log.get("supervisor")
        points = [
            BindPoint(b.listener, b.address, b.host, b.port, b.path, b.fd_name, mode=b.mode)
            for b in bind_plan(self._config)
        ]
        self._table = open_sockets(points, self._slots, given, say=logger.warning)
        if self._config.admin is not None:
            self._admin = self._bind_own(_ADMIN, self._config.admin.bind, _ADMIN_MODE)
        for unused in self._table.unused:
            logger.warning("the socket %r that was passed in belongs to no listener", unused.name)
            unused.sock.close()

    def _bind_own(self, name: str, address: str, mode: int) -> BoundAddress:
        point = bind_point(name, address, mode)
        bound = open_sockets([point], 1, self._table.unused)
        self._own.bound += bound.bound
        self._table.unused = bound.unused
        return bound.bound[0]

    def run(self) -> int:
        """Fork the tree and stay until it ends."""
        stats = Counters.make(self._config, self._slots)
        if self._pid_file:
            pidfile.write(self._pid_file)
        supervisor = Supervisor(
            workers=[self._worker(slot, stats) for slot in range(self._slots)],
            services=[self._demo_child(self._demo)] if self._demo else [],
            control=self._control_child(self._admin, stats.memory) if self._admin else None,
            sockets=[s for b in (*self._table.bound, *self._own.bound) for s in b.all_sockets()],
            release=self._release,
            prepare_logs=lambda: logfiles.prepare(self._logs, self._identity),
            on_ready=self._announce,
            on_restart=lambda: stats.count("worker_restarts_total"),
            drain_seconds=self._drain_seconds,
        )
        # What exists now is shared with the children page by page; the collector must not touch it
        # there. It does not even tidy up first: holes would be filled, and their pages copied.
        gc.freeze()
        self._before_fork()
        return supervisor.run()

    def close(self) -> None:
        """Leave no trace: sockets, socket files, pid file."""
        for table in (self._table, self._own):
            table.close()
            table.remove_files()
        if self._pid_file:
            pidfile.remove(self._pid_file)

    def _release(self) -> None:
        # Files first: a unix client then sees that nobody is there, not a socket that nobody will
        # accept on.
        self._table.remove_files()
        self._table.close()

    # ---- children

    def _worker(self, slot: int, stats: Counters) -> Child:
        plan = WorkerPlan(
            config=self._config,
            column=stats.take_column(),
            sockets=self._table.of_slot(slot),
            stats=stats.memory,
            identity=self._identity,
            drain_seconds=self._drain_seconds,
            bind=self._bind_filters,
        )
        return Child(
            f"worker {slot}",
            lambda channel: Worker(plan, channel).run(),
            f"pyproxy-w{slot}",
            slot=slot,
            keep=[sock for _, sock in plan.sockets],
        )

    def _control_child(self, admin: BoundAddress, stats: mmap) -> Child:
        sock = admin.slots[0][0]
        plan = control.ControlPlan(
            config=self._config,
            admin_socket=sock,
            stats=stats,
            listeners=self._listener_rows(),
            start_time=self._start_time,
            identity=self._identity,
        )
        return Child(
            "control", lambda channel: control.run(plan, channel), "pyproxy-control", keep=[sock]
        )

    def _demo_child(self, demo: BoundAddress) -> Child:
        sock = demo.slots[0][0]

        def entry(channel: Channel) -> int:
            from pyproxy.demo import run

            return run(sock, self._identity, channel)

        return Child("demo origin", entry, "pyproxy-demo", keep=[sock])

    # ---- what is said

    def _listener_rows(self) -> list[dict[str, Any]]:
        return [
            {
                "name": bound.point.listener,
                "address": bound.real,
                "configured": bound.point.address,
                "port": bound.port or None,
                "url": _url(bound),
                "workers": self._slots,
            }
            for bound in self._table.bound
        ]

    def _announce(self) -> None:
        width = max((len(bound.point.listener) for bound in self._table.bound), default=0)
        noun = "worker" if self._slots == 1 else "workers"
        lines = [
            f"listening  {b.point.listener:<{width}}  {_url(b)}  ({self._slots} {noun})"
            for b in self._table.bound
        ]
        if self._demo:
            lines.append(f"demo       {'':<{width}}  {_url(self._demo)}  (built-in origin)")
        if self._admin:
            lines.append(f"admin      {'':<{width}}  {_url(self._admin)}")
        lines.append(f"ready in {max(time.time() - self._start_time, 0.0) * 1000:.0f} ms")
        if self._config.log.format == "json":
            for line in lines:
                log.get("supervisor").info(" ".join(line.split()))
        else:
            print("\n".join(lines), file=sys.stderr, flush=True)


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


def _url(bound: BoundAddress) -> str:
    return bound.real if bound.family == socket.AF_UNIX else f"http://{bound.real}"


def process_start_time() -> float:
    """Unix time at which this process was started, interpreter included (to 10 ms)."""
    now = time.time()
    try:
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return now
    return now - age
