"""The process tree: start-up, sockets, replacement of workers, privileges."""

from __future__ import annotations

import os
import pwd
import signal
import socket
import stat
import tempfile
import threading
from pathlib import Path

import pytest

from testenv import (
    Reply,
    connect,
    free_port,
    get,
    origin,
    read_response,
    run_to_end,
    running,
    send,
    wait_until,
)

HELLO = """
    workers: {workers}
    listeners: {{web: {{bind: {bind}}}}}
    routes: [{{respond: {{status: 200, body: hello}}}}]
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def hello(bind: str = '"127.0.0.1:0"', workers: int = 2, more: str = "") -> str:
    return HELLO.format(bind=bind, workers=workers) + more


def listening_inodes(port: int) -> set[str]:
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table.readlines()[1:]]
    return {r[9] for r in rows if r[3] == "0A" and int(r[1].rpartition(":")[2], 16) == port}


# ---- start


def test_every_kind_of_address_answers(tmp_path) -> None:
    bind = f'["127.0.0.1:0", "[::1]:0", {{address: "unix:{tmp_path}/web.sock", mode: "0660"}}]'
    with running(hello(bind)) as proxy:
        assert len(proxy.urls()) == 3
        assert get(proxy.port(index=0)).text == "hello"
        assert get(("::1", proxy.port(index=1))).text == "hello"
        assert get(proxy.path()).text == "hello"
        assert stat.S_IMODE((tmp_path / "web.sock").stat().st_mode) == 0o660
    assert not (tmp_path / "web.sock").exists()


def test_one_socket_per_worker_on_one_port() -> None:
    with running(hello(workers=3)) as proxy:
        assert len(proxy.workers()) == 3
        assert len(listening_inodes(proxy.port())) == 3


def test_two_listeners_have_ports_of_their_own() -> None:
    config = """
        workers: 1
        listeners: {a: {bind: "127.0.0.1:0"}, b: {bind: "127.0.0.1:0"}}
        routes: [{respond: {body: x}}]
    """
    with running(config) as proxy:
        assert proxy.port("a") != proxy.port("b")
        assert get(proxy.port("a")).status == get(proxy.port("b")).status == 200


def test_the_pid_file_holds_the_supervisor_and_goes_with_it(tmp_path) -> None:
    with running(hello(more=f"    pid_file: {tmp_path}/pid\n")) as proxy:
        assert (tmp_path / "pid").read_text() == f"{proxy.pid}\n"
        assert os.listdir(tmp_path) == ["pid"]
    assert os.listdir(tmp_path) == []


def test_a_service_manager_is_told(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        with running(hello(), env={"NOTIFY_SOCKET": str(tmp_path / "notify")}):
            for slot in range(2):
                stored = b"FDSTORE=1\nFDNAME=pyproxy-web-0-%d\nFDPOLL=0" % slot
                assert manager.recv(100) == stored
            assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"STOPPING=1"
        assert manager.recv(100) == b"FDSTOREREMOVE=1\nFDNAME=pyproxy-web-0-0"


# ---- start that fails


def test_a_port_in_use_is_reported_with_its_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        ended = run_to_end(hello(f'"127.0.0.1:{port}"'))
    assert ended.status == 1
    assert "listener 'web'" in ended.stderr
    assert f"127.0.0.1:{port}" in ended.stderr
    assert f"(pid {os.getpid()})" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_two_proxies_do_not_share_a_port() -> None:
    with running(hello()) as proxy:
        ended = run_to_end(hello(f'"127.0.0.1:{proxy.port()}"'))
        assert ended.status == 1
        assert "in use" in ended.stderr
        assert proxy.get().status == 200


def test_an_unknown_user_is_reported() -> None:
    ended = run_to_end(hello(more="    user: no-such-user\n"))
    assert ended.status != 0
    assert "no-such-user" in ended.stderr
    assert "Traceback" not in ended.stderr


FILTERED = """
    workers: 2
    listeners: {web: {bind: "127.0.0.1:0"}}
    filters: [{python: {use: "mine:Mine"}}]
    routes: [{respond: {body: hello}}]
