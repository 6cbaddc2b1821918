"""A real pyproxy, with all its processes, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import site
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pyproxy
from pyproxy.errors import StartError
from pyproxy.testing.lasting import Lasting

__all__ = ["Proxy"]

_GUARD_SECONDS = 60.0
_LISTENING = re.compile(r"^listening\s+(\S+)\s+(\S+)")
_ADMIN = re.compile(r"^admin\s+(\S+)")
_ON_FREE_PORT = {"web": {"bind": "127.0.0.1:0"}}


class Proxy(Lasting):
    """`pyproxy run` with a configuration, from `with` (or `start`) until its end (or `close`).

    `config` is a mapping, or the text of a file. A mapping without `listeners` gets one on a free
    port, and one worker unless it says otherwise; in a text write `bind: "127.0.0.1:0"`. `files`
    are written beside it: {"audit.py": "..."} for the module of a filter. Modules that the test can
    import can be imported by the proxy, too. Raises `StartError` with all that was said when it
    does not start.
    """

    def __init__(
        self,
        config: str | Mapping[str, Any],
        *,
        files: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._config = config
        self._files = dict(files or {})
        self._env = dict(env or {})
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._lines: list[str] = []

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if error is not None:
            # pytest shows it with the failure.
            print(f"---- diagnostics of pyproxy\n{self.stderr}", file=sys.stderr)

    # ---- where it is

    @property
    def url(self) -> str:
        """The first address of the first listener, as clients write it: http://127.0.0.1:41234."""
        return self.urls()[0]

    def urls(self, listener: str = "") -> list[str]:
        """The addresses of a listener, or of all, in the order of the configuration."""
        found = [_LISTENING.match(line) for line in self._lines]
        return [m[2] for m in found if m and listener in ("", m[1])]

    @property
    def port(self) -> int:
        """The port of `url`."""
        return int(self.url.rpartition(":")[2])

    @property
    def admin_url(self) -> str:
        """The address of the admin server, if the configuration has one."""
        return next(m[1] for m in map(_ADMIN.match, self._lines) if m)

    @property
    def folder(self) -> Path:
        """Where its configuration and the other files are."""
        assert self._temporary is not None, "it was not started"
        return Path(self._temporary.name)

    @property
    def pid(self) -> int:
        """The process that runs it."""
        assert self._process is not None, "it was not started"
        return self._process.pid

    @property
    def stderr(self) -> str:
        """All that it has said so far."""
        return "".join(self._lines)

    # ---- what it does

    def start(self) -> None:
        """Start it, and wait until it serves."""
        self._temporary = tempfile.TemporaryDirectory(prefix="pyproxy-")
        self.write(self._files)
        self._write_config(self._config)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "pyproxy", "run", "-c", "pyproxy.yaml"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self._environ(),
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_for("ready in ")
        except BaseException:
            self.close()
            raise

    def write(self, files: Mapping[str, str]) -> None:
        """Write files beside the configuration."""
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")

    def reload(self, config: str | Mapping[str, Any] | None = None) -> None:
        """Serve another configuration, or the same with the changed code of its filters.

        Raises `StartError` with the faults when it is refused: then the old one is served on.
        """
        if config is not None:
            self._write_config(config)
        asked = self._command("reload")
        if asked.returncode:
            raise StartError(asked.stderr.rstrip())

    def wait_for(self, text: str) -> None:
        """Wait until it says <text>; `StartError` when it ends before."""
        deadline = time.monotonic() + _GUARD_SECONDS
        while text not in self.stderr:
            assert self._process is not None
            assert self._reader is not None
            if self._process.poll() is not None:
                self._reader.join(_GUARD_SECONDS)
                if text not in self.stderr:
                    raise StartError(f"pyproxy ended\n{self.stderr.rstrip()}")
            elif time.monotonic() > deadline:
                raise TimeoutError(f"pyproxy did not say {text!r}\n{self.stderr}")
            else:
                time.sleep(0.005)

    def close(self) -> None:
        """End it with all its processes, and remove its folder."""
        if self._process is not None:
            for number in (signal.SIGINT, signal.SIGKILL):
                # The session is its own: nobody else is in the group.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, number)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._process.wait(_GUARD_SECONDS)
                    break
        if self._reader is not None:
            self._reader.join(_GUARD_SECONDS)
        if self._temporary is not None:
            self._temporary.cleanup()

    # ---- how

    def _write_config(self, config: str | Mapping[str, Any]) -> None:
        if isinstance(config, Mapping):
            # JSON is YAML.
            text = json.dumps({"workers": 1, "listeners": _ON_FREE_PORT, **config}, indent=1)
        else:
            text = textwrap.dedent(config)
        (self.folder / "pyproxy.yaml").write_text(text, encoding="utf-8")

    def _environ(self) -> dict[str, str]:
        """The environment, with this process's path but for what every Python has anyway."""
        usual = {*sysconfig.get_paths().values(), *site.getsitepackages()}
        extra = [os.path.abspath(p) for p in sys.path if not _is_usual(p, usual)]
        old = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
        # First of all where this very pyproxy is: what is searched last here comes early there.
        mine = str(Path(pyproxy.__file__).resolve().parent.parent)
        path = os.pathsep.join(dict.fromkeys([mine, *extra, *old]))
        # Lines that a buffer holds back would not be seen.
        return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **self._env}

    def _command(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", "-m", "pyproxy", *words, "-c", "pyproxy.yaml"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=self._environ(),
            timeout=_GUARD_SECONDS,
            check=False,
        )

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            for line in stream:
                self._lines.append(line)  # each as it comes


def _is_usual(path: str, usual: set[str]) -> bool:
    return path in usual or path.endswith((".zip", "lib-dynload"))
