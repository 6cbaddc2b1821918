"""Our own C programs under macro/: the load generator, the origin, the bare relay."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import install
from benchmarks.contender import Running, wait_for_port
from benchmarks.errors import Unavailable
from benchmarks.machine import BUILD, LOAD_CPU

MACRO = Path(__file__).resolve().parent / "macro"
PROGRAMS = BUILD / "bin"
LOAD_PATIENCE_S = 120.0


def program(name: str, libraries: Sequence[str] = ()) -> Path:
    """The compiled program `name`; built when its source or a header is newer."""
    return install.build_c(MACRO / f"{name}.c", PROGRAMS / name, libraries=libraries)


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of load: what to ask for, how often, over how many connections (see load.c)."""

    connections: int = 64
    size: int = 64
    upload: int = 0
    close: bool = False
    rate: float = 0.0
    headers: tuple[str, ...] = ()
    paths: Path | None = None
    any_length: bool = False
    mark: str = ""

    def arguments(self, port: int, seconds: float) -> list[str]:
        """The command line that loads `port` for so long."""
        words = ["--port", str(port), "--seconds", f"{seconds:g}"]
        words += ["--connections", str(self.connections)]
        if self.paths is not None:
            words += ["--paths", str(self.paths)]
        else:
            words += ["--path", origin_path(self.size)]
        if not self.any_length:
            words += ["--expect", str(self.size)]
        if self.upload:
            words += ["--body", str(self.upload)]
        if self.close:
            words.append("--close")
        if self.rate:
            words += ["--rate", f"{self.rate:.3f}"]
        if self.mark:
            words += ["--mark", self.mark]
        for line in self.headers:
            words += ["--header", line]
        return words


def origin_path(size: int) -> str:
    """The path that the origin answers with a body of `size` bytes."""
    return f"/bytes/{size}"


def start_load(
    port: int, work: Work, seconds: float, *, until_eof: bool = False
) -> subprocess.Popen[str]:
    """Start the generator. It ends after `seconds`; with `until_eof` also when its input ends."""
    command = ["taskset", "-c", str(LOAD_CPU), str(program("load")), *work.arguments(port, seconds)]
    return subprocess.Popen(
        [*command, "--until-eof"] if until_eof else command,
        stdin=subprocess.PIPE if until_eof else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish_load(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The report of a generator; one that was started with `until_eof` is ended first."""
    try:
        out, _ = process.communicate(timeout=LOAD_PATIENCE_S)
        report = json.loads(out)
    except subprocess.TimeoutExpired as exc:
        raise Unavailable("the load generator does not end") from exc
    except ValueError as exc:
        raise Unavailable(f"the load generator ended with status {process.returncode}") from exc
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if not isinstance(report, dict):
        raise Unavailable("the load generator printed no report")
    return report


def load(port: int, work: Work, seconds: float) -> dict[str, Any]:
    """Load `port` and return the generator's report."""
    return finish_load(start_load(port, work, seconds))


def start_origin(
    port: int, folder: Path, others: Sequence[int] = (), late_ms: int = 0, *, pinned: bool = True
) -> Running:
    """Start the origin, <pinned> to the load's core. It answers /bytes/N with N bytes.

    It serves the ports `others` too, the last of which answers late if <late_ms> is not 0.
    """
    pin = ["taskset", "-c", str(LOAD_CPU)] if pinned else []
    ports = [str(p) for p in (port, *others)]
    if late_ms:
        ports[-1] += f":{late_ms}"
    return start_server([*pin, str(program("origin")), *ports], port, folder)


def start_server(
    command: Sequence[str], port: int, folder: Path, *, datagrams: bool = False
) -> Running:
    """Start what the proxies forward to; return when it serves <port>."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "origin.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Running("origin", process, port, log)
    try:
        wait_for_port(running, datagrams=datagrams)
    except Unavailable:
        running.stop()
        raise
    return running