"""


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("import no_such_package\n", "no_such_package"),
        ("def broken(:\n", "SyntaxError"),
        ("class Other: pass\n", "Mine"),
        ("import os\nos._exit(7)\n", "filters"),
    ],
)
def test_a_filter_that_cannot_be_imported_stops_the_start(module, message) -> None:
    ended = run_to_end(FILTERED, files={"mine.py": module})
    assert ended.status != 0
    assert message in ended.stderr
    assert "listening" not in ended.stderr


def test_a_filter_that_cannot_be_made_stops_the_start() -> None:
    module = """
        from pyproxy import Filter

        class Mine(Filter):
            def __init__(self, *args, **kwargs):
                raise RuntimeError("no licence")
    """
    ended = run_to_end(FILTERED, files={"mine.py": module})
    assert ended.status != 0
    assert "no licence" in ended.stderr
    assert "listening" not in ended.stderr


def test_a_filter_that_fails_in_workers_only_stops_the_start_as_a_whole() -> None:
    module = """
        from pathlib import Path
        from pyproxy import Filter

        tried = Path(__file__).with_name("tried")
        if tried.exists():
            raise RuntimeError("the second import fails")
        tried.touch()

        class Mine(Filter):
            pass
    """
    ended = run_to_end(FILTERED, files={"mine.py": module})
    assert ended.status == 1
    assert "the second import fails" in ended.stderr
    assert "ready in" not in ended.stderr


# ---- sockets that were passed in


def listen_env(name: str) -> tuple[dict[str, str], list[str]]:
    """The environment of LISTEN_FDS, and a prefix that sets LISTEN_PID to the process that will be
    pyproxy.
    """
    env = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": name}
    return env, ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh"]


def test_a_socket_passed_in_by_name_is_used() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        env, prefix = listen_env("front")
        with running(
            hello('"fd:front"'),
            env=env,
            prefix=prefix,
            preexec_fn=lambda: os.dup2(given.fileno(), 3),
            close_fds=False,
        ) as proxy:
            assert proxy.port() == port
            assert proxy.get().text == "hello"


def test_a_socket_passed_in_is_found_by_its_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        env, prefix = listen_env("anything")
        with running(
            hello(f'"127.0.0.1:{port}"'),
            env=env,
            prefix=prefix,
            preexec_fn=lambda: os.dup2(given.fileno(), 3),
            close_fds=False,
        ) as proxy:
            assert proxy.get().text == "hello"


def test_a_socket_that_was_not_passed_in_is_missed() -> None:
    ended = run_to_end(hello('"fd:front"'))
    assert ended.status == 1
    assert "no socket named 'front'" in ended.stderr


# ---- workers that die


def test_a_killed_worker_is_replaced_on_the_same_socket() -> None:
    with running(hello()) as proxy:
        sockets = listening_inodes(proxy.port())
        for slot in range(2):
            old = proxy.workers()
            os.kill(old[slot], signal.SIGKILL)
            wait_until(
                lambda old=old, slot=slot: (
                    len(now := proxy.workers()) == 2 and now[slot] != old[slot]
                ),
                "the worker is replaced",
            )
            assert proxy.workers()[1 - slot] == old[1 - slot]
            assert proxy.get().status == 200
        assert listening_inodes(proxy.port()) == sockets
        assert proxy.stderr.count("killed by SIGKILL") == 2


def test_connections_that_a_killed_worker_had_not_accepted_are_served() -> None:
    with running(hello()) as proxy:
        for slot in range(2):
            workers = proxy.workers()
            # Nobody accepts: what connects now waits in the queues of both sockets.
            for pid in workers:
                os.kill(pid, signal.SIGSTOP)
            clients = [connect(proxy.port()) for _ in range(64)]
            for client in clients:
                send(client)
            os.kill(workers[slot], signal.SIGKILL)
            os.kill(workers[1 - slot], signal.SIGCONT)
            assert [read_response(client).status for client in clients] == [200] * 64
            for client in clients:
                client.close()
            wait_until(lambda: len(proxy.workers()) == 2, "the worker is replaced")


def test_killing_workers_under_load_loses_only_what_was_in_their_hands() -> None:
    """Clients that open a connection for each request; one may fail only around a kill."""
    with running(hello()) as proxy:
        failures, served, stop = [], [], threading.Event()

        def client() -> None:
            while not stop.is_set():
                try:
                    served.append(get(proxy.port()).status)
                except (ConnectionError, IndexError) as error:
                    failures.append(error)

        threads = [threading.Thread(target=client) for _ in range(4)]
        for thread in threads:
            thread.start()
        kills = 0
        for _ in range(2):
            for slot in range(2):
                before, old = len(served), proxy.workers()
                os.kill(old[slot], signal.SIGKILL)
                kills += 1
                wait_until(lambda b=before: len(served) > b + 40, "requests are served")
                wait_until(lambda: len(proxy.workers()) == 2, "the worker is replaced")
        stop.set()
        for thread in threads:
            thread.join()
        assert set(served) == {200}
        # Each of the four clients has one request in flight: that is the most that one kill can
        # cost.
        assert len(failures) <= 4 * kills
        assert not any(isinstance(f, ConnectionRefusedError) for f in failures)


def test_a_worker_that_keeps_dying_is_held_back() -> None:
    with running(hello(workers=1)) as proxy:
        for _ in range(3):
            count = proxy.stderr.count("restarting")
            wait_until(proxy.workers, "there is a worker")
            os.kill(proxy.workers()[0], signal.SIGKILL)
            proxy.wait_for("restarting", count + 1)
        assert proxy.stderr.count("restarting now") == 1
        assert "restarting in 0.1 s" in proxy.stderr
        assert "restarting in 0.2 s" in proxy.stderr
        assert proxy.get().status == 200


def test_a_worker_can_be_recycled_politely() -> None:
    release = threading.Event()

    def slow(request):
        if request.path == "/slow":
            release.wait(30)
        return Reply(body=b"from the origin")

    with (
        origin(slow) as app,
        running(f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
        routes: [{{upstream: app}}]
    """) as proxy,
    ):
        (old,) = proxy.workers()
        with connect(proxy.port()) as client:
            send(client, "/slow")
            wait_until(lambda: app.requests, "the request reached the origin")
            os.kill(old, signal.SIGTERM)
            release.set()
            assert read_response(client).status == 200
        wait_until(lambda: proxy.workers() not in ([], [old]), "the worker is replaced")
        assert proxy.get("/").status == 200


