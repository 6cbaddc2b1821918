"""Binding: slots, ports, stale files, and what is said when it fails."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys

import pytest

from pyproxy.supervise.binding import grow, open_sockets, somaxconn
from pyproxy.supervise.bindpoint import BindError, BindPoint
from pyproxy.supervise.holders import describe_holders
from pyproxy.supervise.systemd import GivenSocket


@pytest.fixture
def opened():
    tables = []

    def bind(*points: BindPoint, slots: int = 2, given=(), **options):
        options.setdefault("retry_seconds", 0)
        table = open_sockets(points, slots, given, **options)
        tables.append(table)
        return table

    yield bind
    for table in tables:
        table.close()
        table.remove_files()


def tcp(host: str = "127.0.0.1", port: int = 0, name: str = "web") -> BindPoint:
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return BindPoint(name, shown, host=host, port=port)


def unix(path, mode: int = 0o666) -> BindPoint:
    return BindPoint("web", f"unix:{path}", path=str(path), mode=mode)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]


# ---- TCP


def test_every_slot_has_its_own_socket_on_one_port(opened) -> None:
    table = opened(tcp(), slots=3)
    socks = [table.of_slot(slot)[0].sock for slot in range(3)]
    assert len({s.fileno() for s in socks}) == 3
    assert {s.getsockname()[1] for s in socks} == {table.bound[0].port}
    assert all(s.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for s in socks)
    assert all(s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for s in socks)
    assert not any(s.getblocking() or s.get_inheritable() for s in socks)


def test_connections_reach_every_slot(opened) -> None:
    table = opened(tcp(), slots=2)
    seen = set()
    clients = []
    for _ in range(200):
        client = socket.create_connection(("127.0.0.1", table.bound[0].port))
        clients.append(client)
        for slot in range(2):
            try:
                table.of_slot(slot)[0].sock.accept()[0].close()
            except BlockingIOError:
                continue
            seen.add(slot)
        if len(seen) == 2:
            break
    for client in clients:
        client.close()
    assert seen == {0, 1}


def test_ipv6_and_ipv4_wildcards_share_a_port(opened) -> None:
    for attempt in range(20):
        table = opened(tcp("::"), slots=1)
        port = table.bound[0].port
        try:
            opened(tcp("0.0.0.0", port), slots=1)
        except BindError:  # somebody else on this machine has the port that the kernel chose for us
            assert attempt < 19
            continue
        break
    assert table.bound[0].real == f"[::]:{port}"
    assert table.bound[0].sockets[0].sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


def test_an_address_in_use_names_listener_address_and_holder(opened) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(BindError) as caught:
            opened(tcp(port=port))
    message = str(caught.value)
    assert "listener 'web'" in message
    assert f"127.0.0.1:{port}" in message
    assert f"(pid {os.getpid()})" in message


def test_a_second_proxy_does_not_join_the_port_unnoticed(opened) -> None:
    first = opened(tcp(), slots=2)
    with pytest.raises(BindError, match="in use"):
        opened(tcp(port=first.bound[0].port))


def test_an_address_in_use_is_tried_again(opened) -> None:
    holder = socket.create_server(("127.0.0.1", 0))
    port = holder.getsockname()[1]
    said, slept = [], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            holder.close()

    table = opened(tcp(port=port), retry_seconds=10, say=said.append, sleep=sleep)
    assert table.bound[0].port == port
    assert len(slept) == 3
    assert len(said) == 1
    assert "in use" in said[0]


def test_the_retry_ends(opened) -> None:
    slept = []
    with (
        socket.create_server(("127.0.0.1", 0)) as holder,
        pytest.raises(BindError, match="in use"),
    ):
        opened(tcp(port=holder.getsockname()[1]), retry_seconds=1, sleep=slept.append)
    assert sum(slept) == pytest.approx(1.0, abs=0.2)


def test_an_address_of_no_interface(opened) -> None:
    with pytest.raises(BindError, match="no network interface has this address"):
        opened(tcp("192.0.2.1", free_port()))


def test_a_failure_leaves_nothing_open(opened, tmp_path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(BindError):
        opened(tcp(), unix(tmp_path / "s"), tcp("192.0.2.1", free_port()))
    assert len(os.listdir("/proc/self/fd")) == before
    assert not (tmp_path / "s").exists()


def in_child(call) -> str:
    """What <call> returns in a process of its own."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writer, call().encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return text


