"""UDP listeners with real processes: sessions, DNS, reloads and upgrades."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest

from testenv import run_to_end, running, wait_until
from testenv.datagrams import DatagramOrigin, ask, client, dnsmasq, query
from testenv.raw import same_workers

CONFIG = """
    workers: {workers}
    control_socket: {folder}/control.sock
    listeners:
      dns: {{bind: {bind}, protocol: udp, upstream: app{more}}}
    upstreams: {{app: {{endpoints: [{endpoints}]}}}}
    access_log: stdout
    admin: "127.0.0.1:0"
"""


def config(
    *endpoints: str,
    workers: int = 1,
    bind: str = '"127.0.0.1:0"',
    more: str = "",
    folder: object = "",
) -> str:
    text = CONFIG.format(
        workers=workers,
        bind=bind,
        more=more,
        endpoints=", ".join(f'"{address}"' for address in endpoints),
        folder=folder,
    )
    return text if folder else text.replace("control_socket: /control.sock", "")


def count(proxy, name: str, listener: str = "dns", **labels: str) -> float:
    text = "".join(f',{key}="{value}"' for key, value in labels.items())
    return proxy.metrics()[f'pyproxy_{name}{{listener="{listener}"{text}}}']


def test_a_resolver_is_asked_through_the_proxy(tmp_path):
    names = {f"host{i}.test": f"10.1.2.{i}" for i in range(1, 20)}
    with (
        dnsmasq(tmp_path, names) as server,
        running(config(server, workers=2, more=", udp: {responses: 1}")) as proxy,
        same_workers(proxy),
    ):
        port = proxy.port("dns")
        for name, ip in names.items():
            words = ["dig", "@127.0.0.1", "-p", str(port), "+short", "+tries=3", name]
            assert subprocess.run(words, capture_output=True, text=True).stdout.strip() == ip
        # One after the other over one port: each question is a session of its own.
        with client(port) as sock:
            for number in range(1, 200):
                answer = ask(sock, query(f"host{number % 19 + 1}.test", number))
                assert answer[:2] == number.to_bytes(2, "big")
                assert answer[-4:] == bytes([10, 1, 2, number % 19 + 1])
        wait_until(lambda: count(proxy, "connections_active") == 0, "all sessions have ended")
        assert count(proxy, "udp_datagrams_total", direction="in") >= 199 + len(names)
        assert count(proxy, "udp_dropped_total", cause="unsent") == 0
        line = proxy.access_log(199 + len(names))[-1]
        assert line["protocol"] == "UDP"
        assert line["fault"] is None
        assert line["endpoint"] == f"app/{server}"
        assert line["request_bytes"] == len(query("host10.test"))
        assert float(line["upstream_first_byte_ms"]) > 0


def test_each_of_many_clients_gets_its_own_answers_from_one_endpoint():
    with (
        DatagramOrigin(lambda data: b"a " + data) as a,
        DatagramOrigin(lambda data: b"b " + data) as b,
        running(config(a.address, b.address, workers=2)) as proxy,
        same_workers(proxy),
    ):
        clients = [client(proxy.port("dns")) for _ in range(60)]
        first = [ask(sock, b"%d" % i)[:1] for i, sock in enumerate(clients)]
        assert {*first} == {b"a", b"b"}
        for _ in range(5):
            for i, sock in enumerate(clients):
                assert ask(sock, b"%d" % i) == first[i] + b" %d" % i
        assert count(proxy, "connections_active") == len(clients)
        assert len({where for _, where in a.seen + b.seen}) == len(clients)
        for sock in clients:
            sock.close()


@pytest.mark.parametrize(
    ("bind", "asked"),
    [
        ('"0.0.0.0:0"', ["127.0.0.1", "127.9.8.7"]),
        ('"[::]:0"', ["::1"]),
        ('"[::1]:0"', ["::1"]),
        ('"127.0.0.5:0"', ["127.0.0.5"]),
    ],
)
def test_answers_come_from_the_address_that_was_asked(bind, asked):
    host = "::1" if "[" in bind else "127.0.0.1"
    with DatagramOrigin(host=host) as app, running(config(app.address, bind=bind)) as proxy:
        for address in asked:
            with client(proxy.port("dns"), address) as sock:
                assert ask(sock, b"hello") == b"HELLO"


def test_the_longest_datagrams_go_both_ways():
    data = bytes(range(256)) * 256
    with (
        DatagramOrigin(lambda data: data[::-1]) as app,
        running(config(app.address)) as proxy,
        client(proxy.port("dns")) as sock,
    ):
        for size in (0, 1, 1472, 9000, 65_507):
            assert ask(sock, data[:size]) == data[:size][::-1]


def test_a_dead_endpoint_costs_nobody_an_answer():
    dead = DatagramOrigin()
    dead.close()
    with (
        DatagramOrigin() as app,
        running(config(f"127.0.0.1:{free_port()}", app.address)) as proxy,
    ):
        for _ in range(6):
            with client(proxy.port("dns")) as sock:
                assert ask(sock, b"hello") == b"HELLO"
        assert proxy.metrics()['pyproxy_upstream_retries_total{upstream="app"}'] == 3


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def test_silence_ends_sessions():
    more = ", timeouts: {idle: 100ms}"
    with (
        DatagramOrigin() as app,
        running(config(app.address, more=more)) as proxy,
        client(proxy.port("dns")) as sock,
    ):
        assert ask(sock, b"one") == b"ONE"
        wait_until(lambda: count(proxy, "connections_active") == 0, "the session has ended")
        assert ask(sock, b"two") == b"TWO"
        assert len({where for _, where in app.seen}) == 2


def test_a_flood_of_clients_does_not_lock_others_out():
    more = ", udp: {max_sessions: 50}"
    with DatagramOrigin() as app, running(config(app.address, more=more)) as proxy:
        with client(proxy.port("dns")) as steady:
            for i in range(300):
                # Addresses of their own: a port may come up again while its session lives.
                source = f"127.1.{i // 100}.{i % 100 + 1}"
                with client(proxy.port("dns"), source=source) as other:
                    assert ask(other, b"flood") == b"FLOOD"
                if i % 20 == 0:
                    assert ask(steady, b"steady") == b"STEADY"
        assert count(proxy, "connections_active") == 50
        assert count(proxy, "connections_rejected_total") == 251
        assert len({where for data, where in app.seen if data == b"steady"}) == 1


def test_reloads_keep_sessions_and_leave_removed_endpoints(tmp_path):
    with (
        DatagramOrigin(lambda data: b"a") as a,
        DatagramOrigin(lambda data: b"b") as b,
        running(config(a.address, folder=tmp_path), folder=tmp_path) as proxy,
        client(proxy.port("dns")) as sock,
    ):
        assert ask(sock, b"1") == b"a"
        reload(proxy, config(a.address, b.address, folder=tmp_path))
        assert ask(sock, b"2") == b"a"
        assert len({where for _, where in a.seen}) == 1
        reload(proxy, config(b.address, folder=tmp_path))
        assert ask(sock, b"3") == b"b"


def reload(proxy, text: str) -> None:
    done = proxy.reload(text)
    assert done.returncode == 0, done.stderr


def test_fewer_and_more_workers_lose_no_client(tmp_path):
    def text(workers: int) -> str:
        return config(app.address, workers=workers, folder=tmp_path)

    with DatagramOrigin() as app, running(text(4), folder=tmp_path) as proxy:
        clients = [client(proxy.port("dns")) for _ in range(40)]
        for workers in (4, 1, 3, 2):
            if workers != 4:
                reload(proxy, text(workers))
                wait_until(lambda n=workers: len(proxy.workers()) == n, f"{workers} workers")
            for sock in clients:
                sock.settimeout(0.5)
                for _ in range(20):  # one may meet a worker that is just leaving
                    try:
                        assert ask(sock, b"hello") == b"HELLO"
                        break
                    except TimeoutError:
                        continue
                else:
                    pytest.fail(f"no answer with {workers} workers")
        for sock in clients:
            sock.close()


def test_an_upgrade_keeps_the_socket_and_lets_answers_out(tmp_path):
    held: list[bytes] = []

    def answer(data: bytes) -> bytes | None:
        return held.append(data) if data == b"slow" else data.upper()

    with (
        DatagramOrigin(answer) as app,
        running(config(app.address, workers=2, folder=tmp_path), folder=tmp_path) as proxy,
        client(proxy.port("dns")) as slow,
        client(proxy.port("dns")) as quick,
    ):
        slow.send(b"slow")
        wait_until(lambda: held, "the question is with the origin")
        where = app.seen[-1][1]
        assert ask(quick, b"before") == b"BEFORE"
        assert proxy.ask("upgrade").returncode == 0
        app.sock.sendto(b"late answer", where)
        assert slow.recv(100) == b"late answer"
        assert ask(quick, b"after") == b"AFTER"
        assert ask(slow, b"again") == b"AGAIN"


def test_tcp_and_udp_share_a_port_number():
    port = free_port()
    text = f"""
        listeners:
          one: {{bind: "127.0.0.1:{port}", protocol: udp, upstream: app}}
          two: {{bind: "127.0.0.1:{port}"}}
        upstreams: {{app: {{endpoints: ["{{address}}"]}}}}
        routes: [{{respond: {{body: hello}}}}]
    """
    with DatagramOrigin() as app, running(text.replace("{address}", app.address)) as proxy:
        assert "udp://" in proxy.urls("one")[0]
        with client(port) as sock:
            assert ask(sock, b"hello") == b"HELLO"
        assert proxy.get("/", listener="two").text == "hello"


def test_an_address_in_use_is_refused():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        # One that would let others join, as that of a second proxy does.
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        ended = run_to_end(config("127.0.0.1:1", bind=f'"127.0.0.1:{port}"'))
        assert ended.status != 0
        assert f"cannot bind 127.0.0.1:{port}: the address is in use" in ended.stderr


def test_a_socket_that_was_passed_in_is_one_workers():
    with DatagramOrigin() as app, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as given:
        given.bind(("127.0.0.1", 0))
        text = config(app.address, workers=2, bind="fd:dns")
        with running(text, **passing(given, "dns")):
            clients = [client(given.getsockname()[1]) for _ in range(20)]
            for _ in range(3):
                for sock in clients:
                    assert ask(sock, b"hello") == b"HELLO"
            assert len({where for _, where in app.seen}) == len(clients)
            for sock in clients:
                sock.close()


def passing(sock: socket.socket, name: str) -> dict:
    """How to start it as systemd would, with that socket."""
    return {
        "env": {"LISTEN_FDS": "1", "LISTEN_FDNAMES": name},
        "prefix": ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"],
        "preexec_fn": lambda: os.dup2(sock.fileno(), 3),
        "close_fds": False,
    }
