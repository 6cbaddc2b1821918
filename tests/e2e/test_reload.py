"""Another configuration in the same processes: what changes, what stays, what is refused."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from testenv import (
    GUARD_SECONDS,
    Proxy,
    Reply,
    connect,
    free_port,
    get,
    origin,
    read_response,
    running,
    send,
    wait_until,
)

SMALL = """
    workers: {workers}
    listeners: {{web: {{bind: {bind}}}}}
    routes: [{{name: a, respond: {{body: {body}}}}}]
    {more}
"""


def small(body: str = "one", bind: str = '"127.0.0.1:0"', workers: int = 2, more: str = "") -> str:
    return SMALL.format(body=body, bind=bind, workers=workers, more=more)


def bodies(port: int, count: int = 20) -> set[str]:
    return {get(port).text for _ in range(count)}


# ---- what it does


def test_every_worker_serves_the_new_configuration_and_none_is_replaced() -> None:
    with running(small()) as proxy:
        port, workers = proxy.port(), proxy.workers()
        asked = proxy.reload(small("two"))
        assert (asked.returncode, asked.stdout) == (0, "configuration 2 is served\n")
        assert bodies(port) == {"two"}
        assert proxy.workers() == workers


def test_sighup_does_the_same() -> None:
    with running(small()) as proxy:
        (proxy.folder / "pyproxy.yaml").write_text(small("two").strip().replace("\n    ", "\n"))
        proxy.signal(signal.SIGHUP)
        proxy.wait_for("configuration 2 is served")
        assert bodies(proxy.port()) == {"two"}


def test_a_file_that_changes_is_served_when_it_is_watched() -> None:
    with running(small(more="watch: true")) as proxy:
        text = small("two", more="watch: true").strip().replace("\n    ", "\n")
        (proxy.folder / "new.yaml").write_text(text)
        (proxy.folder / "new.yaml").replace(proxy.folder / "pyproxy.yaml")
        proxy.wait_for("configuration 2 is served")
        assert bodies(proxy.port()) == {"two"}


def test_a_keep_alive_connection_goes_on_with_the_new_routes() -> None:
    with running(small()) as proxy, connect(proxy.port()) as client:
        send(client)
        assert read_response(client).text == "one"
        assert proxy.reload(small("two")).returncode == 0
        send(client)
        assert read_response(client).text == "two"


def test_a_request_in_progress_ends_as_it_began() -> None:
    gate = threading.Event()

    def slow(request) -> Reply:
        gate.wait(GUARD_SECONDS)
        return Reply(body=b"old origin")

    with origin(slow) as app:
        before = f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
            routes: [{{upstream: app}}]
        """
        with running(before) as proxy, connect(proxy.port()) as client:
            send(client)
            wait_until(lambda: app.requests, "the request is at the origin")
            assert proxy.reload(small("new", workers=1)).returncode == 0
            assert bodies(proxy.port()) == {"new"}
            gate.set()
            assert read_response(client).text == "old origin"
            send(client)
            assert read_response(client).text == "new"


def test_ten_thousand_routes_are_swapped() -> None:
    routes = "".join(
        f"      - {{name: r{i}, match: {{path: /r/{i}}}, respond: {{body: new{i}}}}}\n"
        for i in range(10_000)
    )
    text = f'    workers: 2\n    listeners: {{web: {{bind: "127.0.0.1:0"}}}}\n    routes:\n{routes}'
    with running(small()) as proxy:
        asked = proxy.reload(text)
        assert asked.returncode == 0, asked.stderr
        for i in (0, 5_000, 9_999):
            assert get(proxy.port(), f"/r/{i}").text == f"new{i}"


# ---- listeners


def test_a_listener_is_added_and_another_one_removed() -> None:
    one, other = free_port(), free_port()
    with running(small(bind=f'"127.0.0.1:{one}"')) as proxy:
        assert proxy.reload(small("two", bind=f'"127.0.0.1:{other}"')).returncode == 0
        assert bodies(other) == {"two"}

        def refused() -> bool:
            with socket.socket() as client:
                client.settimeout(GUARD_SECONDS)
                return client.connect_ex(("127.0.0.1", one)) != 0

        wait_until(refused, "the old port is closed")
        assert [row["port"] for row in proxy.status()["listeners"]] == [other]


def test_what_waits_at_a_removed_listener_is_served() -> None:
    one, other = free_port(), free_port()
    with running(small(bind=f'"127.0.0.1:{one}"')) as proxy:
        workers = proxy.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        clients = [connect(one) for _ in range(40)]
        for client in clients:
            send(client)
        (proxy.folder / "pyproxy.yaml").write_text(
            small("two", bind=f'"127.0.0.1:{other}"').strip().replace("\n    ", "\n")
        )
        proxy.signal(signal.SIGHUP)
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
        proxy.wait_for("configuration 2 is served")
        assert {read_response(client).status for client in clients} == {200}
        for client in clients:
            client.close()


