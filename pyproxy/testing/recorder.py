"""Filters under observation: every call of a phase, and what it changed."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from pyproxy._engine import Exchange
from pyproxy.filters.base import Filter
from pyproxy.filters.chain import BoundFilter

__all__ = ["Call", "Ending", "Recorder"]

# Phases in which there is a response to look at.
_WITH_RESPONSE = ("upstream_response", "response", "response_body", "response_trailers")
# Name in lower case -> every value.
Names = dict[str, list[str]]


@dataclass(frozen=True)
class Call:
    """One call of a phase of a filter.

    `returned` is what it returned (the result of the coroutine, if it was async), `error` what it
    raised. `chunk` and `last` are the arguments of a body phase. `request_headers` and
    `response_headers` have the fields that it changed, with all values that they had afterwards:
    none when it removed the field.
    """

    filter: str
    phase: str
    returned: Any = None
    error: BaseException | None = None
    chunk: bytes = b""
    last: bool = False
    request_headers: Names = field(default_factory=dict)
    response_headers: Names = field(default_factory=dict)

    @property
    def passed(self) -> bytes:
        """Of a body phase: the bytes that went on."""
        return self.returned if isinstance(self.returned, bytes) else self.chunk


@dataclass(frozen=True)
class Ending:
    """What an exchange had come to when it was logged."""

    state: dict[Any, Any]
    fault: str | None
    route: str
    captures: dict[str, str]
    attempts: int
    upstream_status: int


class Recorder(Filter):
    """Notes the calls of the filters that it watches; a filter itself, to see the end."""

    def __init__(self) -> None:
        super().__init__()
        self.peer = ""  # who is connected to instead of the peer that a filter chooses
        self.calls: list[Call] = []
        self.errors: list[BaseException] = []
        self._ended = threading.Event()
        self._ending: Ending | None = None

    def begin(self) -> None:
        """Forget the exchange before."""
        self.calls, self.errors = [], []
        self._ending = None
        self._ended.clear()

    def wait(self, seconds: float) -> Ending:
        """Wait until the exchange has been logged."""
        if not self._ended.wait(seconds) or self._ending is None:
            raise TimeoutError(f"the exchange did not end within {seconds:g} s")
        return self._ending

    def log(self, exchange: Exchange) -> None:
        """The end of an exchange."""
        self._ending = Ending(
            dict(exchange.state),
            exchange.fault,
            exchange.route,
            dict(exchange.captures),
            exchange.attempts,
            exchange.upstream_status,
        )
        self._ended.set()

    def on_error(self, where: str, error: BaseException) -> None:
        """A filter raised."""
        error.add_note(f"in {where}")
        self.errors.append(error)

    def watch(self, bound: BoundFilter) -> BoundFilter:
        """The same filter; its calls are noted."""
        phases = {
            phase: self._watched(bound.name, phase, function)
            for phase, function in bound.phases.items()
        }
        return bound._replace(phases=phases)

    def _watched(self, name: str, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(exchange: Exchange, *args: Any) -> Any:
            before = _fields(exchange, phase)
            try:
                result = function(exchange, *args)
            except BaseException as error:
                self._note(name, phase, args, before, exchange, error=error)
                raise
            if inspect.iscoroutine(result):
                return later(exchange, args, before, result)
            return self._note(name, phase, args, before, exchange, returned=result)

        async def later(
            exchange: Exchange,
            args: tuple[Any, ...],
            before: tuple[Names, Names],
            coroutine: Coroutine[Any, Any, Any],
        ) -> Any:
            try:
                result = await coroutine
            except BaseException as error:
                self._note(name, phase, args, before, exchange, error=error)
                raise
            return self._note(name, phase, args, before, exchange, returned=result)

        return call

    def _note(
        self,
        name: str,
        phase: str,
        args: tuple[Any, ...],
        before: tuple[Names, Names],
        exchange: Exchange,
        *,
        returned: Any = None,
        error: BaseException | None = None,
    ) -> Any:
        """Note a call; what the engine gets of its result."""
        chunk, last = args or (b"", False)
        try:
            after = _fields(exchange, phase)
        except RuntimeError:  # the exchange ended while it waited
            after = before
        changed = [_changes(a, b) for a, b in zip(before, after, strict=True)]
        self.calls.append(Call(name, phase, returned, error, chunk, last, *changed))
        if phase == "upstream_peer" and isinstance(returned, str):
            return self.peer
        return returned


def _fields(exchange: Exchange, phase: str) -> tuple[Names, Names]:
    """All fields of the request and of the response."""
    response = exchange.response.headers.items() if phase in _WITH_RESPONSE else []
    return _by_name(exchange.request.headers.items()), _by_name(response)


def _by_name(pairs: list[tuple[str, str]]) -> Names:
    found: Names = {}
    for name, value in pairs:
        found.setdefault(name.lower(), []).append(value)
    return found


def _changes(before: Names, after: Names) -> Names:
    """The fields that differ."""
    names = dict.fromkeys([*before, *after])
    return {n: after.get(n, []) for n in names if before.get(n) != after.get(n)}
