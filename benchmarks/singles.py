"""Figures that are not load over time: memory, cold start, streaming, killed workers.

Each function returns its part of the result file: `figures` by contender or by name, each with the
values of every run, so that a reader can judge the spread.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from benchmarks import proc, tools
from benchmarks.contender import Contender, Running, Setup, free_ports
from benchmarks.errors import Unavailable
from benchmarks.machine import BUILD, LOAD_CPU, PROXY_CPU
from benchmarks.stats import Spread

Say = Callable[[str], None]

IDLE_CONNECTIONS = 5000
ALL_CPUS = f"{PROXY_CPU},{LOAD_CPU}"
SETTLE_S = 1.0
GIB = 1 << 30
SLOW_BYTES_A_SECOND = 4 << 20
SLOW_S = 10.0
SLOW_WINDOW = 64 * 1024
STREAM_TIMEOUT_S = 120.0
PROBES = 64
KILL_LOAD_S = 60.0
KILL_SETTLE_S = 1.0
REPLACED_TIMEOUT_S = 15.0


def start_pair(
    contender: Contender,
    name: str,
    ends: ExitStack,
    *,
    workers: int = 1,
    cpus: str = str(PROXY_CPU),
) -> Running:
    """Start an origin and one proxy before it; both end with `ends`."""
    folder = BUILD / "run" / name
    port, origin_port = free_ports(2)
    origin = tools.start_origin(origin_port, folder / "origin")
    ends.callback(origin.stop)
    setup = Setup(folder / contender.name, port, origin_port, workers=workers)
    running = contender.start(setup, cpus=cpus)
    ends.callback(running.stop)
    return running


def request(size: int, host: str = "bench.example") -> bytes:
    """A GET for a body of `size` bytes."""
    return f"GET {tools.origin_path(size)} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def ask(s: socket.socket, size: int = 64) -> None:
    """One request and its whole answer on an open connection. Unavailable when it is not a 200."""
    s.sendall(request(size))
    got = b""
    while b"\r\n\r\n" not in got:
        piece = s.recv(65536)
        if not piece:
            raise Unavailable("the proxy closed a connection without an answer")
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise Unavailable(f"answers {head.splitlines()[0]!r}")
    left = size - len(body)
    while left > 0:
        piece = s.recv(min(left, 65536))
        if not piece:
            raise Unavailable("the proxy closed a connection in an answer")
        left -= len(piece)


def serving(running: Running, held: socket.socket) -> int:
    """The process that holds the accepted end of `held`, a connection that is open to the proxy."""
    held.getpeername()
    found = proc.accepted(running.pids(), running.port)
    if not found:
        raise Unavailable(f"no process of {running.name} holds the connection")
    return max(found, key=lambda pid: found[pid])


def memory(contenders: Mapping[str, Contender], say: Say) -> dict[str, Any]:
    """PSS of the serving process after start, and what each idle connection adds to it."""
    figures: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name, contender in contenders.items():
        try:
            with ExitStack() as ends:
                figures[name] = memory_of(start_pair(contender, "memory", ends))
        except Unavailable as exc:
            left_out[name] = str(exc)
            continue
        kept = figures[name]
        say(
            f"memory: {name}: {kept['start_bytes'] / 1048576:.1f} MiB after start, "
            f"{kept['idle_connection_bytes']:.0f} bytes an idle connection"
        )
    return {"title": "memory", "figures": figures, "left_out": left_out}


def memory_of(running: Running) -> dict[str, float]:
    """The memory figures of one started proxy.

    "Start" is before it served anything but the one request that finds its process. The base of the
    idle figure is taken after a few connections, so that what is set up once does not count.
    """
    with ExitStack() as ends:
        first = ends.enter_context(socket.create_connection(("127.0.0.1", running.port), 10))
        ask(first)
        pid = serving(running, first)
        start = proc.pss(pid)
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", running.port), 10) as s:
                ask(s)
        time.sleep(SETTLE_S)
        base = proc.pss(pid)
        for _ in range(IDLE_CONNECTIONS):
            s = ends.enter_context(socket.create_connection(("127.0.0.1", running.port), 10))
            ask(s)
        time.sleep(SETTLE_S)
        held = proc.accepted([pid], running.port).get(pid, 0)
        if held < IDLE_CONNECTIONS:
            raise Unavailable(f"holds only {held} of {IDLE_CONNECTIONS} connections")
        grown = proc.pss(pid)
        tree = sum(proc.pss(p) for p in running.pids())
    return {
        "start_bytes": start,
        "base_bytes": base,
        "idle_bytes": grown,
        "tree_bytes": tree,
        "idle_connection_bytes": (grown - base) / IDLE_CONNECTIONS,
    }


def cold_start(contenders: Mapping[str, Contender], runs: int, say: Say) -> dict[str, Any]:
    """Milliseconds from exec to the first 200 received, interleaved over the contenders."""
    values: dict[str, list[float]] = {name: [] for name in contenders}
    left_out: dict[str, str] = {}
    folder = BUILD / "run" / "cold-start"
    with ExitStack() as ends:
        (origin_port,) = free_ports(1)
        ends.callback(tools.start_origin(origin_port, folder / "origin").stop)
        for _ in range(runs):
            for name, contender in contenders.items():
                if name in left_out:
                    continue
                try:
                    values[name].append(first_answer_ms(contender, folder / name, origin_port))
                except Unavailable as exc:
                    left_out[name] = str(exc)
    spreads = {name: Spread.of(v) for name, v in values.items() if v}
    figures = {name: {"ms": s.as_json(), "runs": values[name]} for name, s in spreads.items()}
    shown = ", ".join(f"{name} {s.median:.0f} ms" for name, s in spreads.items())
    say(f"cold start: {shown}")
    return {"title": "cold start", "figures": figures, "left_out": left_out}


def first_answer_ms(contender: Contender, folder: Path, origin_port: int) -> float:
    """Start one proxy anew and time its first answer (pyproxy: its quickstart)."""
    (port,) = free_ports(1)
    folder.mkdir(parents=True, exist_ok=True)
    setup = Setup(folder, port, origin_port)
    command = contender.cold_command(setup)
    begun = time.perf_counter()
    running = contender.spawn(setup, command, ALL_CPUS)
    try:
        while time.perf_counter() - begun < 30:
            if running.process.poll() is not None:
                raise Unavailable(f"ended at once: {running.log.read_text()[-300:]}")
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                if s.recv(4096).startswith(b"HTTP/1.1 200"):
                    return (time.perf_counter() - begun) * 1000
            time.sleep(0.0005)
        raise Unavailable("no 200 in 30 s")
    finally:
        running.stop()


def streaming(contenders: Mapping[str, Contender], say: Say) -> dict[str, Any]:
    """Memory that a proxy takes for 1 GiB to a reader that is slow for a while, then fast."""
    figures: dict[str, Any] = {}
    left_out: dict[str, str] = {}
    for name, contender in contenders.items():
        try:
            with ExitStack() as ends:
                figures[name] = stream_of(start_pair(contender, "streaming", ends))
        except Unavailable as exc:
            left_out[name] = str(exc)
            continue
        grown = figures[name]["growth_bytes"] / 1048576
        seconds = figures[name]["seconds"]
        say(f"streaming: {name}: 1 GiB in {seconds:.0f} s grew it by {grown:.2f} MiB")
    return {"title": "body streaming", "figures": figures, "left_out": left_out}


def stream_of(running: Running) -> dict[str, float]:
    """Peak resident memory of the serving process over its base: the kernel's own mark."""
    with socket.create_connection(("127.0.0.1", running.port), 30) as warm:
        ask(warm)
        pid = serving(running, warm)
        proc.reset_peak(pid)
        base = proc.rss(pid)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SLOW_WINDOW)
            s.settimeout(30)
            s.connect(("127.0.0.1", running.port))
            begun = time.monotonic()
            s.sendall(request(GIB))
            got = read_slowly(s, begun)
        peak = proc.peak_rss(pid)
    if got < GIB:
        raise Unavailable(f"only {got} bytes of 1 GiB came")
    return {
        "base_bytes": base,
        "peak_bytes": peak,
        "growth_bytes": peak - base,
        "seconds": time.monotonic() - begun,
    }


