"""Another program takes over: what it gets, what clients see, and what happens when it fails."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pyproxy.supervise.channel import Channel, Kind
from pyproxy.supervise.control_socket import PROTOCOL
from testenv import (
    GUARD_SECONDS,
    Proxy,
    Reply,
    connect,
    get,
    origin,
    read_response,
    running,
    send,
    wait_until,
)
from testenv.certificates import certificates

CONFIG = """
    workers: {workers}
    control_socket: {folder}/control.sock
    upgrade_timeout: 20s
    admin: "127.0.0.1:0"
    listeners: {{web: {{bind: ["127.0.0.1:0", "unix:{folder}/web.sock"]}}}}
    routes: [{{respond: {{body: {body}}}}}]
    {more}
"""


@contextlib.contextmanager
def service(folder: Path, body: str = "one", workers: int = 2, more: str = "", **options):
    text = CONFIG.format(folder=folder, body=body, workers=workers, more=more)
    with running(text, folder=folder, **options) as proxy:
        yield proxy


@contextlib.contextmanager
def holding(folder: Path, more: str = "", **options):
    """A service whose origin answers `late` once the gate is open: (proxy, origin, gate)."""
    gate = threading.Event()

    def slow(request) -> Reply:
        gate.wait(GUARD_SECONDS)
        return Reply(body=b"late")

    with origin(slow) as app:
        upstream = f'upstreams: {{app: {{endpoints: ["{app.address}"]}}}}{more}'
        with service(folder, more=upstream, **options) as proxy:
            text = (folder / "pyproxy.yaml").read_text()
            asked = proxy.reload(text.replace("respond: {body: one}", "upstream: app"))
            assert asked.returncode == 0, asked.stderr
            yield proxy, app, gate


def rewrite(proxy: Proxy, **changes) -> None:
    """Another configuration for the next generation."""
    fields = {"folder": proxy.folder, "body": "one", "workers": 2, "more": "", **changes}
    text = CONFIG.format(**fields).strip().replace("\n    ", "\n")
    (proxy.folder / "pyproxy.yaml").write_text(text + "\n")


def newest(proxy: Proxy) -> dict:
    return proxy.status()["generations"][0]


def is_newest(proxy: Proxy, generation: int) -> bool:
    return newest(proxy)["generation"] == generation


def alone(proxy: Proxy, generation: int) -> bool:
    rows = proxy.status()["generations"]
    return [row["generation"] for row in rows] == [generation]


def socket_inodes(pid: int) -> set[str]:
    """Listening sockets that a process holds."""
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                listening.add(fields[9])
    for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "00010000":
            listening.add(fields[6])
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            target = os.readlink(fd)
            if target.startswith("socket:["):
                found.add(target[8:-1])
    return found & listening


@contextlib.contextmanager
def hammering(port: int) -> Iterator[list[str]]:
    """Requests on new connections as fast as one thread can; what went wrong is in the list."""
    wrong: list[str] = []
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            try:
                response = get(port)
            except OSError as error:
                wrong.append(repr(error))
            else:
                if response.status != 200:
                    wrong.append(str(response.status))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield wrong
    finally:
        over.set()
        for thread in threads:
            thread.join(GUARD_SECONDS)


# ---- taking over


def test_the_new_program_has_the_same_sockets_and_the_old_one_ends(tmp_path) -> None:
    with service(tmp_path) as proxy:
        port, before = proxy.port(), socket_inodes(proxy.pid)
        with hammering(port) as wrong:
            asked = proxy.ask("upgrade")
            assert asked.returncode == 0, asked.stderr
            assert proxy.wait() == 0
        assert wrong == []
        new = newest(proxy)
        assert new["generation"] == 2
        assert socket_inodes(new["pid"]) == before  # the control socket is one of them
        assert get(port).text == "one"
        assert get(str(tmp_path / "web.sock")).text == "one"


def test_a_command_right_after_an_upgrade_is_answered(tmp_path) -> None:
    with service(tmp_path, workers=1) as proxy:
        for generation in (2, 3, 4):
            assert proxy.ask("upgrade").returncode == 0
            assert newest(proxy)["generation"] == generation


def test_whoever_had_called_the_old_generation_is_told_to_ask_again(tmp_path) -> None:
    with holding(tmp_path) as (proxy, app, gate), connect(proxy.port()) as client:
        send(client)  # the old generation stays for this
        wait_until(lambda: app.requests, "the request is at the origin")
        caller = Channel(connect(str(tmp_path / "control.sock")))
        proxy.status()  # whoever asks after it has an answer, so it has been accepted
        assert proxy.ask("upgrade").returncode == 0
        caller.send(Kind.HELLO, {"protocol": PROTOCOL, "command": "status"})
        (answer,) = caller.receive_blocking(GUARD_SECONDS)
        assert answer.body["moved"]
        caller.close()
        gate.set()
        assert read_response(client).text == "late"


def test_a_new_path_of_the_control_socket_takes_effect(tmp_path) -> None:
    with service(tmp_path) as proxy:
        old = tmp_path / "control.sock"
        text = (tmp_path / "pyproxy.yaml").read_text()
        (tmp_path / "pyproxy.yaml").write_text(text.replace(str(old), f"{tmp_path}/other.sock"))
        proxy.signal(signal.SIGUSR2)
        wait_until((tmp_path / "other.sock").exists, "the new control socket")
        assert newest(proxy)["generation"] == 2
        assert not old.exists()


def test_sigusr2_does_the_same_and_the_new_configuration_is_served(tmp_path) -> None:
    with service(tmp_path) as proxy:
        rewrite(proxy, body="two", workers=3)
        proxy.signal(signal.SIGUSR2)
        assert proxy.wait() == 0
        wait_until(lambda: alone(proxy, 2), "the second generation")
        assert get(proxy.port()).text == "two"
        assert len(newest(proxy)["workers"]) == 3


def test_fewer_workers_lose_nothing_either(tmp_path) -> None:
    with service(tmp_path, workers=4) as proxy, hammering(proxy.port()) as wrong:
        rewrite(proxy, workers=1)
        assert proxy.ask("upgrade").returncode == 0
        proxy.wait()
        time.sleep(1.5)  # the surplus sockets are closed meanwhile
    assert wrong == []


def test_a_program_that_somebody_starts_by_hand_takes_over(tmp_path) -> None:
    from testenv.proxy import command

    with service(tmp_path) as proxy:
        words = [*command(), "run", "--upgrade", "-c", str(tmp_path / "pyproxy.yaml")]
        with subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.DEVNULL) as other:
            try:
                assert proxy.wait() == 0
                wait_until(lambda: alone(proxy, 2), "the second generation")
                assert newest(proxy)["pid"] == other.pid
                assert get(proxy.port()).text == "one"
            finally:
                other.send_signal(signal.SIGINT)


def test_without_a_running_service_there_is_nothing_to_take_over(tmp_path) -> None:
    from testenv import run_to_end

    text = CONFIG.format(folder=tmp_path, body="x", workers=1, more="")
    ended = run_to_end(text, folder=tmp_path, words=["--upgrade"])
    assert ended.status == 1
    assert "no pyproxy answers at" in ended.stderr


# ---- what clients see


def test_an_idle_connection_moves_and_its_client_sees_nothing(tmp_path) -> None:
    with service(tmp_path) as proxy:
        clients = [connect(proxy.port()) for _ in range(50)]
        for client in clients:
            send(client)
            assert read_response(client).text == "one"
        half = connect(proxy.port())
        half.sendall(b"GET /half HTTP/1.1\r\nHo")
        rewrite(proxy, body="two")
        assert proxy.ask("upgrade").returncode == 0
        assert proxy.wait() == 0
        for client in clients:
            send(client)
            response = read_response(client)
            assert response.text == "two"
            assert "connection" not in response.headers
            client.close()
        half.sendall(b"st: x\r\n\r\n")
        assert read_response(half).text == "two"
        half.close()


def test_connections_in_the_clear_stay_so_when_the_listener_gets_tls(tmp_path) -> None:
    with service(tmp_path) as proxy:
        idle, half = connect(proxy.port()), connect(proxy.port())
        send(idle)
        assert read_response(idle).text == "one"
        half.sendall(b"GET /half HTTP/1.1\r\nHo")
        rewrite(proxy, body="two")
        pair = certificates().server
        file = proxy.folder / "pyproxy.yaml"
        bind = f'bind: ["127.0.0.1:0", "unix:{tmp_path}/web.sock"]'
        text = file.read_text()
        assert text.count(bind) == 1
        file.write_text(text.replace(bind, f"{bind}, tls: {{cert: {pair.cert}, key: {pair.key}}}"))
        assert proxy.ask("upgrade").returncode == 0
        assert proxy.wait() == 0
        half.sendall(b"st: x\r\n\r\n")
        assert read_response(half).text == "two"
        send(idle)
        assert read_response(idle).text == "two"
        idle.close()
        half.close()
        assert "is lost" not in proxy.stderr


def resumes(proxy: Proxy, client: ssl.SSLContext, kept: list[ssl.SSLSession]) -> bool:
    """Was the session of <kept> resumed? It is replaced by a new one."""
    raw = socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS)
    session = kept.pop() if kept else None
    with client.wrap_socket(raw, server_hostname="app.test", session=session) as sock:
        send(sock, host="app.test")
        assert read_response(sock).status == 200
        kept.append(sock.session)
        return bool(sock.session_reused)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_of_tls_are_resumed_by_every_later_generation(tmp_path, version) -> None:
    client = certificates().client_context(maximum_version=version)
    pair = certificates().server
    bind = f'bind: ["127.0.0.1:0", "unix:{tmp_path}/web.sock"]'
    secured = f"{bind}, tls: {{cert: {pair.cert}, key: {pair.key}}}"
    text = CONFIG.format(folder=tmp_path, body="one", workers=2, more="").replace(bind, secured)
    with running(text, folder=tmp_path) as proxy:
        kept: list[ssl.SSLSession] = []
        assert not resumes(proxy, client, kept)
        for generation in (2, 3):
            assert proxy.ask("upgrade").returncode == 0
            wait_until(partial(alone, proxy, generation), "the old one has gone")
            # The kernel spreads the connections over the workers.
            assert all(resumes(proxy, client, kept) for _ in range(8))


def test_ticket_keys_change(tmp_path) -> None:
    client = certificates().client_context()
    pair = certificates().server
    bind = f'bind: ["127.0.0.1:0", "unix:{tmp_path}/web.sock"]'
    secured = f"{bind}, tls: {{cert: {pair.cert}, key: {pair.key}}}"
    more = "session_ticket_lifetime: 1s"
    text = CONFIG.format(folder=tmp_path, body="one", workers=2, more=more).replace(bind, secured)
    with running(text, folder=tmp_path) as proxy:
        kept: list[ssl.SSLSession] = []
        assert not resumes(proxy, client, kept)
        first = kept[0]
        wait_until(lambda: not resumes(proxy, client, [first]), "its key is forgotten")
        wait_until(lambda: resumes(proxy, client, kept), "newer ones are not")


def test_a_request_in_progress_ends_in_the_old_generation(tmp_path) -> None:
    with (
        holding(tmp_path) as (proxy, app, gate),
        connect(proxy.port()) as client,
    ):
        send(client)
        wait_until(lambda: app.requests, "the request is at the origin")
        rewrite(proxy)
        assert proxy.ask("upgrade").returncode == 0
        rows = proxy.status()["generations"]
        assert [(r["generation"], r["phase"]) for r in rows] == [
            (2, "running"),
            (1, "draining"),
        ]
        assert get(proxy.port()).text == "one"
        gate.set()
        assert read_response(client).text == "late"
        # The answer is out and the connection is idle: now it has moved as well.
        assert proxy.wait() == 0
        send(client)
        assert read_response(client).text == "one"


def test_an_upgrade_right_after_a_resize_leaves_the_old_generation_alone(tmp_path) -> None:
    with holding(tmp_path, workers=3) as (proxy, app, gate):
        text = (tmp_path / "pyproxy.yaml").read_text()
        with connect(proxy.port()) as client:
            send(client)
            wait_until(lambda: app.requests, "the request is at the origin")
            assert proxy.reload(text.replace("workers: 3", "workers: 1")).returncode == 0
            assert proxy.ask("upgrade").returncode == 0
            time.sleep(1.5)  # the time of the surplus sockets would come meanwhile
            gate.set()
            assert read_response(client).text == "late"
    assert "Traceback" not in proxy.stderr


def test_counters_go_on_where_they_were(tmp_path) -> None:
    with service(tmp_path) as proxy:
        admin = proxy.admin_port
        for _ in range(5):
            get(proxy.port())
        assert proxy.ask("upgrade").returncode == 0
        assert proxy.wait() == 0
        get(proxy.port())
        text = get(admin, "/metrics").text
        assert 'pyproxy_requests_total{route="route-0",code="2xx"} 6' in text
        assert "pyproxy_upgrades_total 1" in text
        assert "pyproxy_generation 2" in text


# ---- what fails


@pytest.mark.parametrize(
    ("crash", "says"),
    [
        ("raise ImportError('half installed')", "half installed"),
        ("sys.exit(3)", "ended with status 3 before it was ready"),
        ("os.kill(os.getpid(), 9)", "ended with status -9 before it was ready"),
        ("time.sleep(1000)", "was not ready within 2 s"),
    ],
)
def test_a_new_program_that_fails_changes_nothing(tmp_path, crash, says) -> None:
    (tmp_path / "broken.py").write_text(f"import os, sys, time\n{crash}\n")
    with service(tmp_path) as proxy, hammering(proxy.port()) as wrong:
        text = (tmp_path / "pyproxy.yaml").read_text()
        (tmp_path / "pyproxy.yaml").write_text(text.replace("20s", "2s"))
        assert proxy.ask("reload").returncode == 0
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        asked = upgrade_to(proxy, "broken", environment)
        assert asked.returncode == 1
        assert says in asked.stderr
        assert alone(proxy, 1)
    assert wrong == []


def upgrade_to(proxy: Proxy, module: str, environment) -> subprocess.CompletedProcess[str]:
    """Ask for an upgrade to `python -m <module>`, as the command of another installation would."""
    import sys

    script = (
        "import sys\n"
        "from pyproxy.cli import caller\n"
        "from pyproxy.errors import PyproxyError\n"
        "import argparse\n"
        "parser = argparse.ArgumentParser()\n"
        "caller.add_arguments(parser)\n"
        "args = parser.parse_args(sys.argv[2:])\n"
        "try:\n"
        "    caller.ask(args, 'upgrade', program=[sys.executable, sys.argv[1]])\n"
        "except PyproxyError as error:\n"
        "    sys.exit(str(error))\n"
    )
    file = proxy.folder / f"{module}.py"
    return subprocess.run(
        [sys.executable, "-c", script, str(file), "-c", str(proxy.folder / "pyproxy.yaml")],
        capture_output=True,
        text=True,
        env=environment,
        timeout=GUARD_SECONDS,
        check=False,
    )


def test_faults_of_the_new_configuration_are_told(tmp_path) -> None:
    with service(tmp_path) as proxy:
        rewrite(proxy, more="drian: 3s")
        asked = proxy.ask("upgrade")
        assert asked.returncode == 1
        assert 'did you mean "drain"?' in asked.stderr
        assert get(proxy.port()).text == "one"
        assert alone(proxy, 1)


def test_a_new_address_that_is_taken_is_told(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, service(tmp_path) as proxy:
        port = taken.getsockname()[1]
        text = (tmp_path / "pyproxy.yaml").read_text()
        (tmp_path / "pyproxy.yaml").write_text(
            text.replace('"127.0.0.1:0", "unix', f'"127.0.0.1:{port}", "unix')
        )
        asked = proxy.ask("upgrade")
        assert asked.returncode == 1
        assert "the address is in use" in asked.stderr
        assert get(proxy.port()).text == "one"
        assert get(str(tmp_path / "web.sock")).text == "one"


def test_a_failed_upgrade_leaves_the_files_of_unix_listeners(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, service(tmp_path) as proxy:
        port = taken.getsockname()[1]
        text = (tmp_path / "pyproxy.yaml").read_text()
        changed = f'bind: ["unix:{tmp_path}/web.sock", "127.0.0.1:{port}"]'
        old = f'bind: ["127.0.0.1:0", "unix:{tmp_path}/web.sock"]'
        assert old in text
        (tmp_path / "pyproxy.yaml").write_text(text.replace(old, changed))
        assert proxy.ask("upgrade").returncode == 1
        assert get(str(tmp_path / "web.sock")).text == "one"
        assert proxy.ask("reload").returncode == 1
        assert get(str(tmp_path / "web.sock")).text == "one"


def test_a_new_program_that_is_told_to_end_leaves_everything(tmp_path) -> None:
    slow = """
        import time
        from pyproxy import Filter

        class Slow(Filter):
            def __init__(self, config):
                time.sleep(1)
            def request(self, exchange): ...
    """
    with service(tmp_path, files={"slow.py": slow}) as proxy:
        rewrite(proxy, more="filters: [{python: {use: slow:Slow}}]")
        asking = proxy.ask_in_background("upgrade")
        wait_until(lambda: len(proxy.supervisors()) == 2, "the new supervisor")
        new = max(proxy.supervisors())
        wait_until(lambda: proxy.children_of(new), "its workers")
        os.kill(new, signal.SIGTERM)
        assert asking.wait(GUARD_SECONDS) == 1
        assert get(str(tmp_path / "web.sock")).text == "one"
        assert get(proxy.port()).text == "one"
        assert alone(proxy, 1)


def test_logs_of_a_generation_that_drains_are_reopened_too(tmp_path) -> None:
    log, rotated = tmp_path / "access.log", tmp_path / "access.log.1"
    with (
        holding(tmp_path, more=f"\n    access_log: {log}") as (proxy, app, gate),
        connect(proxy.port()) as client,
    ):
        send(client, path="/held")
        wait_until(lambda: app.requests, "the request is at the origin")
        assert proxy.ask("upgrade").returncode == 0
        log.rename(rotated)
        os.kill(newest(proxy)["pid"], signal.SIGUSR1)
        proxy.wait_for("log files reopened")
        gate.set()
        assert read_response(client).text == "late"
        wait_until(lambda: log.exists() and "/held" in log.read_text(), "it is logged")


def test_the_second_of_two_upgrades_is_refused(tmp_path) -> None:
    slow = """
        import time
        from pyproxy import Filter

        time.sleep(2)

        class Slow(Filter):
            def request(self, exchange): ...
    """
    with service(tmp_path, files={"slow.py": slow}) as proxy:
        rewrite(proxy, more="filters: [{python: {use: slow:Slow}}]")
        first: list[subprocess.CompletedProcess[str]] = []
        asking = threading.Thread(target=lambda: first.append(proxy.ask("upgrade")))
        asking.start()
        wait_until(lambda: proxy.status()["upgrade"], "the first upgrade has begun")
        second = proxy.ask("upgrade")
        assert second.returncode == 1
        assert "another upgrade is in progress" in second.stderr
        asking.join(GUARD_SECONDS)
        assert first[0].returncode == 0, first[0].stderr
        assert newest(proxy)["generation"] == 2


def test_too_many_generations_end_the_oldest(tmp_path) -> None:
    with holding(tmp_path) as (proxy, app, gate):
        clients = []
        for generation in range(2, 7):
            clients.append(connect(proxy.port()))
            send(clients[-1])
            wait_until(lambda: len(app.requests) == len(clients), "the request is there")
            assert proxy.ask("upgrade").returncode == 0
            wait_until(partial(is_newest, proxy, generation), "it serves")
        wait_until(lambda: len(proxy.status()["generations"]) <= 4, "the oldest have ended")
        gate.set()
        assert read_response(clients[-1]).text == "late"
        for client in clients:
            client.close()
