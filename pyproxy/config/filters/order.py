"""Which filters a route has, and in which order they run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pyproxy.config.filters import FILTER_KINDS
from pyproxy.config.model import Config, FilterRef, route_name

Keyed = tuple[str, FilterRef]


def default_priority(ref: FilterRef) -> int:
    """The priority of a filter whose configuration names none; 0 for those in Python."""
    kind = FILTER_KINDS.get(ref.kind)
    found: int = getattr(kind, "default_priority", 0)
    return found


def chain(
    config: Config,
    route: int | None,
    priority: Callable[[str, FilterRef], int] = lambda _key, ref: default_priority(ref),
) -> list[Keyed]:
    """The filters of a route with their keys in `filter_refs`, in the order in which they run.

    Those of all routes and the route's own together: the higher priority first, else as they stand
    in the file. A filter of the route takes the place of one of all routes that has its kind and
    its name. <priority> is asked for filters that have none of their own. None: the filters of
    requests without a route.
    """
    common = [(f"filters[{i}]", ref) for i, ref in enumerate(config.filters)]
    own: list[Keyed] = []
    if route is not None:
        filters = config.routes[route].filters
        own = [(f"routes[{route}].filters[{i}]", ref) for i, ref in enumerate(filters)]
    replaced = {ref.identity for _, ref in own} - {None}
    found = [(key, ref) for key, ref in common if ref.identity not in replaced] + own
    return _sorted(((key, ref) for key, ref in found if ref.enabled), priority)


class Places:
    """Names for the uses of filters that stay the same when the configuration is read again.

    A use is named by its route and label, and of several alike in one place by its turn: ask for
    those that are enabled, in the order of `filter_refs`.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._turns: dict[tuple[str, str, str], int] = {}

    def of(self, key: str, ref: FilterRef) -> str:
        """The name of the next one."""
        where, _, _ = key.rpartition("filters[")
        index = int(where[len("routes[") : -len("].")]) if where else None
        route = f"route {route_name(self._config, index)}" if index is not None else "all"
        alike = (route, ref.kind, ref.label)
        turn = self._turns[alike] = self._turns.get(alike, 0) + 1
        return f"{route} {turn}"


def _sorted(found: Iterable[Keyed], priority: Callable[[str, FilterRef], int]) -> list[Keyed]:
    def rank(item: Keyed) -> int:
        key, ref = item
        return -(priority(key, ref) if ref.priority is None else ref.priority)

    return sorted(found, key=rank)
