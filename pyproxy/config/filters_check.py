"""Python filters of a configuration.

Find the classes, and decode what the file says against their `Config`.

This imports the modules of the user, so it runs in workers and in `pyproxy check`, never in the
supervisor.
"""

from __future__ import annotations

import importlib
import traceback
from typing import Any, NamedTuple

import msgspec

from pyproxy.config import modules
from pyproxy.config.decode import BAD, decode_foreign, nearest
from pyproxy.config.faults import Report
from pyproxy.config.model import Config, FilterRef, PythonFilter, python_refs
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

    A module is looked for in the folder of the configuration file first, then where Python looks;
    one of that folder that has changed since it was imported is imported anew, unless there are
    faults: then the modules stay as they were.
    """
    attempt = modules.fresh(config.folders)
    report = Report()
    filters: dict[str, ResolvedFilter] = {}
    for key, ref in python_refs(config):
        options: PythonFilter = ref.options
        # A filter that a package announces is known by its word, not by its class.
        step, path = ("use", f"{key}.python") if ref.kind == "python" else ("", f"{key}.{ref.kind}")
        try:
            cls = find_class(options)
        except ValueError as error:
            report.refuse(options, step, error, path=path)
            continue
        if hasattr(cls, "early_request") and not key.startswith("filters["):
            message = f'"{options.use}" defines early_request, which runs before routing'
            cure = "move it to the filters of all routes"
            report.add(options, step, message, cure, path=path)
        value = _decode(cls, ref, path, report)
        if value is not BAD:
            filters[key] = ResolvedFilter(cls, value, ref)
    check_predicates(config, report)
    if report.faults:
        attempt.undo()
    return ResolvedFilters(filters, sorted(report.faults))


def find_class(options: PythonFilter) -> type[Any]:
    """The class that is named; ValueError in the form `what; cure`."""
    from pyproxy.filters.base import Filter

    module_name, _, class_name = options.use.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(_import_failure(module_name, error)) from error
    for part in class_name.split("."):
        below = getattr(found, part, None)
        if below is None:
            classes = [name for name, item in vars(found).items() if _is_filter(item, Filter)]
            message = f'the module "{module_name}" has no "{class_name}"'
            raise ValueError(f"{message}; {nearest(class_name, classes)}")
        found = below
    if not _is_filter(found, Filter):
        message = f'"{options.use}" is not a filter class'
        raise ValueError(f"{message}; derive it from pyproxy.Filter")
    cls: type[Any] = found
    return cls


def _is_filter(item: object, base: type) -> bool:
    return isinstance(item, type) and issubclass(item, base) and item is not base


def _import_failure(module: str, error: Exception) -> str:
    """Why a module did not import, with the line of it that raised."""
    if isinstance(error, ModuleNotFoundError) and error.name and module.startswith(error.name):
        return f'there is no module named "{error.name}"'
    if isinstance(error, SyntaxError) and error.filename:
        said = f"{type(error).__name__}: {error.msg} at {error.filename}:{error.lineno}"
        return f'the module "{module}" does not import: {said}'
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
    options: PythonFilter = ref.options
    if ref.kind != "python":
        written = options.place.file != ""
        return decode_foreign(
            options.place if written else from_plain(options.config, path), wanted, report.faults
        )
    place = options.place
    node: Node | None = None
    if place.has("config"):
        node = place.find("config")
    elif place.file and not options.config:
        # Nothing was written: what is missing is missing in the filter's own mapping.
        node = Node("map", {}, place.file, place.line, place.column, f"{place.at}.config")
    if node is None or node.kind != "map":
        node = from_plain(options.config, f"{path}.config")
    return decode_foreign(node, wanted, report.faults)
