"""The supervisor's event loop: descriptors, timers and signals, one thread, standard library only.

Callbacks run one after the other in `turn`; none may block. A callback that raises ends the loop:
the supervisor has no state of which it could hope that it is still right then.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import selectors
import signal
import socket
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Protocol

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE

OnEvents = Callable[[int], None]


class HasFileno(Protocol):
    """Anything with a descriptor."""

    def fileno(self) -> int:
        """The descriptor."""


class Timer:
    """One pending call; `cancel` may be called at any time."""

    __slots__ = ("at", "call")

    def __init__(self, at: float, call: Callable[[], None] | None) -> None:
        self.at = at
        self.call = call

    def cancel(self) -> None:
        """The call will not happen."""
        self.call = None


def _ignore(number: int, frame: FrameType | None) -> None:
    """Only there so that the signal number reaches the wake-up socket."""


class Reactor:
    """Watches descriptors, timers and signals. Close it at the end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()
        self._wake_read, self._wake_write = socket.socketpair()
        self._signals: dict[int, Callable[[], None]] = {}
        self._old_handlers: dict[int, object] = {}

    # ---- descriptors

    def watch(self, thing: HasFileno, events: int, on_events: OnEvents) -> None:
        """Call <on_events> with what <thing> is ready for; watching it already changes that."""
        key = self._selector.get_map().get(thing) if thing.fileno() >= 0 else None
        if key is None:
            self._selector.register(thing, events, on_events)
        elif key.events != events or key.data is not on_events:
            self._selector.modify(thing, events, on_events)

    def unwatch(self, thing: HasFileno) -> None:
        """Watch it no more. Fine when it is not watched."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(thing)

    # ---- timers

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, in <seconds>; the result can be cancelled."""
        timer = Timer(self.clock() + seconds, call)
        heapq.heappush(self._timers, (timer.at, next(self._order), timer))
        return timer

    def _next_wait(self) -> float | None:
        while self._timers and self._timers[0][2].call is None:
            heapq.heappop(self._timers)
        return max(self._timers[0][0] - self.clock(), 0.0) if self._timers else None

    def _run_timers(self) -> None:
        now = self.clock()
        while self._timers and self._timers[0][0] <= now:
            call = heapq.heappop(self._timers)[2].call
            if call is not None:
                call()

    # ---- signals

    def watch_signals(self, actions: Mapping[signal.Signals, Callable[[], None]]) -> None:
        """From now on these signals become calls in `turn`."""
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._signals = {int(number): action for number, action in actions.items()}
        self.watch(self._wake_read, READ, self._on_wakeup)
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        self._old_handlers = {number: signal.signal(number, _ignore) for number in actions}

    def unwatch_signals(self) -> None:
        """Put the handlers back that were there before."""
        signal.set_wakeup_fd(-1)
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._old_handlers = {}

    def _on_wakeup(self, events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._wake_read.recv(4096):
                action = self._signals.get(number)
                if action is not None:
                    action()

    # ---- life

    def turn(self) -> None:
        """Wait for the next event or timer, and handle all that has happened."""
        for key, events in self._selector.select(self._next_wait()):
            # An earlier callback of this turn may have closed what this event is about.
            if self._selector.get_map().get(key.fd) is key:
                key.data(events)
        self._run_timers()

    def close(self) -> None:
        """Close the reactor's own descriptors; also in a forked child, which must not share it."""
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()
