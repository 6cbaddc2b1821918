"""The counter segment: anonymous memory that all children of one supervisor share."""

from __future__ import annotations

from mmap import mmap

from pyproxy._wire import StatSegment, metric_words
from pyproxy.config.compile import define_stats, stat_records
from pyproxy.config.model import Config

# What a record of the directory needs besides its name (base/statseg.h), with room to spare.
_RECORD_BYTES = 64


def make(config: Config, slots: int) -> mmap:
    """A segment with a record for everything in <config>, and words for <slots> workers."""
    records = stat_records(config)
    words = sum(metric_words(kind) for kind, _ in records)
    dir_bytes = sum(_RECORD_BYTES + len(name.encode()) for _, name in records)
    memory = mmap(-1, StatSegment.size(slots, words, dir_bytes))
    segment = StatSegment.format(memory, slots=slots, words=words, dir_bytes=dir_bytes)
    define_stats(config, segment)
    return memory
