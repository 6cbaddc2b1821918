"""What signals do to a running service, and to the requests in its hands."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading

import pytest

from testenv import Reply, connect, get, origin, read_response, running, send, wait_until


@pytest.fixture
def gate():
    """An origin that answers /held only when the gate is opened; and a configuration that leads to
    it.
    """
    opened = threading.Event()

    def answer(request):
        if request.path == "/held":
            opened.wait(30)
        return Reply(body=b"done")

    with origin(answer) as app:
        app.open_gate = opened.set
        yield app
        opened.set()


def config(app, more: str = "", workers: int = 2) -> str:
    return f"""
        workers: {workers}
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
        routes: [{{upstream: app}}]
        {more}
    """


def held(proxy, app) -> socket.socket:
    """A connection whose request waits at the origin."""
    client = connect(proxy.port())
    before = len(app.requests)
    send(client, "/held")
    wait_until(lambda: len(app.requests) > before, "the request reached the origin")
    return client


def refused(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return True
    except ConnectionError:
        return False
    return False


# ---- SIGTERM


def test_sigterm_lets_running_requests_finish_and_then_exits_cleanly(gate) -> None:
    with running(config(gate)) as proxy:
        with held(proxy, gate) as client:
            proxy.signal(signal.SIGTERM)
            wait_until(lambda: refused(proxy.port()), "new connections are refused")
            assert proxy.running
            gate.open_gate()
            response = read_response(client)
            assert response.status == 200
            assert response.body == b"done"
            assert response.headers["connection"] == "close"
            assert client.recv(1) == b""
        assert proxy.wait() == 0


def test_a_drain_without_limit_waits(gate) -> None:
    with running(config(gate, "drain: off")) as proxy, held(proxy, gate) as client:
        proxy.signal(signal.SIGTERM)
        proxy.wait_for("no limit for the open ones")
        gate.open_gate()
        assert read_response(client).status == 200
        assert proxy.wait() == 0


def test_sigterm_ends_idle_connections(gate) -> None:
    with running(config(gate)) as proxy:
        with connect(proxy.port()) as client:
            send(client)
            assert read_response(client).status == 200
            proxy.signal(signal.SIGTERM)
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(1) == b""
        assert proxy.wait() == 0


def test_sigterm_serves_what_was_waiting_to_be_accepted(gate) -> None:
    with running(config(gate)) as proxy:
        workers = proxy.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        clients = [connect(proxy.port()) for _ in range(64)]
        for client in clients:
            send(client)
        proxy.signal(signal.SIGTERM)
        proxy.wait_for("draining")
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        assert [read_response(client).status for client in clients] == [200] * 64
        for client in clients:
            client.close()
        assert proxy.wait() == 0


def test_the_drain_time_ends(gate) -> None:
    with running(config(gate, "drain: 300ms")) as proxy, held(proxy, gate) as client:
        proxy.signal(signal.SIGTERM)
        assert proxy.wait() == 0
        assert "1 connections were still open" in proxy.stderr
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_a_drain(gate, second) -> None:
    with running(config(gate)) as proxy, held(proxy, gate):
        proxy.signal(signal.SIGTERM)
        proxy.wait_for("draining")
        proxy.signal(second)
        assert proxy.wait() == 0


def test_a_worker_that_dies_while_draining_is_not_replaced(gate) -> None:
    with running(config(gate, workers=1)) as proxy, held(proxy, gate):
        (worker,) = proxy.workers()
        proxy.signal(signal.SIGTERM)
        proxy.wait_for("draining")
        os.kill(worker, signal.SIGKILL)
        assert proxy.wait() == 0
        assert "restarting" not in proxy.stderr


def test_readiness_fails_while_draining(gate) -> None:
    with running(config(gate, 'admin: "127.0.0.1:0"')) as proxy, held(proxy, gate):
        assert proxy.admin("/ready").status == 200
        proxy.signal(signal.SIGTERM)
        wait_until(lambda: proxy.admin("/ready").status == 503, "the proxy is not ready")
        assert "draining" in proxy.admin("/ready").text
        assert proxy.admin("/healthz").status == 200


# ---- SIGINT


def test_sigint_stops_at_once(gate) -> None:
    with running(config(gate)) as proxy, held(proxy, gate):
        children = list(proxy.children().values())
        proxy.signal(signal.SIGINT)
        assert proxy.wait() == 0
        assert not any(os.path.exists(f"/proc/{pid}") for pid in children)


def test_control_c_reaches_every_process_but_means_one_thing(gate) -> None:
    """A terminal sends SIGINT to the whole group; workers must leave it to the supervisor."""
    with running(config(gate)) as proxy:
        for pid in proxy.workers():
            os.kill(pid, signal.SIGINT)
        assert get(proxy.port()).status == 200
        os.killpg(proxy.pid, signal.SIGINT)
        assert proxy.wait() == 0
        assert "restarting" not in proxy.stderr
        assert "Traceback" not in proxy.stderr


# ---- SIGUSR1


def test_sigusr1_reopens_the_log_in_every_worker(gate, tmp_path) -> None:
    log, old = tmp_path / "access.log", tmp_path / "access.log.1"
    more = f"access_log: {{path: {log}, format: '{{request.method}} {{request.target}}'}}"
    with running(config(gate, more)) as proxy:
        assert get(proxy.port(), "/before").status == 200
        wait_until(lambda: "/before" in log.read_text(), "the line is written")
        log.rename(old)
        proxy.signal(signal.SIGUSR1)
        proxy.wait_for("log files reopened")
        assert log.exists()
        # Enough connections that every worker has some of them.
        for number in range(64):
            assert get(proxy.port(), f"/after/{number}").status == 200
        lines = re.compile(r"GET /after/\d+")
        wait_until(
            lambda: len(set(lines.findall(old.read_text() + log.read_text()))) == 64,
            "all lines are written",
        )
        # A worker reopens when it gets the message: a few of the first may still be in the old
        # file.
        tail = {f"GET /after/{number}" for number in range(32, 64)}
        assert tail <= set(lines.findall(log.read_text()))


def test_a_replaced_worker_writes_to_the_current_log(gate, tmp_path) -> None:
    log = tmp_path / "access.log"
    with running(config(gate, f"access_log: {{path: {log}}}", workers=1)) as proxy:
        (worker,) = proxy.workers()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: proxy.workers() not in ([], [worker]), "the worker is replaced")
        assert get(proxy.port(), "/again").status == 200
        wait_until(lambda: "/again" in log.read_text(), "the line is written")


# ---- others


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_check_of_the_filters_ends_the_start(tmp_path, number) -> None:
    module = f"""
        import pathlib, time
        from pyproxy import Filter

        pathlib.Path("{tmp_path}/importing").touch()
        time.sleep(60)

        class Slow(Filter):
            pass
    """
    text = """
        listeners: {web: {bind: "127.0.0.1:0"}}
        filters: [{python: {use: "mine:Slow"}}]
        routes: [{respond: {body: x}}]
    """
    with running(text, files={"mine.py": module}, ready=False) as proxy:
        wait_until((tmp_path / "importing").exists, "the module is imported")
        children = proxy.children()
        proxy.signal(number)
        assert proxy.wait() == 128 + number
        assert "Traceback" not in proxy.stderr
        assert not any(os.path.exists(f"/proc/{pid}") for pid in children.values())


def test_a_signal_while_workers_start_ends_the_start(tmp_path) -> None:
    module = f"""
        import pathlib, time
        from pyproxy import Filter

        here = pathlib.Path("{tmp_path}")
        if (here / "checked").exists():
            (here / "importing").touch()
            time.sleep(60)
        (here / "checked").touch()

        class Slow(Filter):
            pass
    """
    text = """
        listeners: {web: {bind: "127.0.0.1:0"}}
        filters: [{python: {use: "mine:Slow"}}]
        routes: [{respond: {body: x}}]
    """
    with running(text, files={"mine.py": module}, ready=False) as proxy:
        wait_until((tmp_path / "importing").exists, "the module is imported by a worker")
        proxy.signal(signal.SIGTERM)
        proxy.wait()
        assert "ready in" not in proxy.stderr
        assert "Traceback" not in proxy.stderr
