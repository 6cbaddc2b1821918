"""From the filters of a configuration to callables bound to phases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from pyproxy.config.filters_check import decode_filters
from pyproxy.config.model import Config, filter_refs
from pyproxy.errors import ConfigError
from pyproxy.filters.base import bound_phases


class BoundFilter(NamedTuple):
    """A filter that is ready to run: what `SnapshotBuilder.add_filter` takes."""

    name: str
    phases: Mapping[str, Callable[..., Any]]
    timeout_ms: int = 30_000
    buffer_request_body: int = 0
    buffer_response_body: int = 0
    priority: int = 0


def bind(
    instance: object, *, name: str = "", timeout_ms: int = 30_000, priority: int | None = None
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
    bound = {}
    for key, ref in filter_refs(config):
        use = getattr(ref.options, "python_class", "")
        if use:
            module, _, name = use.partition(":")
            cls = getattr(import_module(module), name)
            priority = ref.options.default_priority
            bound[key] = bind(cls(ref.options), name=ref.label, priority=priority)
    return bound