def test_a_connection_of_a_removed_listener_goes_on() -> None:
    one = free_port()
    with running(small(bind=f'"127.0.0.1:{one}"')) as proxy, connect(one) as client:
        send(client)
        assert read_response(client).text == "one"
        assert proxy.reload(small("two")).returncode == 0
        send(client)
        assert read_response(client).text == "two"


def test_a_listener_with_another_name_keeps_its_sockets() -> None:
    port = free_port()
    with running(small(bind=f'"127.0.0.1:{port}"')) as proxy:
        text = small("two", bind=f'"127.0.0.1:{port}"').replace("web:", "front:")
        assert proxy.reload(text).returncode == 0
        assert bodies(port) == {"two"}
        assert [row["name"] for row in proxy.status()["listeners"]] == ["front"]


def test_a_unix_listener_comes_and_goes(tmp_path) -> None:
    path = tmp_path / "web.sock"
    with running(small()) as proxy:
        assert proxy.reload(small("two", bind=f'"unix:{path}"')).returncode == 0
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert get(str(path)).text == "two"
        assert proxy.reload(small("three")).returncode == 0
        assert not path.exists()


def test_an_address_that_somebody_else_has_changes_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, running(small()) as proxy:
        port = proxy.port()
        asked = proxy.reload(small("two", bind=f'"127.0.0.1:{taken.getsockname()[1]}"'))
        assert asked.returncode == 1
        assert "the address is in use" in asked.stderr
        assert bodies(port) == {"one"}


def test_a_listener_that_comes_back_at_once_is_there() -> None:
    one, other = free_port(), free_port()
    both = f'["127.0.0.1:{one}", "127.0.0.1:{other}"]'
    with running(small(bind=both)) as proxy:
        assert proxy.reload(small("two", bind=f'"127.0.0.1:{other}"')).returncode == 0
        assert proxy.reload(small("three", bind=both)).returncode == 0
        time.sleep(1.5)  # what was leaving has gone by now
        assert bodies(one) == {"three"}
        assert bodies(other) == {"three"}


def test_a_listener_widens_to_all_addresses() -> None:
    port = free_port()
    with running(small(bind=f'"127.0.0.1:{port}"')) as proxy:
        assert proxy.reload(small("two", bind=f'"0.0.0.0:{port}"')).returncode == 0
        wait_until(lambda: bodies(port) == {"two"}, "all workers serve the new listener")


def test_the_mode_of_a_unix_listener_changes(tmp_path) -> None:
    path = tmp_path / "web.sock"
    bind = f'{{{{address: "unix:{path}", mode: "{{}}"}}}}'.replace("{{", "{").replace("}}", "}")
    with running(small(bind=bind.replace("{}", "0666"))) as proxy:
        assert proxy.reload(small("two", bind=bind.replace("{}", "0600"))).returncode == 0
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert get(str(path)).text == "two"


# ---- workers


def have_workers(proxy: Proxy, number: int) -> bool:
    workers = proxy.status()["generations"][0]["workers"]
    return [worker["state"] for worker in workers] == ["ready"] * number


def test_the_number_of_workers_goes_up_and_down() -> None:
    with running(small(workers=2)) as proxy:
        port = proxy.port()
        for number in (4, 1, 3):
            assert proxy.reload(small("more", workers=number)).returncode == 0
            wait_until(
                partial(have_workers, proxy, number),
                f"{number} workers",
            )
            assert bodies(port, 50) == {"more"}


def test_a_connection_of_a_worker_that_leaves_goes_on() -> None:
    with running(small(workers=4)) as proxy:
        clients = [connect(proxy.port()) for _ in range(40)]
        for client in clients:
            send(client)
            assert read_response(client).status == 200
        assert proxy.reload(small("two", workers=1)).returncode == 0
        wait_until(lambda: len(proxy.workers()) == 1, "three workers have left")
        for client in clients:
            send(client)
            assert read_response(client).text == "two"
            client.close()


def test_workers_that_leave_and_come_back_at_once_all_serve() -> None:
    with running(small(workers=4)) as proxy:
        assert proxy.reload(small("two", workers=1)).returncode == 0
        assert proxy.reload(small("three", workers=4)).returncode == 0
        wait_until(lambda: have_workers(proxy, 4), "four workers")
        time.sleep(1.5)  # what was surplus for a moment must have stayed
        assert bodies(proxy.port(), 60) == {"three"}
        assert len(listening_sockets(proxy.port())) == 4


def listening_sockets(port: int) -> set[str]:
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {r[9] for r in rows if r[3] == "0A" and int(r[1].rpartition(":")[2], 16) == port}