def test_the_death_of_the_supervisor_ends_the_children_but_not_their_requests() -> None:
    release = threading.Event()

    def slow(request):
        release.wait(30)
        return Reply(body=b"late")

    with (
        origin(slow) as app,
        running(f"""
        workers: 2
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams: {{app: {{endpoints: ["{app.address}"]}}, demo: {{endpoints: ["demo:"]}}}}
        routes: [{{upstream: app, match: {{path: /slow}}}}, {{upstream: demo}}]
        admin: "127.0.0.1:0"
    """) as proxy,
    ):
        wait_until(lambda: len(proxy.children("pyproxy-")) == 4, "all children run")
        port, pids = proxy.port(), list(proxy.children().values())
        with connect(port) as client:
            send(client, "/slow")
            wait_until(lambda: app.requests, "the request reached the origin")
            proxy.signal(signal.SIGKILL)
            proxy._process.wait()
            release.set()
            assert read_response(client).body == b"late"
        wait_until(lambda: not any(map(alive, pids)), "the children end")


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as status:
            return status.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_dead_control_process_is_replaced() -> None:
    with running(hello(more='    admin: "127.0.0.1:0"\n')) as proxy:
        assert proxy.admin("/healthz").status == 200
        old = proxy.children("pyproxy-control")
        os.kill(old["pyproxy-control"], signal.SIGKILL)
        proxy.wait_for("control (pid")
        assert proxy.admin("/healthz").status == 200
        assert proxy.children("pyproxy-control") != old


