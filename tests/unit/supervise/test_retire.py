"""The kernel's switches for ending a listening socket; real sockets on loopback."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from pyproxy.supervise import retire


@pytest.fixture
def group():
    """Four sockets of one SO_REUSEPORT group, listening in order."""
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(4)]
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(socks[0].getsockname() if sock is not socks[0] else ("127.0.0.1", 0))
        for sock in socks:
            sock.listen()
        yield socks


def connect(sock: socket.socket, count: int, stack: ExitStack) -> None:
    for _ in range(count):
        stack.enter_context(socket.create_connection(sock.getsockname(), timeout=30))


def test_the_length_of_the_queue_is_known(group) -> None:
    with ExitStack() as stack:
        connect(group[0], 40, stack)
        assert sum(retire.queue_length(sock) for sock in group) == 40


def test_new_connections_are_steered_to_the_first_sockets(group) -> None:
    with ExitStack() as stack:
        assert retire.steer(group[0], 2)
        connect(group[0], 60, stack)
        lengths = [retire.queue_length(sock) for sock in group]
        assert lengths[2:] == [0, 0]
        assert all(lengths[:2])
        retire.steer_no_more(group[0])
        connect(group[0], 120, stack)
        assert all(retire.queue_length(sock) for sock in group)


def test_nobody_new_comes_but_who_waits_stays() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock, ExitStack() as stack:
        connect(sock, 3, stack)
        retire.refuse_new(sock)
        with socket.socket() as late:
            late.settimeout(0.3)
            with pytest.raises(TimeoutError):
                late.connect(sock.getsockname())
        assert retire.queue_length(sock) == 3
        for _ in range(3):
            sock.accept()[0].close()
        retire.accept_new(sock)
        connect(sock, 1, stack)


def test_a_unix_socket_needs_none_of_this(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        retire.refuse_new(sock)
        assert retire.queue_length(sock) == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_datagrams_are_steered_by_their_client(host) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with ExitStack() as stack:
        socks = [stack.enter_context(socket.socket(family, socket.SOCK_DGRAM)) for _ in range(4)]
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(socks[0].getsockname() if sock is not socks[0] else (host, 0))
            sock.setblocking(False)
        assert retire.steer(socks[0], 2)
        clients = [stack.enter_context(socket.socket(family, socket.SOCK_DGRAM)) for _ in range(30)]
        for client in clients:
            for _ in range(4):
                client.sendto(b"x", socks[0].getsockname())
        took = [received(sock) for sock in socks]
        assert took[2:] == [{}, {}]
        assert all(took[:2])
        # All of a client, or nothing.
        assert {*took[0].values(), *took[1].values()} == {4}


def received(sock: socket.socket) -> dict[object, int]:
    """How many datagrams of each client wait in <sock>."""
    counts: dict[object, int] = {}
    while retire.queue_length(sock):
        where = sock.recvfrom(10)[1]
        counts[where] = counts.get(where, 0) + 1
    return counts


def test_a_socket_that_is_to_go_gets_no_datagrams() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.sendto(b"before", sock.getsockname())
            retire.refuse_new(sock)
            client.sendto(b"dropped", sock.getsockname())
            assert retire.queue_length(sock) == 1
            assert sock.recv(100) == b"before"
            assert retire.queue_length(sock) == 0
            retire.accept_new(sock)
            client.sendto(b"after", sock.getsockname())
            assert sock.recv(100) == b"after"
