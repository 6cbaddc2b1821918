"""From the filters of a configuration to callables bound to phases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from pyproxy.config.filters_check import decode_filters
from pyproxy.config.model import Config, PythonFilter, filter_refs
from pyproxy.errors import ConfigError
from pyproxy.filters.base import bound_phases

if TYPE_CHECKING:
    from pyproxy.config.filters.kind import FilterKind


class BoundFilter(NamedTuple):
    """A filter that is ready to run: what `SnapshotBuilder.add_filter` takes."""

    name: str
    phases: Mapping[str, Callable[..., Any]]
    timeout_ms: int = 30_000
    buffer_request_body: int = 0
    buffer_response_body: int = 0
    priority: int = 0
    body_before_request: int = 0
    stand_in: Callable[..., Any] | None = None


def bind(
    instance: object,
    *,
    name: str = "",
    timeout_ms: int = 30_000,
    priority: int | None = None,
) -> BoundFilter:
    """Bind one filter object: every phase it defines.

    <priority> is that of its kind; None: what its class says.
    """
    if priority is None:
        priority = getattr(instance, "default_priority", 0)
    return BoundFilter(
        name or type(instance).__name__,
        bound_phases(instance),
        timeout_ms,
        getattr(instance, "buffer_request_body", 0),
        getattr(instance, "buffer_response_body", 0),
        priority,
        getattr(instance, "body_before_request", 0),
    )


def bind_filters(config: Config) -> dict[str, BoundFilter]:
    """Import, configure and make every filter of a configuration; by their key in `filter_refs`.

    Raises `ConfigError` with every fault of their classes and configurations; whatever a filter's
    `__init__` raises goes through.
    """
    resolved = decode_filters(config)
    if resolved.faults:
        raise ConfigError(resolved.faults)
    bound = {}
    for key, (cls, value, ref) in resolved.filters.items():
        bound[key] = bind(cls(value), name=ref.label, timeout_ms=ref.options.timeout_ms)
    return {**bound, **bind_kinds(config)}


def bind_kinds(config: Config) -> dict[str, BoundFilter]:
    """Those among them that come with the proxy and are written in Python."""
    refs = filter_refs(config)
    if not refs:
        return {}
    from pyproxy.config.filters.order import Places  # for those who have filters

    bound, places = {}, Places(config)
    for key, ref in refs:
        if not ref.enabled:  # it may have no options at all
            continue
        options, place = ref.options, places.of(key, ref)
        if not isinstance(options, PythonFilter) and options.filter_class():
            bound[key] = _bind_kind(options, ref.label, place)
    return bound


def _bind_kind(options: FilterKind, label: str, place: str) -> BoundFilter:
    module, _, name = options.filter_class().partition(":")
    made = getattr(import_module(module), name)(options)
    if hasattr(made, "placed"):  # one that keeps something beyond one configuration
        made.placed(label, place)
    found = bind(made, name=label, priority=options.default_priority)
    return found._replace(
        timeout_ms=getattr(made, "timeout_ms", found.timeout_ms),
        stand_in=getattr(made, "stand_in", None),
    )
