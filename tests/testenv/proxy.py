"""Start a real pyproxy from the text of a configuration, and find out where it listens."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .client import GUARD_SECONDS, Response, get

_LISTENING = re.compile(r"^listening\s+(\S+)\s+(\S+)")
_OTHER = re.compile(r"^(admin|demo)\s+(\S+)")


def command() -> list[str]:
    """How pyproxy is started; PYPROXY_COMMAND replaces it, for a build somewhere else."""
    return shlex.split(os.environ.get("PYPROXY_COMMAND", "")) or [sys.executable, "-m", "pyproxy"]


def wait_until(condition: Callable[[], object], what: str, seconds: float = GUARD_SECONDS) -> None:
    """Wait for something that must happen; the bound only turns a hang into a failure."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not happen: {what}")
        time.sleep(0.01)


def free_port() -> int:
    """A port that was free a moment ago; for tests that must name one."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@dataclass
class Ended:
    """A process that has ended by itself."""

    status: int
    stdout: str
    stderr: str


class Proxy:
    """A running pyproxy; made by `running`. Text of its output grows as it is written."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self.folder = folder
        self._lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._readers = [
            threading.Thread(target=self._read, args=(name,), daemon=True) for name in self._lines
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, name: str) -> None:
        for line in getattr(self._process, name):
            self._lines[name].append(line)

    # ---- what it said

    @property
    def stderr(self) -> str:
        return "".join(self._lines["stderr"])

    @property
    def stdout(self) -> str:
        return "".join(self._lines["stdout"])

    def access_log(self, count: int = 1, target: str | None = None) -> list[dict[str, Any]]:
        """The access log on its standard output (what is said of <target>), once it has <count>.

        A line is written at the end of a turn and behind the answer: who has the answer is early.
        """

        def entries() -> list[dict[str, Any]]:
            every = [json.loads(line) for line in self.stdout.splitlines()]
            return [entry for entry in every if target in {None, entry["target"]}]

        wait_until(lambda: len(entries()) >= count, f"{count} lines in the access log")
        return entries()

    def urls(self, listener: str = "web") -> list[str]:
        """Everything that <listener> is bound to, in the order of the configuration."""
        found = [_LISTENING.match(line) for line in self.stderr.splitlines()]
        return [m[2] for m in found if m and m[1] == listener]

    def port(self, listener: str = "web", index: int = 0) -> int:
        """The real port of a TCP listener."""
        tcp = [url for url in self.urls(listener) if not url.startswith("unix:")]
        return int(tcp[index].rpartition(":")[2])

    def path(self, listener: str = "web") -> str:
        """The path of a unix listener."""
        return next(url[5:] for url in self.urls(listener) if url.startswith("unix:"))

    @property
    def admin_port(self) -> int:
        """The real port of the admin server."""
        urls = [m[2] for m in map(_OTHER.match, self.stderr.splitlines()) if m and m[1] == "admin"]
        return int(urls[0].rpartition(":")[2])

    # ---- what it does

    def get(self, path: str = "/", listener: str = "web", **options: object) -> Response:
        """One request to a TCP listener; options as for `send`."""
        return get(self.port(listener), path, **options)

    def admin(self, path: str) -> Response:
        """One request to the admin server."""
        return get(self.admin_port, path)

    def metrics(self) -> dict[str, float]:
        """Every sample of /metrics by its name and labels, as written there."""
        lines = self.admin("/metrics").text.splitlines()
        samples = (line.rpartition(" ") for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in samples}

    # ---- its processes

    @property
    def pid(self) -> int:
        """The supervisor."""
        return self._process.pid

    def children(self, comm: str = "") -> dict[str, int]:
        """Process names of the children and their pids; those that begin with <comm>."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                text = (entry / "stat").read_text()
                name, _, rest = text.partition("(")[2].rpartition(")")
                state, parent = rest.split()[:2]
                if int(parent) == self.pid and state != "Z" and name.startswith(comm):
                    found[name] = int(entry.name)
        return found

    def workers(self) -> list[int]:
        """The pids of the workers, by slot."""
        found = self.children("pyproxy-w")
        return [found[name] for name in sorted(found, key=lambda n: int(n[9:]))]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        self._process.send_signal(number)

    def processes(self) -> list[int]:
        """Everything that runs of it: all generations, with their workers."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                # Everything is in the session that was made for it.
                if int(fields[3]) == self.pid and fields[0] != "Z":
                    found.append(int(entry.name))
        return sorted(found)

    def supervisors(self) -> list[int]:
        """Those of `processes` that are supervisors (of all generations)."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text().strip()
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if not name.startswith("pyproxy-") and b"run" in words:
                    found.append(pid)
        return found

    def children_of(self, supervisor: int) -> list[int]:
        """The processes that a supervisor has made."""
        found = []
        for pid in self.processes():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                if int(fields[1]) == supervisor:
                    found.append(pid)
        return found

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run another command about it: `proxy.ask("reload")`."""
        config = str(self.folder / "pyproxy.yaml")
        return subprocess.run(
            [*command(), words[0], "-c", config, *words[1:]],
            capture_output=True,
            text=True,
            cwd=self.folder,
            timeout=GUARD_SECONDS,
            check=False,
        )

    def ask_in_background(self, *words: str) -> subprocess.Popen[bytes]:
        """The same without waiting for it."""
        config = str(self.folder / "pyproxy.yaml")
        return subprocess.Popen(
            [*command(), words[0], "-c", config, *words[1:]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def status(self) -> dict[str, Any]:
        """What `pyproxy status` knows."""
        asked = self.ask("status", "--json")
        assert asked.returncode == 0, asked.stderr
        return dict(json.loads(asked.stdout))

    def reload(self, config: str) -> subprocess.CompletedProcess[str]:
        """Put another configuration in the place of the present one, and ask for it."""
        (self.folder / "pyproxy.yaml").write_text(textwrap.dedent(config))
        return self.ask("reload")

    def wait(self) -> int:
        """Wait for the end of the first process; its exit status.

        All output has been read then, unless a later generation goes on writing.
        """
        status = self._process.wait(GUARD_SECONDS)
        if not self.processes():
            for reader in self._readers:
                reader.join(GUARD_SECONDS)
        return status

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def wait_for(self, text: str, count: int = 1) -> None:
        """Wait until <text> stands in the diagnostics <count> times."""
        wait_until(
            lambda: self.stderr.count(text) >= count or not self.running,
            f"{text!r} in the diagnostics:\n{self.stderr}",
        )
        assert self.stderr.count(text) >= count, self.stderr

    def end(self) -> None:
        """Make sure that nothing of it is left, later generations included."""
        for number in (signal.SIGINT, signal.SIGKILL):
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            with contextlib.suppress(AssertionError):
                wait_until(lambda: self._process.poll() is not None and not self.processes(), "")
                break
        self._process.wait()
        for reader in self._readers:
            reader.join(GUARD_SECONDS)


def _start(
    config: str,
    folder: Path,
    files: Mapping[str, str],
    env: Mapping[str, str],
    prefix: list[str],
    words: list[str],
    options: dict[str, object],
) -> subprocess.Popen[str]:
    for name, text in {"pyproxy.yaml": config, **files}.items():
        (folder / name).write_text(textwrap.dedent(text))
    # Buffers of the child would hold back lines that a test waits for.
    environ = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", **env}
    return subprocess.Popen(
        [*prefix, *command(), "run", "-c", str(folder / "pyproxy.yaml"), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environ,
        start_new_session=True,
        **options,  # type: ignore[call-overload]
    )


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="pyproxy-test-") as made:
        yield Path(made)


@contextlib.contextmanager
def running(
    config: str,
    *,
    files: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    prefix: list[str] | None = None,
    words: list[str] | None = None,
    ready: bool = True,
    **options: object,
) -> Iterator[Proxy]:
    """A pyproxy that is ready; it is ended when the block is left.

    `files` are written beside the configuration (modules of Python filters: that folder is searched
    for them), `prefix` goes before the command and `words` after it, `options` go to
    `subprocess.Popen`. Its diagnostics
    are printed when the block raises. Raises `AssertionError` when it does not become ready.
    """
    with _folder(folder) as place:
        process = _start(config, place, files or {}, env or {}, prefix or [], words or [], options)
        proxy = Proxy(process, place)
        try:
            if ready:
                proxy.wait_for("ready in ")
            yield proxy
        except BaseException:
            print(f"---- diagnostics of pyproxy {proxy.pid}\n{proxy.stderr}", file=sys.stderr)
            raise
        finally:
            proxy.end()


def run_to_end(
    config: str,
    *,
    files: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    prefix: list[str] | None = None,
    words: list[str] | None = None,
    **options: object,
) -> Ended:
    """Start a pyproxy that is expected to end by itself, and wait for that."""
    with _folder(folder) as place:
        process = _start(config, place, files or {}, env or {}, prefix or [], words or [], options)
        try:
            stdout, stderr = process.communicate(timeout=GUARD_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return Ended(process.returncode, stdout, stderr)
