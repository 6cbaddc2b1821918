"""What a new configuration does to the socket table, and how it is given up."""

from __future__ import annotations

import socket
import stat

import pytest

from pyproxy.supervise.binding import open_sockets
from pyproxy.supervise.bindpoint import BindError, BindPoint
from pyproxy.supervise.rebind import Rebind


def tcp(name: str = "web", port: int = 0, host: str = "127.0.0.1") -> BindPoint:
    return BindPoint(name, f"{host}:{port}", host=host, port=port)


def unix(path, name: str = "web", mode: int = 0o666) -> BindPoint:
    return BindPoint(name, f"unix:{path}", path=str(path), mode=mode)


def say(text: str) -> None:
    raise AssertionError(text)


@pytest.fixture
def opened():
    tables = []

    def bind(*points: BindPoint, slots: int = 2):
        tables.append(open_sockets(points, slots, retry_seconds=0))
        return tables[-1]

    yield bind
    for table in tables:
        table.close()
        table.remove_files()


def test_what_is_in_both_stays_as_it_is(opened) -> None:
    table = opened(tcp(), tcp("api"))
    before = table.all_sockets()
    change = Rebind(table, [tcp(), tcp("api")], 2, say)
    change.apply(say)
    assert table.all_sockets() == before
    assert (change.added, change.removed) == ([], [])


def test_new_addresses_come_and_old_ones_retire(opened) -> None:
    table = opened(tcp())
    (old,) = table.bound
    change = Rebind(table, [tcp("api")], 2, say)
    assert table.bound == [old]  # nothing has changed yet
    change.apply(say)
    assert old.retiring
    assert [b.point.listener for b in table.bound if not b.retiring] == ["api"]
    # Who accepts there goes on with it, but nobody begins.
    assert all(held.listener == "api" for held in table.of_slot(0))
    assert {held.listener for held in table.of_slot(0, retiring=True)} == {"web", "api"}


def test_it_can_be_given_up(opened, tmp_path) -> None:
    table = opened(tcp())
    before = table.all_sockets()
    change = Rebind(table, [tcp(), unix(tmp_path / "s")], 4, say)
    assert (tmp_path / "s").exists()
    change.abandon()
    assert not (tmp_path / "s").exists()
    assert table.all_sockets() == before
    assert table.slots == 2


def test_a_taken_address_leaves_everything(opened) -> None:
    table = opened(tcp())
    before = table.all_sockets()
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(BindError, match="in use"):
        Rebind(table, [tcp(), tcp("api", taken.getsockname()[1])], 2, lambda text: None)
    assert table.all_sockets() == before


def test_a_renamed_listener_has_the_same_sockets(opened, tmp_path) -> None:
    table = opened(unix(tmp_path / "s"))
    inode = (tmp_path / "s").stat().st_ino
    change = Rebind(table, [unix(tmp_path / "s", "front")], 2, say)
    change.apply(say)
    for bound in change.removed:
        bound.remove_file()  # no longer its own
    assert (tmp_path / "s").stat().st_ino == inode


def test_more_slots_bind_more_sockets_that_do_not_listen_yet(opened) -> None:
    table = opened(tcp())
    Rebind(table, [tcp()], 4, say).apply(say)
    assert [held.listens for held in table.all_sockets()] == [True, True, False, False]
    assert table.slots == 4


def test_an_address_that_comes_back_is_new_and_keeps_its_queue(opened) -> None:
    table = opened(tcp())
    port = table.bound[0].port
    point = BindPoint("web", f"127.0.0.1:{port}", host="127.0.0.1", port=port)
    table.bound[0].point = point
    Rebind(table, [tcp("api")], 2, say).apply(say)
    with socket.create_connection(("127.0.0.1", port)):
        Rebind(table, [point], 2, say).apply(say)
        back = [b for b in table.bound if not b.retiring and b.point == point]
        assert [b.port for b in back] == [port]
        assert {held.id for held in back[0].sockets}.isdisjoint(
            held.id for b in table.bound if b.retiring for held in b.sockets
        )


def test_a_wider_address_may_follow_a_narrow_one(opened) -> None:
    table = opened(tcp())
    port = table.bound[0].port
    change = Rebind(table, [tcp("web", port, "0.0.0.0")], 2, say)
    change.apply(say)
    assert change.added[0].real == f"0.0.0.0:{port}"


def test_the_mode_of_a_file_is_taken_over(opened, tmp_path) -> None:
    table = opened(unix(tmp_path / "s", mode=0o666))
    Rebind(table, [unix(tmp_path / "s", mode=0o600)], 2, say).apply(say)
    assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o600