def read_slowly(s: socket.socket, begun: float) -> int:
    """Read an answer of 1 GiB: slowly for SLOW_S, then as fast as it comes. Returns its bytes."""
    got = 0
    piece = bytearray(1 << 20)
    while got < GIB:
        elapsed = time.monotonic() - begun
        if elapsed > STREAM_TIMEOUT_S:
            break
        if elapsed < SLOW_S and got > elapsed * SLOW_BYTES_A_SECOND:
            time.sleep(0.01)
            continue
        n = s.recv_into(piece, 65536 if elapsed < SLOW_S else len(piece))
        if n == 0:
            break
        got += n
    return got


def killed_workers(contender: Contender, say: Say) -> dict[str, Any]:
    """kill -9 each of two workers in turn under load: what was lost against what they had in hand.

    A worker is stopped first, so that its connections can be counted while nothing changes and new
    ones queue up behind it unaccepted: those must all be served by its successor.
    """
    figures: dict[str, Any] = {}
    for mode, close in (("keep-alive", False), ("new connections", True)):
        with ExitStack() as ends:
            running = start_pair(contender, "kill", ends, workers=2, cpus=ALL_CPUS)
            figures[mode] = kill_each(running, close)
        f = figures[mode]
        say(
            f"kill -9: {mode}: {f['killed']} workers killed with {f['in_hand']} requests in hand, "
            f"{f['lost']} lost of {f['requests']}, {f['refused']} refused"
        )
    return {"title": "kill -9 of each worker in turn", "figures": figures}