def test_a_privileged_port_says_what_is_needed() -> None:
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as limit:
        if int(limit.read()) <= 1:
            pytest.skip("this machine lets everybody bind every port")
    point = BindPoint("web", "127.0.0.1:1", host="127.0.0.1", port=1)

    def refusal() -> str:
        if os.geteuid() == 0:
            os.setresuid(65534, 65534, 65534)
        with pytest.raises(BindError) as caught:
            open_sockets([point], 1, retry_seconds=0)
        return str(caught.value)

    assert "CAP_NET_BIND_SERVICE" in in_child(refusal)


def test_a_backlog_beyond_the_kernels_is_cut(opened) -> None:
    point = BindPoint("web", "127.0.0.1:0", host="127.0.0.1", port=0, backlog=10**9)
    opened(point)
    assert 1 <= somaxconn() < 10**9


# ---- unix


def test_a_unix_socket_is_shared_and_has_its_mode(opened, tmp_path) -> None:
    table = opened(unix(tmp_path / "web.sock", 0o620), slots=3)
    assert table.bound[0].real == f"unix:{tmp_path}/web.sock"
    assert len({id(table.of_slot(slot)[0].sock) for slot in range(3)}) == 1
    assert stat.S_IMODE((tmp_path / "web.sock").stat().st_mode) == 0o620


def test_a_stale_socket_file_is_replaced(opened, tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(tmp_path / "s"))
    opened(unix(tmp_path / "s"))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "s"))


