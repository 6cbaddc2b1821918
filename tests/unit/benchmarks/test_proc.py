"""Reading /proc: texts as the kernel writes them, and this very process."""

from __future__ import annotations

import os
import socket

import pytest

from benchmarks import proc

STAT = (
    "4242 (worker) (x) 1) S 17 4242 4242 0 -1 4194560 900 0 0 0 250 31 7 5 20 0 3 0 88 1 2 "
    "18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0"
)
ROLLUP = "55d0-7ffc ---p 00000000 00:00 0 [rollup]\nRss:    20480 kB\nPss:     1234 kB\n"
TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 101 1 0
   2: 0100007F:C350 0100007F:1F90 06 00000000:00000000 03:00001093 00000000     0        0 0 3 0
"""


def test_a_stat_line_is_read_although_the_name_has_blanks_and_brackets() -> None:
    assert proc.parse_stat(STAT) == proc.Stat(4242, 17, 250, 31)


@pytest.mark.parametrize("text", ["", "12", "12 (x", "12 (x) S 1 2"])
def test_what_is_no_stat_line_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="stat line"):
        proc.parse_stat(text)


def test_schedstat_begins_with_the_nanoseconds_run() -> None:
    assert proc.parse_schedstat("343843014 145849 18\n") == 343843014
    with pytest.raises(ValueError, match="empty"):
        proc.parse_schedstat("")


def test_memory_fields_come_in_bytes() -> None:
    assert proc.parse_kib(ROLLUP, "Pss") == 1234 * 1024
    with pytest.raises(KeyError):
        proc.parse_kib(ROLLUP, "Swap")


def test_sockets_are_read_with_port_state_and_inode() -> None:
    assert list(proc.parse_tcp(TCP)) == [(8080, 10, 100), (8080, 1, 101), (50000, 6, 0)]


def test_descendants_are_found_at_any_depth_and_strangers_are_not() -> None:
    parents = {1: 0, 10: 1, 11: 10, 12: 10, 13: 12, 20: 1}
    assert proc.descendants(parents, 10) == [10, 11, 12, 13]


def test_cpu_time_splits_nanoseconds_as_the_ticks_do() -> None:
    before = proc.Cpu({(1, 1): 0}, 0, 0)
    after = proc.Cpu({(1, 1): 2_000_000_000}, 50, 150)
    assert after.since(before) == pytest.approx((2.0, 0.5, 1.5))


def test_cpu_time_counts_threads_that_began_meanwhile() -> None:
    before = proc.Cpu({(1, 1): 5_000_000}, 0, 0)
    after = proc.Cpu({(1, 1): 6_000_000, (1, 2): 3_000_000}, 0, 0)
    total, user, system = after.since(before)
    assert (total, user, system) == pytest.approx((0.004, 0.0, 0.004))


def test_cpu_time_comes_from_ticks_when_a_thread_has_ended() -> None:
    before = proc.Cpu({(1, 1): 0, (1, 2): 9_000_000}, 0, 0)
    after = proc.Cpu({(1, 1): 1_000_000}, proc.TICKS, proc.TICKS)
    assert after.since(before) == pytest.approx((2.0, 1.0, 1.0))


def test_this_process_is_the_root_of_its_tree_and_has_memory_and_time() -> None:
    own = os.getpid()
    assert proc.tree(own)[0] == own
    assert proc.pss(own) > 0
    assert proc.cpu([own]).threads


def test_processes_that_are_gone_count_for_nothing() -> None:
    gone = proc.cpu([2**22 + 1])
    assert (gone.threads, gone.user_ticks) == ({}, 0)
    assert proc.sockets(2**22 + 1) == set()


def test_accepted_connections_are_counted_for_the_process_that_holds_them() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert proc.accepted([os.getpid()], port) == {}
            accepted, _ = server.accept()
            with accepted:
                assert proc.accepted([os.getpid()], port) == {os.getpid(): 1}
