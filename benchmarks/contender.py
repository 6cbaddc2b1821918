"""What the harness asks of every proxy: install, write a configuration, start, stop."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import proc
from benchmarks.certificate import Pair
from benchmarks.errors import Unavailable
from benchmarks.machine import PROXY_CPU

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
GZIP_LEVEL = 4
STATIC_BYTES = (32768, 1 << 20)


@dataclass(frozen=True, slots=True)
class Setup:
    """What one instance of a proxy is to be: where it lives, listens and forwards to.

    `flavour` is one of: plain, log (access log on, to `folder`/access.log), filter (read request
    header x-user, set request header x-bench-user to it, set response header x-bench to 1), routes
    (the `route_paths`, all to the origin; none of them is a catch-all), gzip (JSON is compressed,
    at `GZIP_LEVEL`), tls (HTTP/1.1 and HTTP/2 over TLS with the certificate `pair`), h2c (cleartext
    HTTP/2 on both sides), websocket, tcp, udp (one answer to each datagram), filters (native
    filters: those of the `set`), least (the endpoints are `origin` and `others`, balanced by least
    requests with two choices), static (the folder of `static_files`), static-copied (the same, by
    whoever has the choice without sendfile).
    """

    folder: Path
    port: int
    origin: int
    flavour: str = "plain"
    routes: int = 1
    set: str = ""
    workers: int = 1
    pair: Pair | None = None
    others: tuple[int, ...] = ()

    @property
    def endpoints(self) -> tuple[int, ...]:
        """The ports of all endpoints behind it."""
        return (self.origin, *self.others)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the configuration; returns its path."""
        path = self.folder / name
        path.write_text(text)
        return path

    def static_files(self) -> Path:
        """A folder with files of `STATIC_BYTES`, called as the generator asks for them."""
        root = self.folder / "www"
        (root / "bytes").mkdir(parents=True)
        for size in STATIC_BYTES:
            (root / "bytes" / str(size)).write_bytes(b"x" * size)
        return root


@dataclass(slots=True)
class Running:
    """A started proxy: its first process, and the port that it serves."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    _known: set[int] = field(default_factory=set)

    def pids(self) -> list[int]:
        """Its processes now, first process first."""
        found = proc.tree(self.process.pid)
        self._known.update(found)
        return found

    def stop(self) -> None:
        """End it: politely, then for good. Only processes of its own tree are touched."""
        self.pids()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                for pid in self.pids():
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                self.process.wait()


class Contender(ABC):
    """One proxy. Instances keep nothing but what `install` found out."""

    name: str
    label: str
    flavours: frozenset[str] = frozenset({"plain"})
    access_log = "access.log"
    """The file of a setup's folder that the log flavour writes."""

    @abstractmethod
    def install(self) -> None:
        """Make it runnable on this machine. Unavailable when that cannot be done."""

    @abstractmethod
    def version(self) -> str:
        """What is installed, as it calls itself."""

    @abstractmethod
    def command(self, setup: Setup) -> Sequence[str]:
        """Write the configuration into `setup.folder` and return the command that serves it."""

    def cold_command(self, setup: Setup) -> Sequence[str]:
        """The command of the cold start figure, for a proxy that has a quickstart."""
        return self.command(setup)

    def environment(self, setup: Setup) -> Mapping[str, str]:
        """Variables that the command needs besides those of this process."""
        return {}

    def start(self, setup: Setup, *, cpus: str = str(PROXY_CPU)) -> Running:
        """Start it on `cpus`; return when it accepts. Unavailable with its output otherwise."""
        if setup.flavour not in self.flavours:
            raise Unavailable(f"{self.label} has no {setup.flavour!r} setting here")
        shutil.rmtree(setup.folder, ignore_errors=True)
        setup.folder.mkdir(parents=True)
        command = list(self.command(setup))
        running = self.spawn(setup, command, cpus)
        try:
            wait_for_port(running, datagrams=setup.flavour == "udp")
        except Unavailable:
            running.stop()
            raise
        return running

    def spawn(self, setup: Setup, command: Sequence[str], cpus: str) -> Running:
        """Start the process only. It dies with this process, whatever happens to that."""
        log = setup.folder / "output.txt"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", cpus, *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment(setup)},
                cwd=setup.folder,
                start_new_session=True,
            )
        return Running(self.name, process, setup.port, log)


def wait_for_port(running: Running, *, datagrams: bool = False) -> None:
    """Return when the proxy accepts connections. Unavailable when it ends or takes too long."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        code = running.process.poll()
        if code is not None:
            raise Unavailable(f"{running.name} ended at once (status {code}): {tail(running.log)}")
        if datagrams:
            if proc.takes_datagrams(running.port):
                return
        else:
            with suppress(OSError), socket.create_connection(("127.0.0.1", running.port), 1):
                return
        time.sleep(0.02)
    raise Unavailable(f"{running.name} does not listen: {tail(running.log)}")


def tail(log: Path, lines: int = 2) -> str:
    """The end of a proxy's output, on one line."""
    with suppress(OSError):
        return " | ".join(log.read_text(errors="replace").strip().splitlines()[-lines:])[-300:]
    return ""


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nobody listened on a moment ago, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for s in held:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in held]
    finally:
        for s in held:
            s.close()


def raise_file_limit() -> int:
    """Allow this process and those it starts as many descriptors as the system lets it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def route_paths(count: int) -> list[str]:
    """Distinct paths as an API has them: some depth, long common beginnings."""
    kinds = ("users", "orders", "items", "reports", "events")
    return [f"/v{i % 3}/{kinds[i % 5]}/team{i // 100:03d}/r{i}" for i in range(count)]
