"""The clients: programs of their own that run until their standard input ends."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, Self

from benchmarks import tools
from benchmarks.errors import Unavailable
from benchmarks.machine import ROOT

PATIENCE_SECONDS = 60.0
# Longer than any run: what ends it is the end of its input.
_FOREVER_SECONDS = 3600.0


class Clients:
    """A client program. It says what it can in JSON lines, and a report at its end."""

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            command, env=_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.report: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def tell(self, **what: Any) -> None:
        """Write one line to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(what) + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for one line. Raises `Unavailable` when none comes."""
        out = self._process.stdout
        assert out is not None
        ready, _, _ = select.select([out], [], [], PATIENCE_SECONDS)
        line = out.readline() if ready else ""
        if not line:
            raise Unavailable("the clients say nothing")
        said: dict[str, Any] = json.loads(line)
        return said

    def end(self) -> dict[str, Any]:
        """Let them finish what is under way, and take their report."""
        try:
            out, _ = self._process.communicate(timeout=PATIENCE_SECONDS)
            self.report = json.loads(out)
        except subprocess.TimeoutExpired as error:
            raise Unavailable("the clients do not end") from error
        except ValueError as error:
            raise Unavailable(f"the clients ended with {self._process.returncode}") from error
        return self.report

    def alive_for(self, seconds: float) -> None:
        """Let them work; raises `Unavailable` when they end by themselves."""
        time.sleep(seconds)
        if self._process.poll() is not None:
            raise Unavailable(f"the clients ended with {self._process.returncode}")


def _environment() -> dict[str, str]:
    """Ours, in which the tree can be imported from, wherever we were started."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def new_connections(port: int, clients: int, size: int = 64) -> Clients:
    """A closed loop at full rate, a new connection for each request (macro/load.c)."""
    work = tools.Work(connections=clients, size=size, close=True)
    words = work.arguments(port, _FOREVER_SECONDS)
    return Clients([str(tools.program("load")), *words, "--until-eof"])


def own(module: str, **options: Any) -> Clients:
    """One of our client programs in Python, `benchmarks.soak.<module>`."""
    words = json.dumps(options)
    return Clients([sys.executable, "-m", f"benchmarks.soak.{module}", words])


def failed(report: Mapping[str, Any]) -> dict[str, int]:
    """What the generator counted, in the words of the result."""
    errors = report["errors"]
    return {
        "refused": errors["refused"] + errors["connect"],
        "reset": errors["reset"],
        "closed": errors["closed"],
        "timed out": errors["timeout"],
        "not 200": errors["status"],
        "wrong": errors["length"] + errors["parse"],
    }
