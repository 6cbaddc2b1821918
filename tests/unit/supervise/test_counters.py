"""The counter segment: growth, columns and hand-over between supervisors."""

from __future__ import annotations

import fcntl
import itertools
import mmap
import os
import resource
import signal
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyproxy._counters import StatSegment
from pyproxy.config.load import loads
from pyproxy.config.model import Config
from pyproxy.supervise import counters as module
from pyproxy.supervise.counters import Counters, CountersError

ONE = """
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams: {app: {endpoints: ["127.0.0.1:1", "127.0.0.1:2"]}}
routes: [{upstream: app}, {name: x, match: {path: /x}, respond: {}}]
"""


def config_of(routes: int, prefix: str = "r") -> Config:
    text = "".join(
        f"  - {{name: {prefix}-{i}, match: {{path: /{i}}}, respond: {{}}}}\n" for i in range(routes)
    )
    return loads('listeners: {web: {bind: "127.0.0.1:0"}}\nroutes:\n' + text)


def records_of(counters: Counters) -> dict[tuple[str, str], int]:
    segment = StatSegment.open(counters.memory)
    return {(kind, name): base for kind, name, base, _ in segment.records()}


def pages_in_memory(counters: Counters) -> int:
    """Pages of the file that exist."""
    return os.fstat(counters.fd).st_blocks * 512 // mmap.PAGESIZE


