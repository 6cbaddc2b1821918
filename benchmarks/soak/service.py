"""One pyproxy service under test: start it, tell it things, and see all of it end."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from benchmarks.errors import Unavailable
from benchmarks.soak import session
from pyproxy.errors import ConfigError, Fault, StartError
from pyproxy.supervise.channel import ChannelError, Kind
from pyproxy.supervise.control_socket import call

START_SECONDS = 30.0
ANSWER_SECONDS = 60.0
LAST_ANSWER_SECONDS = 5.0
END_SECONDS = 20.0
_LOOK_SECONDS = 0.02


class Refused(Exception):
    """The service said no, and why."""


def program(*words: str) -> list[str]:
    """A command line of the installed pyproxy, or of the one that PYPROXY_COMMAND names."""
    command = shlex.split(os.environ.get("PYPROXY_COMMAND", ""))
    return [*(command or [sys.executable, "-m", "pyproxy"]), *words]


class Service:
    """A running service. `with` ends it; `left` is then how many processes had to be killed."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        """Start it and wait until it serves. Raises `Unavailable`."""
        self.folder = folder
        self.file = folder / "pyproxy.yaml"
        self.control = folder / "control"
        self.admin = folder / "admin"
        self.log = folder / "log"
        self.left = 0
        self.unanswered: list[str] = []
        self._started = False
        self._patience = ANSWER_SECONDS
        self.configure(config)
        with self.log.open("wb") as out:
            self._first = subprocess.Popen(
                program("run", "-c", str(self.file)),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.session = self._first.pid
        try:
            self.wait(self.serves, "it does not start", START_SECONDS)
        except Unavailable:
            session.kill(self.session)
            raise
        self._started = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.stop()

    def configure(self, config: Mapping[str, Any]) -> None:
        """Write the configuration; JSON is YAML too. It takes effect at the next reload."""
        whole = {"control_socket": str(self.control), "admin": f"unix:{self.admin}", **config}
        new = self.file.with_suffix(".new")
        new.write_text(json.dumps(whole, indent=1))
        new.replace(self.file)

    # ---- asking it

    def ask(self, command: str, **more: Any) -> dict[str, Any]:
        """One command over the control socket, as `pyproxy reload` and the others do.

        Raises `Refused` with what the service says. Somebody must always answer: a hang-up counts
        in `unanswered`, and is followed by another try.
        """
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return self._ask_once(command, deadline, more)
            except (StartError, ChannelError, ConnectionError) as error:
                if self._first.poll() not in (None, 0) or time.monotonic() > deadline:
                    raise Refused(str(error)) from error
                if self._started:
                    self.unanswered.append(f"{command}: {error}")
                time.sleep(_LOOK_SECONDS)

    def _ask_once(self, command: str, deadline: float, more: Mapping[str, Any]) -> dict[str, Any]:
        channel = call(self.control, command, **more)
        try:
            while time.monotonic() < deadline:
                for message in channel.receive_blocking(1.0):
                    if message.kind is Kind.DONE:
                        if message.body.get("moved"):
                            return self._ask_once(command, deadline, more)
                        return _outcome(message.body)
                if channel.closed:
                    raise ConnectionError("hung up without an answer")
        finally:
            channel.close()
        raise Refused(f"no answer to {command}")

    def status(self) -> dict[str, Any]:
        """What `pyproxy status --json` shows."""
        return self.ask("status")

    def upgrade(self, words: Sequence[str] | None = None) -> dict[str, Any]:
        """Let the same program, or the one that <words> start, take over."""
        return self.ask("upgrade", program=list(words) if words else None)

    def reload(self) -> dict[str, Any]:
        """Serve what the file says now."""
        return self.ask("reload")

    def serves(self) -> dict[str, Any] | None:
        """The newest generation, when it is the service."""
        if self._first.poll() not in (None, 0):
            raise Unavailable(f"the service ended: {self.tail()}")
        try:
            newest: dict[str, Any] = self.status()["generations"][0]
        except Refused:
            return None
        return newest if newest["phase"] == "running" else None

    def supervisor(self) -> int:
        """The process that is the service now."""
        return int(self.status()["generations"][0]["pid"])

    def workers(self) -> list[int]:
        """The workers of the newest generation, by slot."""
        return [int(row["pid"]) for row in self.status()["generations"][0]["workers"]]

    def port(self, listener: str) -> int:
        """Where a listener really is."""
        rows = [row for row in self.status()["listeners"] if row["name"] == listener]
        return int(rows[0]["port"])

    def metrics(self) -> str:
        """Scrape /metrics once. Raises OSError when that fails."""
        with socket.socket(socket.AF_UNIX) as end:
            end.settimeout(10)
            end.connect(str(self.admin))
            end.sendall(b"GET /metrics HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n")
            got = bytearray()
            while piece := end.recv(1 << 20):
                got += piece
        head, _, body = bytes(got).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ConnectionError(f"the answer was {head[:40]!r}")
        return body.decode()

    # ---- waiting

    def wait(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """Wait until something is so. Raises `Unavailable` when it does not happen."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise Unavailable(f"{what} within {seconds:g} s: {self.tail()}")
            time.sleep(_LOOK_SECONDS)

    def is_settled(self) -> bool:
        """One generation, every worker ready, nothing in progress."""
        try:
            status = self.status()
        except Refused:
            return False
        generations = status["generations"]
        workers = generations[0]["workers"]
        return (
            len(generations) == 1
            and generations[0]["phase"] == "running"
            and all(worker["state"] == "ready" for worker in workers)
            and not status["reload"]
            and not status["upgrade"]
        )

    def settle(self, seconds: float = END_SECONDS) -> None:
        """Wait until older generations have ended. Raises `Unavailable`."""
        self.wait(self.is_settled, "older generations do not end", seconds)

    def tail(self, lines: int = 5) -> str:
        """The end of what it said."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # ---- the end

    def stop(self) -> None:
        """SIGTERM, and wait until the last process of the session has gone."""
        self._patience = LAST_ANSWER_SECONDS
        with suppress(Refused, ProcessLookupError):
            os.kill(self.supervisor(), signal.SIGTERM)
        deadline = time.monotonic() + END_SECONDS
        while session.members(self.session) and time.monotonic() < deadline:
            self._first.poll()
            time.sleep(_LOOK_SECONDS)
        self.left = session.kill(self.session)
        self._first.wait()

    def remains(self) -> dict[str, int]:
        """What must be zero when it has ended: processes, and tracebacks in the log."""
        crashes = self.log.read_text(errors="replace").count("Traceback (most recent call last)")
        return {"processes left": self.left, "tracebacks": crashes}


def _outcome(body: Mapping[str, Any]) -> dict[str, Any]:
    if body.get("ok"):
        return dict(body)
    faults = [Fault(*fault) for fault in body.get("faults") or ()]
    raise Refused(str(ConfigError(faults)) if faults else str(body.get("error", "no")))
