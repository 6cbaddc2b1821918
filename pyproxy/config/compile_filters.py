"""The filters of a configuration, and the chains they make, for the engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from pyproxy.config.model import Config, FilterRef, PythonFilter
from pyproxy.config.predicates import load_predicate
from pyproxy.config.sections_match import plain_condition
from pyproxy.expressions import program

if TYPE_CHECKING:
    from pyproxy._engine import SnapshotBuilder
    from pyproxy.config.filters.order import Places


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

    @property
    def stand_in(self) -> Callable[..., Any] | None:
        """Of a kind that is native as well: for which exchanges the native filter runs behind it.

        It is asked of the exchange, as a predicate. None: never.
        """


class FilterCompiler:
    """Adds filters, and knows the numbers that the builder gave them."""

    def __init__(
        self, config: Config, builder: SnapshotBuilder, bound: Mapping[str, BoundFilter]
    ) -> None:
        self._config = config
        self._builder = builder
        self._bound = bound
        self._filters: dict[str, tuple[int, ...]] = {}
        self._places: Places | None = None

    def chain(self, route: int | None) -> list[int]:
        """The filters of a route, in the order in which they run."""
        if not self._filters:
            return []
        from pyproxy.config.filters import order  # for those who have filters

        found = order.chain(self._config, route, self._priority)
        return [number for key, _ in found for number in self._filters[key]]

    def _priority(self, key: str, ref: FilterRef) -> int:
        """Of a filter that is given none: what its kind says, or its class."""
        from pyproxy.config.filters import order

        bound = self._bound.get(key)
        return order.default_priority(ref) if bound is None else bound.priority

    def _place_of(self, key: str, ref: FilterRef) -> str:
        if self._places is None:
            from pyproxy.config.filters.order import Places

            self._places = Places(self._config)
        return self._places.of(key, ref)

    def add(self, key: str, ref: FilterRef) -> None:
        """Give the builder one filter. ValueError: what it refuses."""
        options = ref.options
        python = isinstance(options, PythonFilter) or bool(options.filter_class())
        place = self._place_of(key, ref)
        number = self._add_python(key) if python else self._add_native(ref, place)
        self._filters[key] = (number,)
        if ref.when is not None:
            when, callables = program(when=plain_condition(ref.when, load_predicate))
            self._builder.set_condition(number, when, callables)
        stand_in = self._bound[key].stand_in if python else None
        if stand_in is not None:
            self._filters[key] += (self._add_native(ref, place),)
            self._builder.set_condition(self._filters[key][-1], *program(python=stand_in))

    def _add_native(self, ref: FilterRef, place: str) -> int:
        found = ref.options.options_at(place)
        return self._builder.add_native_filter(ref.kind, ref.label, found)

    def _add_python(self, key: str) -> int:
        bound = self._bound[key]
        return self._builder.add_filter(
            bound.name,
            bound.phases,
            timeout_ms=bound.timeout_ms,
            buffer_request_body=bound.buffer_request_body,
            buffer_response_body=bound.buffer_response_body,
        )