def test_children_hold_no_foreign_descriptors() -> None:
    """A worker has its own listening socket and not its sibling's, nor the admin socket."""
    with running(hello(more='    admin: "127.0.0.1:0"\n')) as proxy:
        assert proxy.admin("/healthz").status == 200

        def sockets(pid: int) -> set[str]:
            folder = f"/proc/{pid}/fd"
            return {os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)}

        wanted = {f"socket:[{inode}]" for inode in listening_inodes(proxy.port())}
        admin = {f"socket:[{inode}]" for inode in listening_inodes(proxy.admin_port)}
        held = [sockets(pid) & wanted for pid in proxy.workers()]
        assert [len(each) for each in held] == [1, 1]
        assert held[0] != held[1]
        control = sockets(proxy.children("pyproxy-control")["pyproxy-control"])
        assert control & wanted == set()
        assert all(not sockets(pid) & admin for pid in proxy.workers())


# ---- privileges


@pytest.fixture
def open_folder():
    """A folder that every user can reach, unlike those that pytest makes."""
    with tempfile.TemporaryDirectory(prefix="pyproxy-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@needs_root
def test_workers_run_as_the_user_and_the_log_is_theirs(open_folder) -> None:
    nobody = pwd.getpwnam("nobody")
    log = open_folder / "access.log"
    more = f"    user: nobody\n    admin: '127.0.0.1:0'\n    access_log: {{path: {log}}}\n"
    with running(hello(more=more)) as proxy:
        assert proxy.get().status == 200
        assert proxy.admin("/healthz").status == 200
        for name, pid in proxy.children().items():
            with open(f"/proc/{pid}/status") as status:
                fields = dict(line.rstrip("\n").split(":\t", 1) for line in status)
            assert fields["Uid"].split() == [str(nobody.pw_uid)] * 4, name
            assert fields["Gid"].split() == [str(nobody.pw_gid)] * 4, name
            assert "0" not in fields["Groups"].split(), name
        assert log.stat().st_uid == nobody.pw_uid
        wait_until(log.read_text, "the access log is written")


@needs_root
def test_a_privileged_port_is_bound_before_the_user_changes() -> None:
    port = next(p for p in range(1023, 600, -1) if is_free(p))
    with running(hello(f'"127.0.0.1:{port}"', more="    user: nobody\n")) as proxy:
        assert proxy.get().status == 200
        (first, _) = proxy.workers()
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: first not in (now := proxy.workers()) and len(now) == 2, "replaced")
        assert proxy.get().status == 200


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


@needs_root
def test_a_link_in_the_log_folder_does_not_give_files_away(open_folder) -> None:
    precious = open_folder / "precious"
    precious.write_text("")
    precious.chmod(0o600)
    owner = precious.stat().st_uid
    (open_folder / "access.log").symlink_to(precious)
    more = f"    user: nobody\n    access_log: {{path: {open_folder}/access.log}}\n"
    ended = run_to_end(hello(more=more))
    assert ended.status == 1
    assert "access.log" in ended.stderr
    assert precious.stat().st_uid == owner


def test_a_free_port_can_be_named() -> None:
    port = free_port()
    with running(hello(f'"127.0.0.1:{port}"')) as proxy:
        assert proxy.port() == port
        assert proxy.get().text == "hello"


def test_python_starts_no_threads_in_workers() -> None:
    with running(hello()) as proxy:
        assert proxy.get().status == 200
        for pid in proxy.workers():
            assert os.listdir(f"/proc/{pid}/task") == [str(pid)]


def test_nobody_waits_for_a_worker_that_is_recycled() -> None:
    gate = threading.Event()

    def slow(request) -> Reply:
        if request.path == "/slow":
            gate.wait(30)
        return Reply(body=b"done")

    with origin(slow) as app:
        text = f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
            routes: [{{upstream: app}}]
        """
        with running(text) as proxy, connect(proxy.port()) as busy, connect(proxy.port()) as idle:
            send(idle)
            assert read_response(idle).text == "done"
            send(busy, path="/slow")
            wait_until(lambda: len(app.requests) == 2, "the slow request is at the origin")
            (old,) = proxy.workers()
            os.kill(old, signal.SIGTERM)
            wait_until(lambda: len(proxy.status()["generations"][0]["workers"]) == 2, "a successor")
            for _ in range(20):
                assert get(proxy.port()).text == "done"
            send(idle)
            assert read_response(idle).text == "done"
            gate.set()
            assert read_response(busy).text == "done"
            wait_until(lambda: old not in proxy.children().values(), "the old one has ended")
