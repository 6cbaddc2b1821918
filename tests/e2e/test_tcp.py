"""TCP listeners with real processes: bytes and ends arrive as they were sent."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from testenv import connect, origin, running, wait_until
from testenv.raw import RawOrigin, dial, pattern, same_workers

MIB = 1 << 20


def config(address: str, more: str = "", workers: int = 1, top: str = "") -> str:
    return f"""
        workers: {workers}
        listeners:
          db: {{bind: "127.0.0.1:0", protocol: tcp, upstream: pg{more}}}
        upstreams: {{pg: {{endpoints: [{address}]}}}}
        access_log: stdout
        {top}
        admin: "127.0.0.1:0"
    """


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """The address of a server that sends everything back, and ends when its client does."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:

        def answer(sock: socket.socket) -> None:
            with sock:
                while data := sock.recv(262144):
                    sock.sendall(data)

        def serve() -> None:
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(sock,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def test_large_transfers_come_whole_in_both_directions_at_once(echo):
    sent = pattern(64 * MIB)
    with running(config(echo, workers=2)) as proxy, same_workers(proxy):
        client = connect(proxy.port("db"))

        def send() -> None:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        digest, size = hashlib.sha256(), 0
        while data := client.recv(MIB):
            digest.update(data)
            size += len(data)
        sender.join()
        client.close()
        assert size == len(sent)
        assert digest.digest() == hashlib.sha256(sent).digest()
        (line,) = proxy.access_log()
        assert (line["request_bytes"], line["response_bytes"]) == (size, size)
        assert line["fault"] is None


def test_many_clients_at_once_each_get_their_own_bytes(echo):
    def talk(number: int, failures: list[int]) -> None:
        text = b"%d," % number * 1000
        with connect(port) as client:
            for _ in range(20):
                client.sendall(text)
                got = b""
                while len(got) < len(text):
                    got += client.recv(65536)
                if got != text:
                    failures.append(number)

    failures: list[int] = []
    with running(config(echo, workers=2)) as proxy, same_workers(proxy):
        port = proxy.port("db")
        threads = [threading.Thread(target=talk, args=(i, failures)) for i in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert proxy.metrics()['pyproxy_connections_total{listener="db"}'] == 40


def test_each_side_may_end_first():
    with RawOrigin() as app, running(config(app.address)) as proxy:
        with dial(proxy.port("db")) as client:
            client.send(b"last words")
            client.end()
            up = app.accept()
            assert up.read_to_end() == b"last words"
            up.send(b"an answer after that")
            up.end()
            assert client.read_to_end() == b"an answer after that"
            assert not client.was_reset
        with dial(proxy.port("db")) as client:
            up = app.accept()
            up.send(b"hello and goodbye")
            up.end()
            assert client.read_to_end() == b"hello and goodbye"
            client.send(b"still talking")
            client.end()
            assert up.read_to_end() == b"still talking"


def test_a_reset_is_passed_on():
    with RawOrigin() as app, running(config(app.address)) as proxy:
        with dial(proxy.port("db")) as client:
            up = app.accept()
            # A reset before anything was said is a connect that failed, and is tried again.
            client.send(b"x")
            assert up.take(1) == b"x"
            up.abort()
            assert client.read_to_end() == b""
            assert client.was_reset
        client = dial(proxy.port("db"))
        up = app.accept()
        client.send(b"x")
        assert up.take(1) == b"x"
        client.abort()
        assert up.read_to_end() == b""
        assert up.was_reset
        assert [line["fault"] for line in proxy.access_log(2)] == ["upstream_reset", "client_abort"]


def test_the_next_endpoint_is_tried_and_the_client_never_knows():
    with RawOrigin() as dead:
        address = dead.address
    with RawOrigin() as app:
        both = f'"{address}", "{app.address}"'
        with running(config(both)) as proxy:
            for _ in range(4):
                with dial(proxy.port("db")) as client:
                    client.send(b"anyone?")
                    up = app.accept()
                    assert up.take(7) == b"anyone?"
                    up.close()
            lines = proxy.access_log(4)
            assert {line["endpoint"] for line in lines} == {f"pg/{app.address}"}
            assert {line["upstream_attempts"] for line in lines} == {1, 2}


def test_a_client_whom_nobody_takes_is_reset():
    with RawOrigin() as dead:
        address = dead.address
    with running(config(address)) as proxy:
        # The reset may come before connect() returns.
        with contextlib.suppress(ConnectionResetError), dial(proxy.port("db")) as client:
            assert client.read_to_end() == b""
            assert client.was_reset
        (line,) = proxy.access_log()
        assert line["fault"] == "connect_refused"
        assert (line["listener"], line["upstream"], line["protocol"]) == ("db", "pg", "TCP")
        assert proxy.metrics()['pyproxy_upstream_connect_failures_total{upstream="pg"}'] == 2


def test_a_silent_tunnel_ends():
    with RawOrigin() as app, running(config(app.address, ", timeouts: {idle: 50ms}")) as proxy:
        with dial(proxy.port("db")) as client:
            up = app.accept()
            assert client.read_to_end() == b""
            assert not client.was_reset
            assert up.read_to_end() == b""
        assert proxy.access_log()[0]["fault"] == "idle_timeout"


def test_http_goes_through_untouched():
    with origin() as app, running(config(app.address)) as proxy:
        answer = proxy.get("/a?b", listener="db")
        assert answer.status == 200
        (request,) = app.requests
        assert request.target == "/a?b"
        assert "via" not in request.headers
        assert "x-forwarded-for" not in request.headers


def test_a_unix_socket_may_be_at_either_side(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "app.sock"))
        listener.listen()
        listener.settimeout(30)
        text = f"""
            workers: 1
            listeners:
              db: {{bind: "unix:{tmp_path}/db.sock", protocol: tcp, upstream: pg}}
            upstreams: {{pg: {{endpoints: "unix:{tmp_path}/app.sock"}}}}
        """
        with running(text) as proxy, dial(proxy.path("db")) as client:
            up, _ = listener.accept()
            with up:
                client.send(b"ping")
                assert up.recv(10) == b"ping"
                up.sendall(b"pong")
                up.shutdown(socket.SHUT_WR)
                assert client.read_to_end() == b"pong"
                client.send(b"on")
                assert up.recv(10) == b"on"


def test_tunnels_go_on_while_the_service_drains():
    with RawOrigin() as app, running(config(app.address)) as proxy:
        with dial(proxy.port("db")) as client:
            up = app.accept()
            client.send(b"a")
            assert up.take(1) == b"a"
            proxy.signal(signal.SIGTERM)
            proxy.wait_for("drain")
            client.send(b"b")
            assert up.take(1) == b"b"
            up.send(b"c")
            assert client.take(1) == b"c"
        up.close()
        assert proxy.wait() == 0


def test_tunnels_are_aborted_when_the_drain_time_is_over():
    with RawOrigin() as app, running(config(app.address, top="drain: {tunnels: 100ms}")) as proxy:
        with dial(proxy.port("db")) as client:
            app.accept()
            proxy.signal(signal.SIGTERM)
            assert client.read_to_end() == b""
            assert client.was_reset
        proxy.wait()
        assert proxy.access_log()[0]["fault"] == "shutdown"


def test_a_tunnel_survives_an_upgrade_with_its_bytes_in_flight(tmp_path):
    """Neither side notices: the old program hands the tunnel to the new one and ends."""
    pid_file = tmp_path / "pid"
    sent = pattern(16 * MIB)
    with RawOrigin() as app:
        text = config(app.address, top=f"pid_file: {pid_file}")
        with running(text) as proxy, dial(proxy.port("db")) as client:
            up = app.accept()
            client.send(b"before")
            assert up.take(6) == b"before"
            sender = threading.Thread(target=client.try_send, args=(sent,))
            sender.start()  # more than fits: it is stuck in the middle of it
            up.send(b"and back")
            assert client.take(8) == b"and back"
            proxy.signal(signal.SIGUSR2)
            wait_until(lambda: not proxy.running, "the old program has ended")
            successor = int(pid_file.read_text())
            assert successor != proxy.pid
            try:
                while len(up.seen) < len(sent) + 6 and up._fill():
                    pass
                got = hashlib.sha256(up.rest).digest()
                up.rest.clear()
                sender.join()
                assert got == hashlib.sha256(sent).digest()
                up.send(b"still the same connection")
                assert client.take(25) == b"still the same connection"
                client.end()
                assert up.read_to_end() == b""
                up.close()
            finally:
                os.kill(successor, signal.SIGTERM)
                wait_until(lambda: not pid_file.exists(), "the new program has ended")
