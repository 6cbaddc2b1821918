"""The protocols of a service manager."""

from __future__ import annotations

import os
import socket
import threading
import time

import pytest

from pyproxy.supervise import systemd
from pyproxy.supervise.binding import open_sockets
from pyproxy.supervise.bindpoint import BindPoint
from pyproxy.supervise.sockets import SocketTable
from pyproxy.supervise.systemd import GivenSocket


def test_notify_reaches_a_unix_socket(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        assert systemd.notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert receiver.recv(100) == b"READY=1"


def test_notify_reaches_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("")  # the kernel chooses an abstract name
        name = "@" + os.fsdecode(receiver.getsockname()[1:])
        assert systemd.notify("STOPPING=1", {"NOTIFY_SOCKET": name})
        assert receiver.recv(100) == b"STOPPING=1"


def test_notify_without_a_listener_is_no_error(tmp_path) -> None:
    assert not systemd.notify("READY=1", {})
    assert not systemd.notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "none")})


def in_child(check) -> None:
    """Run <check> in a process of its own, whose descriptors 3 and up are free to use."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if check() else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_sockets_that_were_passed_are_taken_with_their_names() -> None:
    def check() -> bool:
        first, second = listener(), listener()
        ports = [first.getsockname()[1], second.getsockname()[1]]
        numbers = [os.dup(first.fileno()), os.dup(second.fileno())]
        os.dup2(numbers[0], 3, inheritable=True)
        os.dup2(numbers[1], 4, inheritable=True)
        environ = {
            "LISTEN_PID": str(os.getpid()),
            "LISTEN_FDS": "2",
            "LISTEN_FDNAMES": "web:api",
            "HOME": "/",
        }
        given = systemd.given_sockets(environ)
        return (
            [g.name for g in given] == ["web", "api"]
            and [g.sock.getsockname()[1] for g in given] == ports
            and not any(g.sock.get_inheritable() for g in given)
            and environ == {"HOME": "/"}
        )

    in_child(check)


def test_sockets_for_another_process_are_left_alone() -> None:
    environ = {"LISTEN_PID": "1", "LISTEN_FDS": "1"}
    assert systemd.given_sockets(environ, pid=2) == []
    assert environ == {}
    assert systemd.given_sockets({}, pid=2) == []


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"LISTEN_FDS": "one"}, "not a number"),
        ({"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"}, "holds 1 names"),
        ({"LISTEN_FDS": "-1"}, "not a number"),
    ],
)
def test_contradictions_are_errors(environ, message) -> None:
    with pytest.raises(ValueError, match=message):
        systemd.given_sockets({"LISTEN_PID": "7", **environ}, pid=7)


def test_a_descriptor_that_is_no_socket_is_an_error() -> None:
    def check() -> bool:
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, 3)
        environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        try:
            systemd.given_sockets(environ)
        except ValueError as error:
            return "not a socket" in str(error)
        return False

    in_child(check)


# ---- a double of the manager's side: a datagram socket, a store, and what is handed to a restart


class Manager:
    """Reads messages as sd_notify(3) defines them; `store` holds (name, descriptor)."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind("")
        self.environ = {"NOTIFY_SOCKET": "@" + os.fsdecode(self.sock.getsockname()[1:])}
        self.store: list[tuple[str, int]] = []

    def read(self) -> dict[str, str]:
        """Handle one message; its fields."""
        text, fds, flags, _ = socket.recv_fds(self.sock, 65536, 253)
        assert not flags & socket.MSG_CTRUNC
        fields = dict(line.split("=", 1) for line in text.decode().split("\n"))
        if fields.get("FDSTORE") == "1":
            known = {os.fstat(fd).st_ino for _, fd in self.store}
            for fd in fds:
                if os.fstat(fd).st_ino in known:
                    os.close(fd)
                else:
                    self.store.append((fields["FDNAME"], fd))
        elif fields.get("FDSTOREREMOVE") == "1":
            for name, fd in [pair for pair in self.store if pair[0] == fields["FDNAME"]]:
                self.store.remove((name, fd))
                os.close(fd)
        elif fields.get("BARRIER") == "1":
            assert fields == {"BARRIER": "1"}, "a barrier stands alone"
            assert len(fds) == 1
            os.close(fds[0])
        else:
            assert not fds
        return fields

    def keep(self, table: SocketTable) -> None:
        """Let everything of <table> be stored; reads while the other side writes, as the queue of
        a datagram socket is short."""
        named, sent = table.to_store(), []
        writer = threading.Thread(
            target=lambda: sent.append(systemd.store_sockets(named, self.environ))
        )
        writer.start()
        for _ in named:
            self.read()
        writer.join()
        assert sent == [True]

    def close(self) -> None:
        self.sock.close()
        for _, fd in self.store:
            os.close(fd)