def workers(running: Running) -> list[int]:
    """The processes that serve: those that hold a share of many idle connections."""
    with ExitStack() as ends:
        for _ in range(PROBES):
            s = ends.enter_context(socket.create_connection(("127.0.0.1", running.port), 10))
            ask(s)
        found = sorted(proc.accepted(running.pids(), running.port))
    if not found:
        raise Unavailable("no worker holds a connection")
    return found


def kill_each(running: Running, close: bool) -> dict[str, int]:
    """Kill the workers of one started proxy one after the other under load."""
    victims = workers(running)
    work = tools.Work(connections=64, close=close)
    generator = tools.start_load(running.port, work, KILL_LOAD_S, until_eof=True)
    in_hand = 0
    try:
        time.sleep(KILL_SETTLE_S)
        for pid in victims:
            before = set(running.pids())
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.1)
            in_hand += proc.accepted([pid], running.port).get(pid, 0)
            os.kill(pid, signal.SIGKILL)
            wait_for_successor(running, before)
            time.sleep(KILL_SETTLE_S)
    finally:
        report = tools.finish_load(generator)
    errors = report["errors"]
    return {
        "killed": len(victims),
        "requests": report["requests"],
        "in_hand": in_hand,
        "lost": errors.pop("closed") + errors.pop("reset"),
        "refused": errors.pop("connect") + errors.pop("refused"),
        "other_errors": sum(errors.values()),
    }


def wait_for_successor(running: Running, before: set[int]) -> None:
    """Return when the tree has a process that it had not before. Unavailable when none comes."""
    deadline = time.monotonic() + REPLACED_TIMEOUT_S
    while time.monotonic() < deadline:
        if set(running.pids()) - before:
            return
        time.sleep(0.02)
    raise Unavailable("a killed worker was not replaced")
