"""The keys of session tickets: who gets which, and when they change."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pyproxy.supervise.channel import Kind
from pyproxy.supervise.tickets import Tickets

DAY = 86_400.0


class Bench:
    """A supervisor as far as the tickets know one."""

    def __init__(self, able: bool = True) -> None:
        self.now = 100.0
        self.able = able
        self.used: list[list[bytes]] = []
        self.sent: list[list[str]] = []
        self.phase = "running"
        self.next = (0.0, lambda: None)
        self.workers = [object(), object()]
        self.reactor = SimpleNamespace(clock=lambda: self.now, call_later=self.call_later)
        config = SimpleNamespace(session_ticket_lifetime_ms=DAY * 1000)
        self.service = SimpleNamespace(config=config, use_ticket_keys=self.use)
        self.tree = SimpleNamespace(send=self.send)
        self.tickets = Tickets(self)  # type: ignore[arg-type]

    def use(self, keys: list[bytes]) -> bool:
        self.used.append(list(keys))
        return self.able

    def call_later(self, seconds, call) -> None:
        self.next = (seconds, call)

    def send(self, child, kind, body) -> None:
        assert kind is Kind.TICKET_KEYS
        self.sent.append(body["keys"])

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            pause, call = self.next
            assert 0 < pause <= 60
            self.now += pause
            call()


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.tickets.prepare(None)
    bench.tickets.begin()
    return bench


def test_the_next_key_is_known_before_it_is_used_and_the_last_one_afterwards(bench) -> None:
    ((first, second),) = bench.used
    assert len(first) == len(second) == 80
    bench.wait(DAY - 60)
    assert len(bench.used) == 1
    bench.wait(60)
    assert bench.used[1][0] == second
    assert bench.used[1][2] == first
    third = bench.used[1][1]
    assert third not in (first, second)
    bench.wait(DAY)
    assert bench.used[2][::2] == [third, second]
    assert len(bench.used) == 3


def test_every_worker_hears_of_a_change(bench) -> None:
    bench.wait(DAY)
    assert bench.sent == [[key.hex() for key in bench.used[1]]] * 2


def test_a_reload_may_shorten_their_life_and_end_the_changes(bench) -> None:
    bench.service.config.session_ticket_lifetime_ms = 3_600_000
    bench.wait(3600)
    assert len(bench.used) == 2
    bench.service.config.session_ticket_lifetime_ms = 0
    bench.wait(2 * DAY)
    assert len(bench.used) == 2


def test_a_generation_that_has_gone_changes_nothing(bench) -> None:
    bench.phase = "draining"
    pause, call = bench.next
    bench.now += 2 * DAY
    call()
    assert bench.next == (pause, call)
    assert len(bench.used) == 1


def test_the_next_generation_goes_on_where_this_one_was(bench) -> None:
    bench.wait(DAY)
    bench.wait(DAY / 2)
    passed = bench.tickets.pass_on()
    following = Bench()
    following.tickets.prepare(passed)
    following.tickets.begin()
    assert following.used == [bench.used[-1]]
    following.wait(DAY / 2)
    assert following.used[1][0] == bench.used[-1][1]


@pytest.mark.parametrize(
    "passed",
    [
        {},
        {"keys": []},
        {"keys": ["00" * 80]},
        {"keys": ["00" * 80, "00" * 79]},
        {"keys": ["00" * 80] * 4},
        {"keys": ["zz" * 80] * 2},
        {"keys": [1, 2]},
        {"keys": 7},
    ],
)
def test_keys_that_do_not_fit_are_replaced(passed) -> None:
    bench = Bench()
    bench.tickets.prepare(passed)
    ((first, second),) = bench.used
    assert len(first) == len(second) == 80
    assert first != second


def test_nothing_is_changed_where_the_library_keeps_its_own() -> None:
    bench = Bench(able=False)
    bench.tickets.prepare(None)
    bench.tickets.begin()
    assert bench.next[0] == 0.0
    assert bench.tickets.pass_on()["keys"] == []
