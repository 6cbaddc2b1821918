"""A real Redis, which keeps nothing."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from testenv.foreign import foreign_environment
from testenv.proxy import free_port, wait_until

_PATHS = ("redis-server", "/usr/bin/redis-server")


class Redis:
    """Starts and stops `redis-server` on one free port and one socket."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_port()
        self.path = folder / "redis.sock"
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        program = next(found for name in _PATHS if (found := shutil.which(name)))
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        settings += ["--appendonly", "no", "--unixsocket", str(self.path), *self._options]
        self._process = subprocess.Popen(
            [program, *settings, "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
            env=foreign_environment(),
        )
        wait_until(self._answers, "redis-server")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "redis-server has ended"
        try:
            self.ask("PING")
        except OSError:
            return False
        return True

    def ask(self, *words: str | int) -> bytes:
        """The answer to one command, up to what arrives first, as it comes."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(self.path))
            encoded = [str(word).encode() for word in words]
            parts = [b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded]
            sock.sendall(b"*%d\r\n%s" % (len(parts), b"".join(parts)))
            got = sock.recv(65536)
            if not got:
                raise ConnectionError("no answer")
            return got

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Redis:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self.stop()


@contextmanager
def redis_server(*options: str) -> Iterator[Redis]:
    """One that runs; its socket's path is short."""
    temporary = tempfile.TemporaryDirectory(prefix="pyproxy-redis-")
    with temporary as folder, Redis(Path(folder), *options) as started:
        yield started