@pytest.fixture
def manager():
    it = Manager()
    yield it
    it.close()


def test_a_reload_has_a_begin_and_an_end(manager) -> None:
    before = time.monotonic_ns() // 1000
    assert systemd.notify_reloading("reading\nthe file", manager.environ)
    fields = manager.read()
    assert before <= int(fields.pop("MONOTONIC_USEC")) <= time.monotonic_ns() // 1000
    assert fields == {"RELOADING": "1", "STATUS": "reading the file"}
    assert systemd.notify_ready(environ=manager.environ)
    assert manager.read() == {"READY": "1"}


def test_a_new_main_process_is_announced_and_confirmed(manager) -> None:
    assert systemd.notify_main_pid(4711, "generation 2", manager.environ)
    confirmed = []
    waiter = threading.Thread(target=lambda: confirmed.append(systemd.barrier(30, manager.environ)))
    waiter.start()
    assert manager.read() == {"MAINPID": "4711", "STATUS": "generation 2"}
    assert manager.read() == {"BARRIER": "1"}
    waiter.join()
    assert confirmed == [True]


def test_a_manager_that_does_not_read_is_not_waited_for(manager) -> None:
    assert not systemd.barrier(0, manager.environ)
    assert not systemd.barrier(30, {})


def test_status_is_one_line(manager) -> None:
    assert systemd.notify_status("two\nlines", manager.environ)
    assert manager.read() == {"STATUS": "two lines"}


def test_sockets_are_stored_by_name_and_removed_by_name(manager) -> None:
    with listener() as first, listener() as second:
        named = [("pyproxy-web-0-0", first), ("pyproxy-web-0-1", second)]
        assert systemd.store_sockets(named, manager.environ)
        for name, _ in named:
            assert manager.read() == {"FDSTORE": "1", "FDNAME": name, "FDPOLL": "0"}
        systemd.store_sockets(named[:1], manager.environ)
        manager.read()
        assert [name for name, _ in manager.store] == [name for name, _ in named]
        assert systemd.remove_sockets(["pyproxy-web-0-0"], manager.environ)
        manager.read()
        assert [name for name, _ in manager.store] == ["pyproxy-web-0-1"]


def test_many_sockets_of_one_name_go_in_batches(manager) -> None:
    with listener() as sock:
        copies = [sock.dup() for _ in range(300)]
        assert systemd.store_sockets([("web", s) for s in copies], manager.environ)
        counts = []
        for _ in range(2):
            _, fds, _, _ = socket.recv_fds(manager.sock, 65536, 253)
            counts.append(len(fds))
            for fd in fds:
                os.close(fd)
        for s in copies:
            s.close()
    assert counts == [253, 47]


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "é", "x" * 256])
def test_a_name_that_the_manager_would_replace_is_an_error(manager, name) -> None:
    with listener() as sock, pytest.raises(ValueError, match="not a name"):
        systemd.store_sockets([(name, sock)], manager.environ)


def test_nobody_to_store_sockets_with_is_no_error() -> None:
    with listener() as sock:
        assert not systemd.store_sockets([("web", sock)], {})
    assert not systemd.remove_sockets(["web"], {})


def restored(manager, points: list[BindPoint], slots: int) -> SocketTable:
    """What a restarted service binds: the manager passes its store, newest first."""
    given = [
        GivenSocket(name, socket.socket(fileno=os.dup(fd))) for name, fd in reversed(manager.store)
    ]
    return open_sockets(points, slots, given)


def inodes(table: SocketTable) -> list[list[int]]:
    return [[os.fstat(held.sock.fileno()).st_ino for held in b.sockets] for b in table.bound]


