"""What a worker says about its overload."""

from __future__ import annotations

import logging

from pyproxy.supervise.overload import OverloadLog


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def told(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_each_change_is_a_line(caplog) -> None:
    caplog.set_level(logging.INFO)
    log = OverloadLog(logging.getLogger("test"), Clock())
    log("memory", "stop_keep_alive", 300 * 2**20 + 5)
    log("loop_lag", "shed", 210_400)
    log("loop_lag", "none", 0)
    assert told(caplog) == [
        "overload: memory (300MiB): connections end, none is kept open",
        "overload: loop_lag (210 ms late): new requests are refused",
        "overload: loop_lag (0 ms late): it is over",
    ]
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING", "INFO"]


def test_too_many_are_cut_short(caplog) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    log = OverloadLog(logging.getLogger("test"), clock)
    for _ in range(50):
        log("loop_lag", "shed", 210_000)
    assert len(told(caplog)) == 6
    assert told(caplog)[-1].endswith("; no more of this for a while")
    clock.now += 60
    log("loop_lag", "none", 0)
    assert told(caplog)[-1].endswith(": it is over")
