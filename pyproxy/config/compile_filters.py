"""The filters of a configuration, and the chains they make, for the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pyproxy.config.model import Config, FilterRef, PythonFilter, route_name
from pyproxy.config.predicates import load_predicate
from pyproxy.config.sections_match import plain_condition
from pyproxy.expressions import program

if TYPE_CHECKING:
    from pyproxy._engine import SnapshotBuilder


class BoundFilter(Protocol):
    """A filter that is ready to run: what `SnapshotBuilder.add_filter` takes."""

    @property
    def name(self) -> str:
        """What logs call it."""

    @property
    def phases(self) -> Mapping[str, Callable[..., Any]]:
        """Phase name -> bound callable."""

    @property
    def timeout_ms(self) -> int:
        """The deadline of one async call."""

    @property
    def buffer_request_body(self) -> int:
        """Bytes of request body to collect; 0: the body phase sees chunks."""

    @property
    def buffer_response_body(self) -> int:
        """The same for the response body."""

    @property
    def priority(self) -> int:
        """What its class says of its place among others."""


class FilterCompiler:
    """Adds filters, and knows the numbers that the builder gave them."""

    def __init__(
        self, config: Config, builder: SnapshotBuilder, bound: Mapping[str, BoundFilter]
    ) -> None:
        self._config = config
        self._builder = builder
        self._bound = bound
        self._filters: dict[str, int] = {}
        self._turns: dict[tuple[str, str, str], int] = {}

    def chain(self, route: int | None) -> list[int]:
        """The filters of a route, in the order in which they run."""
        if not self._filters:
            return []
        from pyproxy.config.filters import order  # for those who have filters

        return [self._filters[key] for key, _ in order.chain(self._config, route, self._priority)]

    def _priority(self, key: str, ref: FilterRef) -> int:
        """Of a filter that is given none: what its kind says, or its class."""
        from pyproxy.config.filters import order

        bound = self._bound.get(key)
        return order.default_priority(ref) if bound is None else bound.priority

    def _place_of(self, key: str, ref: FilterRef) -> str:
        """Names a filter by its route and label, and of several alike in one place by its turn."""
        where, _, _ = key.rpartition("filters[")
        index = int(where[len("routes[") : -len("].")]) if where else None
        route = f"route {route_name(self._config, index)}" if index is not None else "all"
        alike = (route, ref.kind, ref.label)
        turn = self._turns[alike] = self._turns.get(alike, 0) + 1
        return f"{route} {turn}"

    def add(self, key: str, ref: FilterRef) -> None:
        """Give the builder one filter. ValueError: what it refuses."""
        number = self._filters[key] = self._make(key, ref)
        if ref.when is not None:
            when, callables = program(when=plain_condition(ref.when, load_predicate))
            self._builder.set_condition(number, when, callables)

    def _make(self, key: str, ref: FilterRef) -> int:
        options = ref.options
        if not isinstance(options, PythonFilter) and not options.python_class:
            found = options.options_at(self._place_of(key, ref))
            return self._builder.add_native_filter(ref.kind, ref.label, found)
        bound = self._bound[key]
        return self._builder.add_filter(
            bound.name,
            bound.phases,
            timeout_ms=bound.timeout_ms,
            buffer_request_body=bound.buffer_request_body,
            buffer_response_body=bound.buffer_response_body,
        )
