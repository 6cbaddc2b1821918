"""The protocols of a service manager."""

from __future__ import annotations

import os
import socket

import pytest

from pyproxy.supervise import systemd


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
