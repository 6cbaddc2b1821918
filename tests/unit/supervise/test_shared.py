"""The table that workers share: its file, and its hand-over between supervisors."""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections.abc import Iterator

import pytest

from pyproxy._counters import SharedTable
from pyproxy._engine import Engine
from pyproxy._wire import WireError
from pyproxy.supervise.memfile import reserve
from pyproxy.supervise.shared import Shared, SharedError

SIZE = 1 << 20


@pytest.fixture
def shared() -> Iterator[Shared]:
    made = Shared.make(SIZE)
    yield made
    os.close(made.fd)


def test_a_fresh_table_takes_next_to_no_memory(shared: Shared) -> None:
    SharedTable.open(shared.memory).look(time.monotonic_ns())
    assert os.fstat(shared.fd).st_blocks * 512 <= 20 * mmap.PAGESIZE


def test_nobody_can_resize_it(shared: Shared) -> None:
    with pytest.raises(OSError, match="not permitted"):
        os.ftruncate(shared.fd, SIZE // 2)


def test_its_secret_is_its_own(shared: Shared) -> None:
    other = Shared.make(SIZE)
    assert shared.memory[16:32] != other.memory[16:32]
    os.close(other.fd)


def test_what_is_adopted_is_the_same_memory(shared: Shared) -> None:
    adopted = Shared.adopt(os.dup(shared.fd), SIZE)
    shared.memory[-1] = 7
    assert adopted.memory[-1] == 7
    os.close(adopted.fd)


def adopt(fd: int, size: int = SIZE) -> str:
    """What adopting <fd> fails with; the descriptor must be closed."""
    with pytest.raises(SharedError) as caught:
        Shared.adopt(fd, size)
    with pytest.raises(OSError, match="Bad file descriptor"):
        fcntl.fcntl(fd, fcntl.F_GETFD)
    return str(caught.value)


def test_a_table_of_another_size_is_not_adopted(shared: Shared) -> None:
    assert adopt(os.dup(shared.fd), SIZE * 2) == "`shared_memory` has changed"


def test_what_is_no_table_is_not_adopted() -> None:
    fd, _ = reserve("pyproxy-none", SIZE)
    assert "not a shared table" in adopt(fd)


def test_memory_that_could_shrink_is_not_adopted() -> None:
    fd = os.memfd_create("loose", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, SIZE)
    assert "not sealed" in adopt(fd)


def test_a_closed_descriptor_is_an_error_in_words() -> None:
    fd = os.memfd_create("gone")
    os.close(fd)
    with pytest.raises(SharedError, match="cannot be used"):
        Shared.adopt(fd, SIZE)


def test_no_memory_is_an_error_in_words() -> None:
    with pytest.raises(SharedError, match="no memory for `shared_memory`"):
        Shared.make(1 << 60)


class TestTable:
    def test_only_format_and_open_make_one(self) -> None:
        with pytest.raises(TypeError):
            SharedTable()

    def test_memory_that_is_too_small(self) -> None:
        with pytest.raises(WireError, match="too small"):
            SharedTable.format(mmap.mmap(-1, 128), bytes(16))

    def test_a_seed_of_another_length(self) -> None:
        with pytest.raises(ValueError, match="16 bytes"):
            SharedTable.format(mmap.mmap(-1, 4096), b"short")

    def test_the_look_of_an_empty_one(self, shared: Shared) -> None:
        cells, seen, alive, evictions = SharedTable.open(shared.memory).look(1)
        assert cells == (SIZE - 128) // 128 * 8
        assert (seen, alive, evictions) == (4096, 0, 0)


def test_an_engine_takes_a_table_and_nothing_else(shared: Shared) -> None:
    Engine(shared=shared.memory).close()
    memory = mmap.mmap(-1, 4096)
    with pytest.raises(ValueError, match="not a table"):
        Engine(shared=memory)
    memory.close()  # nothing holds it
