"""The supervisor's loop: descriptors, timers, signals."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from pyproxy.supervise.reactor import READ, WRITE, Reactor


@pytest.fixture
def reactor():
    made = Reactor()
    yield made
    made.close()


@pytest.fixture
def pair():
    left, right = socket.socketpair()
    with left, right:
        yield left, right


def test_readiness_is_told(reactor, pair) -> None:
    left, right = pair
    seen: list[int] = []
    reactor.watch(left, READ, seen.append)
    right.send(b"x")
    reactor.turn()
    assert seen == [READ]


def test_what_is_waited_for_can_change_and_end(reactor, pair) -> None:
    left, _ = pair
    seen: list[int] = []
    reactor.watch(left, READ, seen.append)
    reactor.watch(left, WRITE, seen.append)
    reactor.turn()
    assert seen == [WRITE]
    reactor.unwatch(left)
    reactor.unwatch(left)
    reactor.call_later(0, lambda: None)
    reactor.turn()
    assert seen == [WRITE]


def test_an_event_of_what_was_unwatched_meanwhile_is_not_told(reactor, pair) -> None:
    left, right = pair
    seen: list[str] = []

    def stop_both(events: int) -> None:
        seen.append("one")
        reactor.unwatch(left)
        reactor.unwatch(right)

    reactor.watch(left, WRITE, stop_both)
    reactor.watch(right, WRITE, stop_both)
    reactor.turn()
    assert seen == ["one"]


def test_timers_run_in_order_and_once() -> None:
    now = [100.0]
    reactor = Reactor(clock=lambda: now[0])
    try:
        seen: list[str] = []
        reactor.call_later(2, lambda: seen.append("later"))
        reactor.call_later(1, lambda: seen.append("sooner"))
        cancelled = reactor.call_later(1, lambda: seen.append("never"))
        cancelled.cancel()
        now[0] += 5
        reactor.turn()
        assert seen == ["sooner", "later"]
        reactor.call_later(0, lambda: seen.append("last"))
        reactor.turn()
        assert seen == ["sooner", "later", "last"]
    finally:
        reactor.close()


def test_signals_become_calls(reactor) -> None:
    seen: list[str] = []
    before = signal.getsignal(signal.SIGUSR1)
    reactor.watch_signals({signal.SIGUSR1: lambda: seen.append("usr1")})
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        reactor.turn()
        assert seen == ["usr1"]
    finally:
        reactor.unwatch_signals()
    assert signal.getsignal(signal.SIGUSR1) is before
