"""A DNS server whose records change."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from .client import GUARD_SECONDS
from .datagrams import ask, client, query
from .foreign import foreign_environment


class DnsServer:
    """Made by `dns_server`; answers are valid for a second."""

    def __init__(self, folder: Path) -> None:
        self._log = folder / "dns.log"
        self._hosts = folder / "dns.hosts"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def serve(
        self, hosts: dict[str, list[str]], services: dict[str, list[tuple[str, int, int, int]]]
    ) -> None:
        """Know these from now on and nothing else: addresses by host name, and by service
        (target, port, priority, weight).
        """
        self.stop()
        lines = [f"{ip} {name}\n" for name, addresses in hosts.items() for ip in addresses]
        self._hosts.write_text("".join(lines))
        program = shutil.which("dnsmasq") or "/usr/sbin/dnsmasq"
        words = [
            *(program, "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv"),
            *("--pid-file=", "--user=", "--group=", "--bind-interfaces", "--no-hosts"),
            *("--listen-address=127.0.0.1", "--local-ttl=1", "--local=/test/"),
            *(f"--port={self.port}", f"--addn-hosts={self._hosts}"),
        ]
        for name, rows in services.items():
            words += [f"--srv-host={name},{','.join(map(str, row))}" for row in rows]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(words, stderr=log, env=foreign_environment())
        self._await()

    def _await(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + GUARD_SECONDS
        with client(self.port) as sock:
            sock.settimeout(0.1)
            while time.monotonic() < deadline:
                assert self._process.poll() is None, self._log.read_text()
                try:
                    ask(sock, query("ready.test"))
                    return
                except ConnectionRefusedError:
                    time.sleep(0.05)
                except TimeoutError:
                    continue
        raise AssertionError(f"the DNS server does not answer: {self._log.read_text()}")

    def stop(self) -> None:
        """Answer nobody."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(GUARD_SECONDS)
            self._process = None


def _free_port() -> int:
    """One that was free a moment ago, for datagrams and for connections."""
    while True:
        with (
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
        ):
            udp.bind(("127.0.0.1", 0))
            port = int(udp.getsockname()[1])
            with contextlib.suppress(OSError):
                tcp.bind(("127.0.0.1", port))
                return port


@contextlib.contextmanager
def dns_server(folder: Path) -> Iterator[DnsServer]:
    """On a free port of 127.0.0.1; it serves nothing before it is told to."""
    server = DnsServer(folder)
    try:
        yield server
    finally:
        server.stop()
