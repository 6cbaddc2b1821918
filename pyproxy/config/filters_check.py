"""Python filters of a configuration.

Find the classes, and decode what the file says against their `Config`.

This imports the modules of the user, so it runs in workers and in `pyproxy check`, never in the
supervisor.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pyproxy.config.decode import BAD, decode, nearest
from pyproxy.config.faults import Report
from pyproxy.config.model import Config, FilterRef, filter_refs
from pyproxy.config.nodes import Node, from_plain
from pyproxy.config.predicates import check_predicates
from pyproxy.errors import Fault


class ResolvedFilter(NamedTuple):
    """A filter class, its decoded configuration, and the reference that named it."""

    cls: type[Any]
    config: Any
    ref: FilterRef


class ResolvedFilters(NamedTuple):
    """Filters by their key in `model.filter_refs`, as far as they resolve, and what was wrong."""

    filters: dict[str, ResolvedFilter]
    faults: list[Fault]


def resolve_filters(config: Config) -> list[Fault]:
    """Everything that is wrong with the Python filters of a configuration."""
    return decode_filters(config).faults


def decode_filters(config: Config) -> ResolvedFilters:
    """Import every filter class and decode its configuration.

    A module is looked for in the folder of the configuration file first, then where Python looks.
    """
    report = Report()
    filters: dict[str, ResolvedFilter] = {}
    for key, ref in filter_refs(config):
        cls = _find_class(ref, key, report)
        if cls is None:
            continue
        if hasattr(cls, "early_request") and not key.startswith("filters["):
            message = f'"{ref.use}" defines early_request, which runs before routing'
            report.add(ref, "use", message, "move it to the filters of all routes", path=key)
        value = _decode(cls, ref, key, report)
        if value is not BAD:
            filters[key] = ResolvedFilter(cls, value, ref)
    check_predicates(config, report)
    return ResolvedFilters(filters, sorted(report.faults))


def _find_class(ref: FilterRef, path: str, report: Report) -> type[Any] | None:
    from pyproxy.filters.base import Filter

    module_name, _, class_name = ref.use.partition(":")
    if ref.place.file:
        folder = str(Path(ref.place.file).resolve().parent)
        if folder not in sys.path:
            sys.path.insert(0, folder)
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        report.add(ref, "use", _import_failure(module_name, error), path=path)
        return None
    for part in class_name.split("."):
        below = getattr(found, part, None)
        if below is None:
            classes = [name for name, item in vars(found).items() if _is_filter(item, Filter)]
            message = f'the module "{module_name}" has no "{class_name}"'
            report.add(ref, "use", message, nearest(class_name, classes), path=path)
            return None
        found = below
    if not _is_filter(found, Filter):
        cure = "derive it from pyproxy.Filter"
        report.add(ref, "use", f'"{ref.use}" is not a filter class', cure, path=path)
        return None
    cls: type[Any] = found
    return cls


def _is_filter(item: object, base: type) -> bool:
    return isinstance(item, type) and issubclass(item, base) and item is not base


def _import_failure(module: str, error: Exception) -> str:
    """Why a module did not import, with the line of it that raised."""
    if isinstance(error, ModuleNotFoundError) and error.name and module.startswith(error.name):
        return f'there is no module named "{error.name}"'
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f'the module "{module}" does not import: {said}{where}'


def _decode(cls: type[Any], ref: FilterRef, path: str, report: Report) -> Any:
    """What the file says, against the class's own Config."""
    wanted: type[msgspec.Struct] = cls.Config
    node: Node | None = None
    if ref.place.has("config"):
        node = ref.place.find("config")
    elif ref.place.file and not ref.config:
        # Nothing was written: what is missing is missing in the filter's own mapping.
        node = Node(
            "map", {}, ref.place.file, ref.place.line, ref.place.column, f"{ref.place.at}.config"
        )
    if node is None or node.kind != "map":
        node = from_plain(ref.config, f"{path}.config")
    return decode(node, wanted, report.faults)
