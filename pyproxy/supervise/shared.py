"""The table that all workers share: what limits count over all of them, in one file in memory.

Made by the supervisor before the first fork. It outlives configurations, workers and, handed over
by a hot upgrade, supervisors: the old and the new generation count in the same table meanwhile.
Only pages that are touched exist.
"""

from __future__ import annotations

import contextlib
import mmap
import os

from pyproxy._counters import SharedTable
from pyproxy._wire import WireError
from pyproxy.errors import StartError

from .memfile import is_fixed, map_file, reserve


class SharedError(StartError):
    """The table cannot be made or taken over."""


class Shared:
    """The table as supervisors use it; made by `make` or `adopt`.

    `fd` is what the next supervisor adopts; `memory` what children map: it goes through a fork.
    """

    def __init__(self, fd: int, memory: mmap.mmap) -> None:
        self.fd = fd
        self.memory = memory

    @classmethod
    def make(cls, size: int) -> Shared:
        """A fresh table in <size> bytes. Raises `SharedError`."""
        try:
            fd, memory = reserve("pyproxy-shared", size)
        except OSError as error:
            why = error.strerror
            raise SharedError(f"no memory for `shared_memory` ({size} bytes): {why}") from error
        SharedTable.format(memory, os.urandom(16))
        return cls(fd, memory)

    @classmethod
    def adopt(cls, fd: int, size: int) -> Shared:
        """The table of another supervisor; <fd> belongs to it from now on.

        Raises `SharedError`, with <fd> closed, for what is none of this release's layout, or not of
        <size> bytes: the caller makes a fresh one then.
        """
        try:
            if not is_fixed(fd):
                raise SharedError("the memory handed over is not sealed against shrinking")
            if os.fstat(fd).st_size != size:
                raise SharedError("`shared_memory` has changed")
            memory = map_file(fd, size)
            SharedTable.open(memory)
            return cls(fd, memory)
        except (SharedError, WireError, OSError, ValueError) as error:
            with contextlib.suppress(OSError):
                os.close(fd)
            if isinstance(error, SharedError):
                raise
            raise SharedError(f"the memory handed over cannot be used: {error}") from error
