"""The script of `rate_limit` in a real Redis, held against a model, with a clock of the test's."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from pyproxy.filters.rate_limit_script import SCRIPT
from testenv.redis_server import Redis, redis_server

Take = Callable[..., list[int]]
S = 10**6  # microseconds
BEGIN = 1_800_000_000 * S


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis_server() as started:
        yield started


@pytest.fixture
def take(server: Redis) -> Take:
    """Run it at a time, for limits {key: six arguments}."""
    assert SCRIPT.count("redis.call('TIME')") == 1
    clock = "{tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV])}"
    script = SCRIPT.replace("redis.call('TIME')", clock)
    server.ask("FLUSHALL")

    def run(now: int, limits: dict[str, tuple[str | int, ...]]) -> list[int]:
        arguments = [a for limit in limits.values() for a in limit]
        words = ("EVAL", script, len(limits), *limits, *arguments, *divmod(now, S))
        answer = server.ask(*words)
        assert answer.startswith(b"*"), answer
        return [int(line[1:]) for line in answer.split(b"\r\n")[1:-1]]

    return run


def bucket(count: int, period_s: float, burst: int, queue: int = 0) -> tuple[str | int, ...]:
    interval = -(-int(period_s * 10**9) // count)
    return "b", count, int(period_s * S), interval, burst * interval, queue * interval


def window(letter: str, count: int, period_s: float) -> tuple[str | int, ...]:
    return letter, count, int(period_s * S), 0, 0, 0


def test_a_bucket_has_a_burst_and_then_evenly_its_rate(take: Take) -> None:
    limit = {"a": bucket(10, 1, 3)}
    assert take(BEGIN, limit) == [0, 0, 2, 100_000_000]
    assert take(BEGIN, limit) == [0, 0, 1, 200_000_000]
    assert take(BEGIN, limit) == [0, 0, 0, 300_000_000]
    assert take(BEGIN + 1000, limit) == [1, 99_000_000, 0, 299_000_000]
    assert take(BEGIN + 100_000, limit) == [0, 0, 0, 300_000_000]
    # As if nothing had ever been.
    assert take(BEGIN + 10 * S, limit) == [0, 0, 2, 100_000_000]
    # A clock that was set back gives nothing away.
    assert take(BEGIN, limit) == [0, 0, 1, 200_000_000]


def test_a_queue_says_how_long_to_wait(take: Take) -> None:
    limit = {"a": bucket(10, 1, 1, 2)}
    assert [take(BEGIN, limit)[:2] for _ in range(4)] == [
        [0, 0],
        [0, 100_000_000],
        [0, 200_000_000],
        [1, 100_000_000],
    ]


@dataclass
class Model:
    """A sliding window as csrc/route/budget.h describes it, in whole numbers."""

    count: int
    period: int
    pieces: dict[int, int] = field(default_factory=dict)

    def take(self, now: int) -> bool:
        piece, into = divmod(now, self.period)
        weight = self.pieces.get(piece - 1, 0) * (self.period - into)
        used = -(-weight // self.period) + self.pieces.get(piece, 0)
        if used < self.count:
            self.pieces[piece] = self.pieces.get(piece, 0) + 1
        return used < self.count


@pytest.mark.parametrize("seed", range(5))
def test_windows_are_those_of_the_model(take: Take, seed: int) -> None:
    chance = random.Random(seed)
    count, period = chance.randint(1, 30), chance.choice([S // 100, S, 7 * S])
    model, now = Model(count, period), BEGIN
    for _ in range(300):
        now += chance.randint(0, 2 * period // count)
        refused, wait, left, _ = take(now, {"w": window("s", count, period / S)})
        assert (refused == 0) == model.take(now)
        assert (wait > 0) == (refused == 1)
        assert 0 <= left < count


def test_who_waits_as_long_as_told_is_let_in(take: Take) -> None:
    for kind in ("s", "f"):
        limit, now = {kind: window(kind, 7, 1)}, BEGIN + 300_000
        for _ in range(60):
            refused, wait, *_ = take(now, limit)
            if refused:
                now += -(-wait // 1000)
                assert take(now, limit)[0] == 0


def test_large_numbers_stay_exact(take: Take) -> None:
    limit = {"w": window("s", 2**28 - 1, 31 * 86400), "b": bucket(10_000, 0.001, 10_000)}
    for i in range(1, 4):
        refused, _, left, _, left_of_bucket, debt = take(BEGIN, limit)
        assert (refused, left, left_of_bucket, debt) == (0, 2**28 - 1 - i, 10_000 - i, 100 * i)


def test_all_limits_are_taken_from_or_none(take: Take) -> None:
    wide, narrow = bucket(1, 1000, 5), window("f", 1, 1000)
    assert take(BEGIN, {"wide": wide, "narrow": narrow})[0] == 0
    assert take(BEGIN, {"wide": wide, "narrow": narrow})[0] == 2
    assert take(BEGIN, {"narrow": narrow, "wide": wide})[0] == 1
    assert take(BEGIN, {"wide": wide})[2] == 3


def test_a_limit_that_changed_its_nature_begins_anew(take: Take, server: Redis) -> None:
    server.ask("SET", "a", "some text of others")
    assert take(BEGIN, {"a": window("s", 2, 1)})[2] == 1
    assert take(BEGIN, {"a": bucket(2, 1, 2)})[2] == 1


def test_keys_end_when_they_mean_nothing_any_more(take: Take, server: Redis) -> None:
    take(BEGIN, {"a": bucket(10, 1, 3), "b": window("s", 3, 100)})
    assert 0 < int(server.ask("PTTL", "a")[1:]) <= 100
    assert 100_000 < int(server.ask("PTTL", "b")[1:]) <= 200_000
