"""The counter segment: one file in memory that all processes of the service map.

It outlives configurations, workers and supervisors. It is made once, with far more room than the
first configuration needs: only pages that are touched exist. A reload adds records; a hot upgrade
hands the descriptor to the next supervisor, which maps the same memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import time
from collections.abc import Iterator
from typing import Any, Literal

from pyproxy import log
from pyproxy._counters import StatSegment, metric_rows, metric_words
from pyproxy._wire import WireError
from pyproxy.config.compile import SHARED_RECORD, define_stats, stat_records
from pyproxy.config.model import Config
from pyproxy.errors import StartError

from .memfile import is_fixed, map_file, reserve

CounterName = Literal[
    "config_reloads_total",
    "config_reload_failures_total",
    "upgrades_total",
    "upgrade_failures_total",
    "worker_restarts_total",
    "metric_records_refused_total",
    "certificate_reloads_total",
    "certificate_reload_failures_total",
    "endpoint_changes_total",
]
GaugeName = Literal["config_last_reload_successful", "config_generation", "generation"]

# The reserve: room for some ten thousand records, and for the writers of many generations.
_COLUMNS = 256
_WORDS = 1 << 19
_DIR_BYTES = 1 << 21
# Where address space or file sizes are limited, the reserve is divided by these in turn.
_DIVISORS = (1, 4, 16, 64)
# What a record of the directory needs besides its name (base/statseg.h), with room to spare.
_RECORD_BYTES = 32
# A definer needs milliseconds; one that was stopped in the middle must not stop the others.
_LOCK_SECONDS = 2.0
_NAMES_SHOWN = 3


class CountersError(StartError):
    """The segment cannot be made, taken over, or has no free column."""


class Counters:
    """The segment as supervisors use it; made by `make` or `adopt`.

    `fd` is what the next supervisor adopts; `memory` what children map: it goes through a fork.
    """

    def __init__(self, fd: int, memory: mmap.mmap, segment: StatSegment, base: int) -> None:
        self.fd = fd
        self.memory = memory
        self._segment = segment
        self._words = {
            family: base + word
            for kind, _, word, _, family, _, _ in metric_rows()
            if kind == "supervisor"
        }

    @classmethod
    def make(cls, config: Config, workers: int) -> Counters:
        """A fresh segment with a record for everything in <config>. Raises `CountersError`."""
        records = stat_records(config)
        words = sum(metric_words(kind) for kind, _ in records)
        names = sum(_RECORD_BYTES + len(name.encode()) for _, name in records)
        for divisor in _DIVISORS:
            columns = max(_COLUMNS // divisor, 2 * workers + 2)
            size = (
                max(_WORDS // divisor, words + words // divisor),
                max(_DIR_BYTES // divisor, names + names // divisor),
            )
            try:
                fd, memory = _reserve(StatSegment.size(columns, *size))
                break
            except OSError as error:
                reason = error
        else:
            raise CountersError(f"no memory for the counters: {reason.strerror}") from reason
        segment = StatSegment.format(memory, columns=columns, words=size[0], dir_bytes=size[1])
        define_stats(config, segment)
        counters = cls(fd, memory, segment, segment.define("supervisor", ""))
        counters.set("generation", 1)
        counters.set("config_generation", 1)
        counters.set("config_last_reload_successful", 1)
        return counters

    @classmethod
    def adopt(cls, fd: int) -> Counters:
        """The segment of another supervisor; <fd> belongs to it from now on.

        Raises `CountersError`, with <fd> closed, for what is no segment or one of a release that
        counts other things or in another layout: the caller makes a fresh one then.
        """
        try:
            if not is_fixed(fd):
                raise CountersError("the counters handed over are not sealed against shrinking")
            memory = map_file(fd, os.fstat(fd).st_size)
            segment = StatSegment.open(memory)
            bases = [base for kind, _, base, _ in segment.records() if kind == "supervisor"]
            if not bases:
                raise CountersError("the counters handed over were never completed")
            return cls(fd, memory, segment, bases[0])
        except (CountersError, WireError, OSError, ValueError) as error:
            with contextlib.suppress(OSError):
                os.close(fd)
            if isinstance(error, CountersError):
                raise
            raise CountersError(f"the counters handed over cannot be used: {error}") from error

    @property
    def segment(self) -> StatSegment:
        """For those who read, or tell all workers something."""
        return self._segment

    def open_connections(self, column: int) -> int:
        """Client connections that the writer of a column has open, tunnels included."""
        word = next(
            word
            for kind, _, word, _, family, _, _ in metric_rows()
            if (kind, family) == ("listener", "connections_active")
        )
        bases = [base for kind, _, base, _ in self._segment.records() if kind == "listener"]
        return sum(self._segment.get(column, base + word) for base in bases)

    def overload(self, column: int) -> dict[str, Any]:
        """What presses the writer of a column, {"overload": {reason: level}}, if anything does."""
        bases = [base for kind, _, base, _ in self._segment.records() if kind == "worker"]
        levels = {}
        for kind, _, word, _, family, labels, _ in metric_rows():
            if (kind, family) == ("worker", "overload_workers") and any(
                self._segment.get(column, base + word) for base in bases
            ):
                reason, level = (label.split('"')[1] for label in labels.split(","))
                levels[reason] = level
        return {"overload": levels} if levels else {}

    def close(self) -> None:
        """Give up the descriptor. The mapping lasts as long as this object or a child uses it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    # ---- records

    def add(self, config: Config) -> list[tuple[str, str]]:
        """Define what <config> counts and the segment does not know yet, while others count.

        Call it before the workers install the configuration. Returns the (kind, name) for which
        there was no room, after a word in the log: the shared record "-" counts for them.
        """
        logger = log.get("supervisor")
        with self._alone() as alone:
            if alone:
                refused = define_stats(config, self._segment)
            else:
                logger.warning("another supervisor defines counters and does not end: nothing new")
                known = {(kind, name) for kind, name, _, _ in self._segment.records()}
                refused = [record for record in stat_records(config) if record not in known]
        if refused:
            self.count("metric_records_refused_total", len(refused))
            logger.warning(
                "the counter segment has no room for %d things, which share the record %r until"
                " the service is restarted: %s",
                len(refused),
                SHARED_RECORD,
                ", ".join(f"{kind} {name!r}" for kind, name in refused[:_NAMES_SHOWN])
                + (", ..." if len(refused) > _NAMES_SHOWN else ""),
            )
        return refused

    @contextlib.contextmanager
    def _alone(self) -> Iterator[bool]:
        """Keep other defining processes out; false when one of them does not end."""
        # A lock of the process (POSIX), not of the open file (flock, OFD): two supervisors share
        # the open file, because one was given it by the other. A dead holder's lock is gone.
        give_up = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.lockf(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() >= give_up:
                    yield False
                    return
                time.sleep(0.01)
        try:
            yield True
        finally:
            fcntl.lockf(self.fd, fcntl.LOCK_UN)

    # ---- columns

    def take_column(self) -> int:
        """A column for one new worker. No other supervisor gets it until it is released.

        Raises `CountersError` when all are taken.
        """
        try:
            return self._segment.take(os.getpid())
        except WireError as error:
            raise CountersError("all columns of the counter segment are taken") from error

    def release_column(self, column: int) -> None:
        """Give a column back once its worker has ended.

        Its gauges become zero; what was counted stays, and the next worker counts on from there.
        """
        self._segment.release(column)

    def columns(self) -> dict[int, int]:
        """The columns that are taken: {column: process id of the supervisor that took it}."""
        owners = {i: self._segment.owner(i) for i in range(self._segment.columns)}
        return {column: owner for column, owner in owners.items() if owner}

    def release_columns_of(self, owner: int) -> list[int]:
        """Release all that another supervisor, of process id <owner>, still held when it died.

        To be called when its workers are gone, too.
        """
        left = [column for column, pid in self.columns().items() if pid == owner]
        for column in left:
            self.release_column(column)
        return left

    # ---- what supervisors count

    def count(self, name: CounterName, n: int = 1) -> None:
        """Add to a counter; two supervisors may do so at once."""
        self._segment.add(self._words[name], n)

    def set(self, name: GaugeName, value: int) -> None:
        """Set a gauge; the supervisor in charge does."""
        self._segment.set(self._words[name], value)

    def value(self, name: CounterName | GaugeName) -> int:
        """What a counter or gauge of the supervisors stands at."""
        return self._segment.sum(self._words[name])


def _reserve(size: int) -> tuple[int, mmap.mmap]:
    return reserve("pyproxy-counters", size)
