"""Datagrams: an origin that a test plays, a DNS server that is real, and questions to it."""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .client import GUARD_SECONDS
from .foreign import foreign_environment

Address = tuple[str, int]


class DatagramOrigin:
    """Answers each datagram with what <answer> makes of it (None: not at all), and remembers it."""

    def __init__(
        self,
        answer: Callable[[bytes], bytes | None] = bytes.upper,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_DGRAM)
        self.sock.bind((host, port))
        self.answer = answer
        self.seen: list[tuple[bytes, Address]] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.sock.getsockname()[1])

    @property
    def address(self) -> str:
        host = self.sock.getsockname()[0]
        return f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}"

    def _serve(self) -> None:
        while True:
            try:
                data, where = self.sock.recvfrom(70_000)
            except OSError:
                return
            if data == b"end of the test" and where == self.sock.getsockname():
                return
            self.seen.append((data, where))
            if (reply := self.answer(data)) is not None:
                self.sock.sendto(reply, where)

    def push(self, data: bytes) -> None:
        """Send to the session that has spoken last."""
        self.sock.sendto(data, self.seen[-1][1])

    def close(self) -> None:
        self.sock.sendto(b"end of the test", self.sock.getsockname())
        self._thread.join(GUARD_SECONDS)
        self.sock.close()

    def __enter__(self) -> DatagramOrigin:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def client(port: int, host: str = "127.0.0.1") -> socket.socket:
    """A socket that speaks with that port only."""
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((host, port))
    sock.settimeout(GUARD_SECONDS)
    return sock


def ask(sock: socket.socket, data: bytes) -> bytes:
    """Send, and take the next answer."""
    sock.send(data)
    return sock.recv(70_000)


# ---- DNS (RFC 1035)


def query(name: str, number: int = 1) -> bytes:
    """A question for the IPv4 address of <name>."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    return (
        struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)
    )


@contextlib.contextmanager
def dnsmasq(folder: Path, hosts: dict[str, str]) -> Iterator[str]:
    """A DNS server that knows <hosts> and nothing else; its address."""
    program = shutil.which("dnsmasq") or "/usr/sbin/dnsmasq"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    words = [
        *(program, "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"),
        *("--pid-file=", "--user=", "--group=", "--bind-interfaces", "--listen-address=127.0.0.1"),
        *(f"--port={port}", *(f"--address=/{name}/{ip}" for name, ip in hosts.items())),
    ]
    path = folder / "dnsmasq.log"
    with (
        path.open("w") as log,
        subprocess.Popen(words, stderr=log, env=foreign_environment()) as process,
    ):
        try:
            _await_dns(port, process, path)
            yield f"127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(GUARD_SECONDS)


def _await_dns(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    with client(port) as sock:
        sock.settimeout(0.1)
        deadline = time.monotonic() + GUARD_SECONDS
        while time.monotonic() < deadline:
            assert process.poll() is None, log.read_text()
            try:
                ask(sock, query("ready.test"))
                return
            except ConnectionRefusedError:
                time.sleep(0.05)
            except TimeoutError:
                continue
    raise AssertionError(f"the DNS server does not answer: {log.read_text()}")
