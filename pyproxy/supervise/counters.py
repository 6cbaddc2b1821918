"""The counter segment: anonymous memory that all children of one supervisor share."""

from __future__ import annotations

from mmap import mmap

from pyproxy._wire import StatSegment, metric_rows, metric_words
from pyproxy.config.compile import define_stats, stat_records
from pyproxy.config.model import Config

# The record, one of each kind, of everything that has none of its own (proxy/metrics.h): requests
# that no route takes, for instance.
SHARED_RECORD = "-"
# What a record of the directory needs besides its name (base/statseg.h), with room to spare.
_RECORD_BYTES = 64


def make(config: Config, slots: int) -> mmap:
    """A segment with a record for everything in <config>, and words for <slots> workers."""
    shared = {(kind, SHARED_RECORD) for kind, *_ in metric_rows() if kind != "worker"}
    records = shared | set(stat_records(config))
    words = sum(metric_words(kind) for kind, _ in records)
    dir_bytes = sum(_RECORD_BYTES + len(name.encode()) for _, name in records)
    memory = mmap(-1, StatSegment.size(slots, words, dir_bytes))
    segment = StatSegment.format(memory, slots=slots, words=words, dir_bytes=dir_bytes)
    define_stats(config, segment)
    for kind, name in sorted(shared):
        segment.define(kind, name)
    return memory
