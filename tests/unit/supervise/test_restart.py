"""How long a dead child stays dead."""

from __future__ import annotations

from pyproxy.supervise.restart import MAX_DELAY_SECONDS, STABLE_SECONDS, Backoff


def test_the_first_death_costs_nothing() -> None:
    assert Backoff().next_delay(0.0) == 0.0


def test_delays_double_up_to_the_limit() -> None:
    backoff = Backoff()
    delays = [backoff.next_delay(0.1) for _ in range(9)]
    assert delays == [0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_a_stable_life_wipes_the_slate() -> None:
    backoff = Backoff()
    for _ in range(5):
        backoff.next_delay(0.1)
    assert backoff.next_delay(STABLE_SECONDS) == 0.0
    assert backoff.next_delay(0.1) == 0.1


def test_endless_crashing_stays_at_the_limit() -> None:
    backoff = Backoff()
    assert max(backoff.next_delay(0.0) for _ in range(5000)) == MAX_DELAY_SECONDS
