"""`pyproxy._counters`: what processes share in memory, over plain buffers."""

from __future__ import annotations

import gc
import mmap

import pytest

from pyproxy import _counters
from pyproxy._counters import StatSegment
from pyproxy._wire import WireError


class TestStatSegment:
    def test_defines_reads_and_adds_up(self) -> None:
        memory = mmap.mmap(-1, StatSegment.size(2, 200, 4096))
        segment = StatSegment.format(memory, columns=2, words=200, dir_bytes=4096)
        base = segment.define("route", "api")
        assert segment.define("route", "api") == base
        assert segment.define("route", "web") == base + _counters.metric_words("route")
        reader = StatSegment.open(memory)
        assert [(kind, name) for kind, name, _, _ in reader.records()] == [
            ("route", "api"),
            ("route", "web"),
        ]
        assert (reader.columns, reader.sum(base), reader.get(1, base)) == (2, 0, 0)
        segment.add(base, 3)
        segment.set(base + 1, 9)
        assert (reader.sum(base), reader.get(0, base), reader.get(0, base + 1)) == (3, 3, 9)
        with pytest.raises(IndexError):
            reader.add(200, 1)
        with pytest.raises(IndexError):
            reader.set(200, 1)
        with pytest.raises(IndexError):
            reader.get(2, 0)
        with pytest.raises(IndexError):
            reader.get(0, 200)
        with pytest.raises(IndexError):
            reader.sum(200)

    def test_columns_are_taken_and_released(self) -> None:
        memory = mmap.mmap(-1, StatSegment.size(3, 10, 64))
        segment = StatSegment.format(memory, columns=3, words=10, dir_bytes=64)
        assert (segment.take(7), segment.take(8)) == (1, 2)
        assert [segment.owner(i) for i in range(3)] == [0, 7, 8]
        with pytest.raises(WireError) as caught:
            segment.take(9)
        assert caught.value.name == "limit"
        segment.release(1)
        assert segment.take(9) == 1
        for column in (0, 3):  # the common one and one that does not exist
            with pytest.raises(IndexError):
                segment.release(column)
        with pytest.raises(IndexError):
            segment.owner(3)

    def test_tells_other_layouts_and_metrics_apart(self) -> None:
        memory = bytearray(StatSegment.size(1, 10, 64))
        StatSegment.format(memory, columns=1, words=10, dir_bytes=64)
        damage = [
            (0, "not a counter segment"),
            (8, "layout"),
            (12, "another list of metrics"),
            (16, "damaged"),
        ]
        for offset, text in damage:
            other = bytearray(memory)
            other[offset + 2] ^= 1
            with pytest.raises(WireError, match=text):
                StatSegment.open(other)

    def test_holds_its_buffer(self) -> None:
        memory = mmap.mmap(-1, StatSegment.size(1, 10, 64))
        segment = StatSegment.format(memory, columns=1, words=10, dir_bytes=64)
        with pytest.raises(BufferError):
            memory.close()
        del segment
        gc.collect()
        memory.close()

    def test_refuses_what_is_none(self) -> None:
        with pytest.raises(WireError):
            StatSegment.open(bytearray(10_000))
        with pytest.raises(WireError):
            StatSegment.format(bytearray(10), columns=1, words=10, dir_bytes=0)
        with pytest.raises((BufferError, TypeError)):
            StatSegment.open(b"read only")
        with pytest.raises(TypeError):
            StatSegment()
        memory = mmap.mmap(-1, StatSegment.size(1, 10, 64))
        segment = StatSegment.format(memory, columns=1, words=10, dir_bytes=64)
        with pytest.raises(ValueError, match="kind"):
            segment.define("planet", "x")
        with pytest.raises(WireError) as caught:
            segment.define("route", "x")
        assert caught.value.name == "limit"


def test_metric_tables_agree() -> None:
    rows = _counters.metric_rows()
    kinds = {row[0] for row in rows}
    assert kinds == {"worker", "listener", "route", "upstream", "endpoint", "supervisor", "arm"}
    for kind in kinds:
        words = [row[2] for row in rows if row[0] == kind]
        assert words == list(range(len(words)))
        histogram = _counters.metric_histogram(kind)
        buckets = 0 if histogram is None else len(_counters.metric_buckets()) + 2
        assert _counters.metric_words(kind) == len(words) + buckets
    assert _counters.metric_buckets() == sorted(_counters.metric_buckets())
    with pytest.raises(ValueError, match="planet"):
        _counters.metric_words("planet")
