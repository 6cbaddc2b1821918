"""Upgrades and reloads under systemd, as PID 1 of a container, and under a tiny init."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Iterator

import pytest

from testenv import Proxy, connect, get, read_response, running, send, wait_until

CONFIG = """
    workers: 2
    control_socket: {folder}/control.sock
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    routes: [{{respond: {{body: {body}}}}}]
"""


def config(folder, body: str = "one") -> str:
    return CONFIG.format(folder=folder, body=body)


class Manager:
    """The other end of NOTIFY_SOCKET, as sd_notify(3) describes it."""

    def __init__(self, path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.sock.setblocking(False)
        self.said: list[str] = []
        self.stored: list[str] = []
        self.kept: list[int] = []

    def listen(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                text, fds, _, _ = socket.recv_fds(self.sock, 65536, 253)
                lines = text.decode().splitlines()
                if "FDSTORE=1" in lines:
                    self.stored += [line for line in lines if line.startswith("FDNAME=")]
                    self.kept += fds
                    fds = []
                elif "BARRIER=1" not in lines:
                    self.said += lines
                for fd in fds:  # closing is also the answer to a barrier
                    os.close(fd)
        return self.said


@contextlib.contextmanager
def managed(tmp_path) -> Iterator[tuple[Manager, Proxy]]:
    manager = Manager(tmp_path / "notify.sock")
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify.sock")}
    with manager.sock, running(config(tmp_path), folder=tmp_path, env=environment) as proxy:
        wait_until(lambda: "READY=1" in manager.listen(), "READY=1")
        yield manager, proxy


def test_systemd_keeps_the_sockets_and_hears_of_reloads(tmp_path) -> None:
    with managed(tmp_path) as (manager, proxy):
        assert manager.stored == ["FDNAME=pyproxy-web-0-0", "FDNAME=pyproxy-web-0-1"]
        manager.said.clear()
        assert proxy.reload(config(tmp_path, "two")).returncode == 0
        wait_until(lambda: "READY=1" in manager.listen(), "the end of the reload")
        assert manager.said[0] == "RELOADING=1"
        assert manager.said[1].startswith("MONOTONIC_USEC=")


def test_systemd_hears_of_the_new_main_process_before_the_old_one_ends(tmp_path) -> None:
    with managed(tmp_path) as (manager, proxy):
        manager.said.clear()
        answering = proxy.ask_in_background("upgrade")

        def told() -> bool:
            return any(line.startswith("MAINPID=") for line in manager.listen())

        wait_until(told, "the new main process")
        wait_until(lambda: manager.listen() is not None and answering.poll() is not None, "done")
        assert answering.returncode == 0
        wait_until(lambda: manager.listen() is not None and not proxy.running, "the old one ends")
        assert f"MAINPID={proxy.status()['generations'][0]['pid']}" in manager.said
        assert "STOPPING=1" not in manager.said


def test_a_client_that_waits_is_served_by_the_successor_of_a_crash(tmp_path) -> None:
    with managed(tmp_path) as (manager, proxy):
        port = proxy.port()
        for pid in proxy.processes():
            os.kill(pid, signal.SIGKILL)
        proxy.wait()
    # Nobody runs, but systemd holds the sockets: the kernel goes on taking connections.
    with connect(port) as client:
        send(client)
        moves = "; ".join(f"exec {3 + i}<&{fd}" for i, fd in enumerate(manager.kept))
        script = f'{moves}; export LISTEN_PID=$$; exec "$@"'
        environment = {
            "LISTEN_FDS": str(len(manager.kept)),
            "LISTEN_FDNAMES": ":".join(line[7:] for line in manager.stored),
        }
        with running(
            config(tmp_path, "again"),
            folder=tmp_path,
            env=environment,
            prefix=["bash", "-c", script, "bash"],
            pass_fds=manager.kept,
        ) as proxy:
            assert proxy.port() == port
            assert read_response(client).text == "again"
    for fd in manager.kept:
        os.close(fd)


def upgrade_and_end(proxy: Proxy, folder) -> None:
    """One upgrade, then the signal that ends a container."""
    port = proxy.port()
    (folder / "pyproxy.yaml").write_text(config(folder, "two").strip().replace("\n    ", "\n"))
    assert proxy.ask("upgrade").returncode == 0
    wait_until(lambda: len(proxy.status()["generations"]) == 1, "the first generation has ended")
    assert proxy.running  # the init is the process that was started
    assert get(port).text == "two"
    proxy.signal(signal.SIGTERM)
    assert proxy.wait() == 0
    wait_until(lambda: not proxy.processes(), "everything has ended")


def test_an_init_stays_while_generations_come_and_go(tmp_path) -> None:
    with running(config(tmp_path), folder=tmp_path, words=["--init"]) as proxy:
        upgrade_and_end(proxy, tmp_path)


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs root for a pid namespace"
)
def test_as_pid_1_of_a_container(tmp_path) -> None:
    prefix = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with running(config(tmp_path), folder=tmp_path, prefix=prefix) as proxy:
        port = proxy.port()
        assert proxy.ask("upgrade").returncode == 0
        wait_until(lambda: len(proxy.status()["generations"]) == 1, "the first one has ended")
        assert proxy.status()["generations"][0]["generation"] == 2
        assert get(port).text == "one"