def test_stored_sockets_come_back_into_their_slots(manager, tmp_path) -> None:
    points = [
        # Two listeners of one address pattern, one with two addresses, all with free ports.
        BindPoint("web", "127.0.0.1:0", host="127.0.0.1"),
        BindPoint("web", "127.0.0.1:0", host="127.0.0.1"),
        BindPoint("web-0", "127.0.0.1:0", host="127.0.0.1"),
        BindPoint("name with: everything é", "[::1]:0", host="::1"),
        BindPoint("web", f"unix:{tmp_path}/s", path=f"{tmp_path}/s"),
    ]
    table = open_sockets(points, 3)
    manager.keep(table)
    before = [(b.real, b.index) for b in table.bound], inodes(table)
    # The process dies: its references are gone, its files are not.
    table.close()
    again = restored(manager, points, 3)
    try:
        assert ([(b.real, b.index) for b in again.bound], inodes(again)) == before
        assert not again.unused
        assert not any(b.foreign for b in again.bound)
        assert again.to_store()
    finally:
        again.close()
        again.remove_files()
    assert not (tmp_path / "s").exists()


def test_connections_that_wait_survive_the_crash(manager) -> None:
    points = [BindPoint("web", "127.0.0.1:0", host="127.0.0.1")]
    table = open_sockets(points, 1)
    manager.keep(table)
    with socket.create_connection(("127.0.0.1", table.bound[0].port)) as client:
        table.close()
        again = restored(manager, points, 1)
        accepted, _ = again.bound[0].sockets[0].sock.accept()
        with accepted:
            accepted.sendall(b"hello")
            assert client.recv(100) == b"hello"
        again.close()


def test_stored_sockets_of_another_address_are_left(manager, tmp_path) -> None:
    old = [
        BindPoint("web", "127.0.0.1:0", host="127.0.0.1"),
        BindPoint("web", f"unix:{tmp_path}/s", path=f"{tmp_path}/s"),
    ]
    table = open_sockets(old, 2)
    manager.keep(table)
    table.close()
    # Somebody has removed the file: nobody could connect to a socket without one.
    (tmp_path / "s").unlink()
    again = restored(manager, [old[0]._replace(host="127.0.0.2"), old[1]], 2)
    try:
        assert again.bound[0].real.startswith("127.0.0.2:")
        assert (tmp_path / "s").is_socket()
        assert {g.name for g in again.unused} == {
            "pyproxy-web-0-0", "pyproxy-web-0-1", "pyproxy-web-1-0",
        }  # fmt: skip
    finally:
        again.close()
        again.remove_files()
        for given in again.unused:
            given.sock.close()


def test_fewer_workers_share_out_what_was_stored(manager) -> None:
    points = [BindPoint("web", "127.0.0.1:0", host="127.0.0.1")]
    table = open_sockets(points, 3)
    manager.keep(table)
    table.close()
    again = restored(manager, points, 2)
    assert [len(again.of_slot(slot)) for slot in range(2)] == [2, 1]
    assert not again.unused
    again.close()


def test_sockets_of_a_socket_unit_are_not_stored() -> None:
    sock = listener()
    table = open_sockets([BindPoint("web", "fd:web", fd_name="web")], 2, [GivenSocket("web", sock)])
    assert table.bound[0].foreign
    assert table.to_store() == []
    table.close()


def test_a_stored_socket_does_not_keep_the_port_from_its_successor(manager, monkeypatch) -> None:
    table = open_sockets([BindPoint("web", "127.0.0.1:0", host="127.0.0.1")], 2)
    port = table.bound[0].port
    manager.keep(table)
    table.close()
    monkeypatch.setenv("NOTIFY_SOCKET", manager.environ["NOTIFY_SOCKET"])
    reader = threading.Thread(target=lambda: [manager.read() for _ in range(3)])
    given = [GivenSocket(name, socket.socket(fileno=os.dup(fd))) for name, fd in manager.store]
    reader.start()
    point = BindPoint("web", f"0.0.0.0:{port}", host="0.0.0.0", port=port)
    again = open_sockets([point], 2, given, retry_seconds=0)
    reader.join()
    assert again.bound[0].real == f"0.0.0.0:{port}"
    assert not again.unused
    assert not manager.store
    again.close()


def test_a_renamed_listener_finds_its_sockets_by_their_address(manager) -> None:
    table = open_sockets([BindPoint("web", "127.0.0.1:0", host="127.0.0.1")], 2)
    port, before = table.bound[0].port, inodes(table)
    manager.keep(table)
    table.close()
    point = BindPoint("www", f"127.0.0.1:{port}", host="127.0.0.1", port=port)
    again = restored(manager, [point], 2)
    assert sorted(inodes(again)[0]) == sorted(before[0])
    assert not again.bound[0].foreign
    again.close()