def test_a_live_socket_file_is_in_use(opened, tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen()
        with pytest.raises(BindError, match="in use"):
            opened(unix(tmp_path / "s"))
    assert (tmp_path / "s").exists()


def test_a_live_socket_with_a_full_queue_is_in_use(opened, tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen(0)
        waiting = []
        while True:
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            waiting.append(client)
            if client.connect_ex(str(tmp_path / "s")):
                break
        with pytest.raises(BindError, match="in use"):
            opened(unix(tmp_path / "s"))
        for client in waiting:
            client.close()


def test_a_file_that_is_no_socket_is_left_alone(opened, tmp_path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(BindError, match="not a socket"):
        opened(unix(tmp_path / "s"))
    assert (tmp_path / "s").read_text() == "precious"


def test_a_missing_folder_is_named(opened, tmp_path) -> None:
    with pytest.raises(BindError, match=f"folder {tmp_path}/none does not exist"):
        opened(unix(tmp_path / "none" / "s"))


def test_a_path_that_is_too_long(opened, tmp_path) -> None:
    with pytest.raises(BindError, match="too long"):
        opened(unix(tmp_path / ("x" * 120)))


def test_only_our_own_socket_file_is_removed(opened, tmp_path) -> None:
    first = opened(unix(tmp_path / "s"))
    (tmp_path / "s").unlink()
    (tmp_path / "s").write_text("somebody else's")
    first.remove_files()
    assert (tmp_path / "s").exists()


def test_our_socket_file_goes_with_us(opened, tmp_path) -> None:
    table = opened(unix(tmp_path / "s"))
    table.remove_files()
    assert not (tmp_path / "s").exists()


# ---- passed in


def given(name: str = "web") -> GivenSocket:
    return GivenSocket(name, socket.create_server(("127.0.0.1", 0)))


def test_a_socket_is_found_by_its_name(opened) -> None:
    one = given()
    table = opened(BindPoint("front", "fd:web", fd_name="web"), slots=2, given=[one])
    assert table.bound[0].port == one.sock.getsockname()[1]
    assert [table.of_slot(slot)[0].sock for slot in range(2)] == [one.sock, one.sock]
    assert table.unused == []


def test_a_socket_is_found_by_its_address(opened) -> None:
    one = given("whatever")
    table = opened(tcp(port=one.sock.getsockname()[1]), given=[one])
    assert table.of_slot(0)[0].sock is one.sock


def test_a_name_that_was_not_passed_lists_those_that_were(opened) -> None:
    one = given("api")
    with one.sock, pytest.raises(BindError, match=r"no socket named 'web'.*available: api"):
        opened(BindPoint("front", "fd:web", fd_name="web"), given=[one])


def test_sockets_of_one_name_are_dealt_out_to_the_slots(opened) -> None:
    three = [given(), given(), given()]
    table = opened(BindPoint("front", "fd:web", fd_name="web"), slots=2, given=three)
    dealt = [{held.sock.fileno() for held in table.of_slot(slot)} for slot in range(2)]
    assert dealt == [
        {three[0].sock.fileno(), three[2].sock.fileno()},
        {three[1].sock.fileno()},
    ]


def test_more_slots_than_sockets_of_one_name_share_them(opened) -> None:
    two = [given(), given()]
    table = opened(BindPoint("front", "fd:web", fd_name="web"), slots=3, given=two)
    assert [len(table.of_slot(slot)) for slot in range(3)] == [2, 2, 2]


# ---- a later number of slots


def test_more_slots_get_sockets_of_their_own_in_the_same_group(opened) -> None:
    table = opened(tcp(), slots=2)
    (bound,) = table.bound
    before = list(bound.sockets)
    added = grow(bound, 4)
    table.slots = 4
    assert bound.sockets[:2] == before
    assert [held.slot for held in added] == [2, 3]
    assert {held.sock.getsockname() for held in bound.sockets} == {before[0].sock.getsockname()}
    assert table.surplus() == []


def test_sockets_without_a_worker_are_served_by_the_others(opened) -> None:
    table = opened(tcp(), slots=4)
    table.slots = 2
    assert [[held.slot for held in table.of_slot(slot)] for slot in range(2)] == [[0, 2], [1, 3]]
    assert [held.slot for held in table.surplus()] == [2, 3]


def test_what_is_closing_is_nobodys(opened) -> None:
    table = opened(tcp(), slots=2)
    one, other = table.all_sockets()
    table.closing.add(one.id)
    assert [table.of_slot(slot) for slot in range(2)] == [[], [other]]
    table.forget({one.id})
    assert one.sock.fileno() == -1
    assert table.all_sockets() == [other]
    assert table.closing == set()


def test_a_unix_socket_does_not_grow(opened, tmp_path) -> None:
    table = opened(unix(tmp_path / "web.sock"), slots=1)
    assert grow(table.bound[0], 3) == []


# ---- sockets of an older generation


def passed_on(table, **changes) -> list[GivenSocket]:
    rows = [
        GivenSocket(
            b.point.listener, held.sock.dup(), b.foreign, b.point.address, held.slot, b.file_id
        )
        for b in table.bound
        for held in b.sockets
    ]
    return [row._replace(**changes) for row in rows]


def test_the_next_generation_has_the_same_sockets_in_the_same_slots(opened) -> None:
    old = opened(tcp(), tcp("::1"), slots=2)
    points = [b.point for b in old.bound]
    new = opened(*points, slots=3, given=passed_on(old))
    for slot in range(2):
        assert [h.sock.getsockname() for h in new.of_slot(slot)] == [
            h.sock.getsockname() for h in old.of_slot(slot)
        ]
    # Same port although the file says 0, and one more socket in each group.
    assert [b.real for b in new.bound] == [b.real for b in old.bound]
    assert len(new.of_slot(2)) == 2
    assert new.unused == []


def test_a_connection_waits_in_the_socket_for_the_next_generation(opened) -> None:
    old = opened(tcp(), slots=1)
    with socket.create_connection(("127.0.0.1", old.bound[0].port)):
        new = opened(old.bound[0].point, slots=1, given=passed_on(old))
        old.close()
        accepted, _ = new.of_slot(0)[0].sock.accept()
        accepted.close()


def test_a_file_of_the_older_generation_is_not_removed_before_ours_serves(opened, tmp_path) -> None:
    path = tmp_path / "web.sock"
    old = opened(unix(path), slots=1)
    new = opened(unix(path), slots=1, given=passed_on(old))
    new.remove_files(inherited=False)
    assert path.exists()
    new.remove_files()
    assert not path.exists()


def test_a_socket_nobody_asked_for_is_reported(opened) -> None:
    one = given("extra")
    with one.sock:
        table = opened(tcp(), given=[one])
        assert [g.name for g in table.unused] == ["extra"]


def test_a_datagram_socket_is_refused(opened) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong,
        pytest.raises(BindError, match="no stream socket"),
    ):
        opened(BindPoint("front", "fd:web", fd_name="web"), given=[GivenSocket("web", wrong)])


def test_nobody_holds_a_free_port() -> None:
    assert describe_holders(free_port()) == ""


def test_binding_does_not_import_the_idna_codec() -> None:
    script = (
        "import sys\nfrom pyproxy.supervise.bindpoint import BindPoint\n"
        "from pyproxy.supervise.binding import open_sockets\n"
        "open_sockets([BindPoint('web', '127.0.0.1:0', host='127.0.0.1')], 1, []).close()\n"
        "assert 'encodings.idna' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("host", ["localhost", "bücher.example"])
def test_a_host_that_is_not_numeric_is_refused(opened, host) -> None:
    with pytest.raises(BindError, match="is not an IP address"):
        opened(tcp(host))