def in_child(job: Callable[[], bool]) -> None:
    """Run <job> in another process, which must find it true."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if job() else 1
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


@pytest.fixture
def counters() -> Iterator[Counters]:
    made = Counters.make(loads(ONE), 2)
    yield made
    made.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """No reserve worth the name."""
    monkeypatch.setattr(module, "_COLUMNS", 4)
    monkeypatch.setattr(module, "_WORDS", 1)
    monkeypatch.setattr(module, "_DIR_BYTES", 1)


class TestMake:
    def test_everything_that_is_counted_has_its_record(self, counters: Counters) -> None:
        assert set(records_of(counters)) >= {
            ("worker", ""),
            ("supervisor", ""),
            ("listener", "web"),
            ("route", "route-0"),
            ("route", "x"),
            ("upstream", "app"),
            ("endpoint", "app/127.0.0.1:2"),
            *((kind, "-") for kind in ("listener", "route", "upstream", "endpoint")),
        }

    def test_the_size_is_sealed(self, counters: Counters) -> None:
        size = os.fstat(counters.fd).st_size
        for other in (size - 4096, size + 4096):
            with pytest.raises(PermissionError):
                os.ftruncate(counters.fd, other)

    def test_the_reserve_takes_no_memory(self, counters: Counters) -> None:
        assert len(counters.memory) > 100 << 20
        assert pages_in_memory(counters) < 16
        segment = StatSegment.open(counters.memory)
        for index in range(200):
            segment.sum(index)
        for _ in range(20):
            counters.take_column()
        for column in range(1, 21):
            counters.release_column(column)
        assert pages_in_memory(counters) < 16

    def test_the_reserve_is_in_no_core_dump(self, counters: Counters) -> None:
        maps = Path("/proc/self/smaps").read_text().split("memfd:pyproxy-counters")
        flags = [part.partition("VmFlags:")[2].partition("\n")[0].split() for part in maps[1:]]
        assert flags
        assert all("dd" in found for found in flags)

    def test_a_configuration_beyond_the_reserve_gets_what_it_needs(self, small: None) -> None:
        made = Counters.make(config_of(600, "n" * 40), 1)
        assert sum(kind == "route" for kind, _ in records_of(made)) == 601
        made.close()

    def test_little_address_space_means_a_smaller_reserve(self) -> None:
        def job() -> bool:
            used = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
            limit = used + (100 << 20)
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            made = Counters.make(loads(ONE), 2)
            return len(made.memory) < 100 << 20 and made.take_column() == 1

        in_child(job)

    def test_no_address_space_at_all_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(size: int) -> tuple[int, mmap.mmap]:
            raise OSError(12, "Cannot allocate memory")

        monkeypatch.setattr(module, "_reserve", refuse)
        with pytest.raises(CountersError, match="Cannot allocate memory"):
            Counters.make(loads(ONE), 2)


class TestAdd:
    def test_ten_thousand_routes_are_added_by_a_reload(self, counters: Counters) -> None:
        before = records_of(counters)
        assert counters.add(config_of(10_000)) == []
        after = records_of(counters)
        assert before.items() <= after.items()
        assert sum(kind == "route" for kind, _ in after) == 3 + 10_000
        assert pages_in_memory(counters) < 300  # the directory; no words

    def test_what_is_known_is_not_added_again(self, counters: Counters) -> None:
        before = records_of(counters)
        assert counters.add(loads(ONE)) == []
        assert records_of(counters) == before

    def test_what_has_no_room_is_told_and_counted(
        self, small: None, caplog: pytest.LogCaptureFixture
    ) -> None:
        made = Counters.make(config_of(5), 1)
        refused = made.add(config_of(50))
        assert ("route", "r-49") in refused
        assert ("route", "r-4") not in refused
        assert made.value("metric_records_refused_total") == len(refused)
        assert "no room" in caplog.text
        assert made.add(config_of(5)) == []
        made.close()

    def test_records_added_by_one_process_are_seen_by_another(self, counters: Counters) -> None:
        in_child(lambda: counters.add(config_of(3)) == [])
        assert ("route", "r-2") in records_of(counters)

    def test_processes_that_define_at_once_do_not_disturb_each_other(
        self, counters: Counters
    ) -> None:
        same = config_of(3000)
        ready, start = os.pipe()
        pids = []
        for _ in range(2):
            pid = os.fork()
            if pid == 0:
                done = False
                try:
                    os.close(start)
                    os.read(ready, 1)  # the end of the file: both begin at once
                    done = counters.add(same) == []
                finally:
                    os._exit(0 if done else 1)
            pids.append(pid)
        os.close(start)
        os.close(ready)
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
        segment = StatSegment.open(counters.memory)
        found = [(kind, name) for kind, name, _, _ in segment.records()]
        assert len(found) == len(set(found))
        assert sum(kind == "route" for kind, _ in found) == 3 + 3000
        bases = sorted((base, words) for _, _, base, words in segment.records())
        assert all(a + n <= b for (a, n), (b, _) in itertools.pairwise(bases))

    def test_a_definer_that_was_stopped_holds_nobody_up(
        self, counters: Counters, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(module, "_LOCK_SECONDS", 0.05)
        ready, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                fcntl.lockf(counters.fd, fcntl.LOCK_EX)
                os.write(told, b"x")
                signal.pause()
            finally:
                os._exit(1)
        try:
            os.read(ready, 1)
            assert counters.add(loads(ONE)) == []
            assert len(counters.add(config_of(4))) == 4
            assert "does not end" in caplog.text
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(ready)
            os.close(told)
        assert counters.add(config_of(4)) == []  # the lock died with it


class TestColumns:
    def test_two_processes_never_share_one(self, counters: Counters) -> None:
        mine = [counters.take_column() for _ in range(10)]
        in_child(lambda: not {counters.take_column() for _ in range(10)} & set(mine))
        assert 0 not in mine
        assert set(mine) <= counters.columns().keys()
        assert len(counters.columns()) == 20

    def test_a_hundred_upgrades_do_not_use_them_up(self, counters: Counters) -> None:
        held = [counters.take_column() for _ in range(32)]
        for _ in range(100):
            old, held = held, [counters.take_column() for _ in range(32)]
            for column in old:
                counters.release_column(column)
        assert max(held) < 65

    def test_there_are_no_more_than_there_are(self, small: None) -> None:
        made = Counters.make(loads(ONE), 1)
        taken = [made.take_column() for _ in range(3)]
        with pytest.raises(CountersError, match="taken"):
            made.take_column()
        made.release_column(taken[1])
        assert made.take_column() == taken[1]
        made.close()

    def test_those_of_a_dead_supervisor_can_be_released(self, counters: Counters) -> None:
        mine = counters.take_column()
        pid = os.fork()
        if pid == 0:
            counters.take_column()
            counters.take_column()
            os._exit(0)
        os.waitpid(pid, 0)
        assert list(counters.columns().values()).count(pid) == 2
        assert len(counters.release_columns_of(pid)) == 2
        assert counters.columns() == {mine: os.getpid()}


class TestSupervisorCounters:
    def test_they_begin_with_the_first_generation(self, counters: Counters) -> None:
        assert counters.value("generation") == 1
        assert counters.value("config_generation") == 1
        assert counters.value("config_last_reload_successful") == 1
        assert counters.value("config_reloads_total") == 0

    def test_two_processes_add_up(self, counters: Counters) -> None:
        counters.count("config_reloads_total")

        def job() -> bool:
            counters.count("config_reloads_total", 2)
            counters.set("config_last_reload_successful", 0)
            return True

        in_child(job)
        assert counters.value("config_reloads_total") == 3
        assert counters.value("config_last_reload_successful") == 0

    def test_every_word_has_a_name(self, counters: Counters) -> None:
        names = (*module.CounterName.__args__, *module.GaugeName.__args__)
        assert set(names) == counters._words.keys()


class TestAdopt:
    def test_the_next_supervisor_goes_on_with_all_of_it(self, counters: Counters) -> None:
        column = counters.take_column()
        counters.count("upgrades_total", 7)
        other = Counters.adopt(os.dup(counters.fd))
        assert other.memory is not counters.memory
        assert records_of(other) == records_of(counters)
        assert other.value("upgrades_total") == 7
        assert other.take_column() != column
        other.add(config_of(3))
        assert ("route", "r-2") in records_of(counters)
        other.close()
        assert counters.value("upgrades_total") == 7

    @pytest.mark.parametrize(
        ("offset", "text"),
        [(0, "not a counter segment"), (8, "layout"), (12, "metrics"), (16, "damaged")],
    )
    def test_other_segments_are_refused(self, counters: Counters, offset: int, text: str) -> None:
        (word,) = struct.unpack_from("<I", counters.memory, offset)
        struct.pack_into("<I", counters.memory, offset, word ^ 0x10000)
        fd = os.dup(counters.fd)
        with pytest.raises(CountersError, match=text):
            Counters.adopt(fd)
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(fd)

    def test_memory_that_may_shrink_is_refused(self) -> None:
        fd = os.memfd_create("loose")
        os.ftruncate(fd, 1 << 20)
        with pytest.raises(CountersError, match="sealed"):
            Counters.adopt(fd)

    def test_what_is_no_memory_file_is_refused(self) -> None:
        ours, theirs = os.pipe()
        with pytest.raises(CountersError):
            Counters.adopt(ours)
        os.close(theirs)

    def test_an_empty_segment_is_refused(self) -> None:
        fd, memory = module._reserve(StatSegment.size(2, 100, 64))
        StatSegment.format(memory, columns=2, words=100, dir_bytes=64)
        with pytest.raises(CountersError, match="never completed"):
            Counters.adopt(fd)