def test_a_worker_that_is_down_during_a_reload_comes_up_with_the_new_configuration() -> None:
    with running(small(workers=2)) as proxy:
        for _ in range(3):  # a worker that dies again and again waits before it is started
            victim = proxy.workers()[0]
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda gone=victim: gone not in proxy.workers(), "it is gone")
            with contextlib.suppress(AssertionError):
                wait_until(lambda: len(proxy.workers()) == 2, "it is back", 0.3)
        assert proxy.reload(small("two", workers=2)).returncode in (0, 1)
        proxy.ask("reload")
        wait_until(lambda: have_workers(proxy, 2), "both workers")
        assert bodies(proxy.port(), 60) == {"two"}


def test_status_tells_what_every_worker_has_in_hand() -> None:
    with running(small(workers=2)) as proxy:
        clients = [connect(proxy.port()) for _ in range(20)]
        for client in clients:
            send(client)
            read_response(client)
        workers = proxy.status()["generations"][0]["workers"]
        assert sum(worker["connections"] for worker in workers) == 20
        assert "connections" in proxy.ask("status").stdout
        for client in clients:
            client.close()


# ---- what is refused


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("listeners: [", "pyproxy.yaml:2:1"),
        (small().replace("respond", "respnd"), 'did you mean "respond"?'),
        (small(more="drain: soon"), '"soon" is not a duration'),
        (
            small().replace("respond: {body: one}", "filters: [{python: {use: nowhere:Filter}}]"),
            "nowhere",
        ),
    ],
)
def test_faults_are_told_and_change_nothing(config, says) -> None:
    with running(small(more='admin: "127.0.0.1:0"')) as proxy:
        port = proxy.port()
        asked = proxy.reload(config)
        assert asked.returncode == 2
        assert says in asked.stderr
        assert bodies(port) == {"one"}
        metrics = proxy.metrics()
        assert metrics["pyproxy_config_reload_failures_total"] == 1
        assert metrics["pyproxy_config_last_reload_successful"] == 0
        assert "the configuration stays as it was" in proxy.stderr


def test_a_filter_that_raises_when_it_is_made_changes_nothing(tmp_path) -> None:
    bad = """
        from pyproxy import Filter

        class Bad(Filter):
            def __init__(self, config):
                raise RuntimeError("not today")
            def request(self, exchange): ...
    """
    with running(small(), files={"bad.py": bad}) as proxy:
        text = small("two").replace("routes:", "filters: [{python: {use: bad:Bad}}]\n    routes:")
        asked = proxy.reload(text)
        assert asked.returncode != 0
        assert "not today" in asked.stderr + proxy.stderr
        assert bodies(proxy.port()) == {"one"}


def test_what_takes_an_upgrade_is_said() -> None:
    with running(small(more='admin: "127.0.0.1:0"')) as proxy:
        asked = proxy.reload(small("two", more="log: debug"))
        assert asked.returncode == 0
        assert "`log` has changed; that takes effect with `pyproxy upgrade`" in asked.stderr
        assert "`admin` has changed" in asked.stderr
        assert proxy.admin("/healthz").status == 200


def test_diff_tells_and_changes_nothing() -> None:
    with running(small()) as proxy:
        (proxy.folder / "pyproxy.yaml").write_text(
            small("two", workers=3).strip().replace("\n    ", "\n")
        )
        asked = proxy.ask("reload", "--diff")
        assert asked.stdout == "~ workers: 2 -> 3\n~ routes.a.respond.body: one -> two\n"
        assert bodies(proxy.port()) == {"one"}


def test_a_worker_that_dies_meanwhile_leaves_the_old_configuration_or_the_new() -> None:
    with running(small()) as proxy:
        port = proxy.port()
        victim = proxy.workers()[0]
        os.kill(victim, signal.SIGSTOP)
        result: list[int] = []
        asking = threading.Thread(
            target=lambda: result.append(proxy.reload(small("two")).returncode)
        )
        asking.start()
        os.kill(victim, signal.SIGKILL)
        asking.join(GUARD_SECONDS)
        wait_until(lambda: len(proxy.workers()) == 2, "the worker is replaced")
        assert bodies(port) == ({"two"} if result == [0] else {"one"})


def test_the_admin_server_shows_what_is_served() -> None:
    with running(small(more='admin: "127.0.0.1:0"')) as proxy:
        text = small("two", more='admin: "127.0.0.1:0"').replace("name: a", "name: b")
        assert proxy.reload(text).returncode == 0
        wait_until(
            lambda: b'"name":"b"' in proxy.admin("/config/summary").body, "the admin server knows"
        )
        get(proxy.port())
        assert proxy.metrics()['pyproxy_requests_total{route="b",code="2xx"}'] == 1
