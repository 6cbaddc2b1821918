"""Predicates of yours: `module:function`, found when a configuration is compiled or checked.

They are looked for as filters are: in the folder of the configuration file first. This imports the
modules of the user, so it runs in workers and in `pyproxy check`, never in the supervisor.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyproxy.config import modules
from pyproxy.config.faults import Report
from pyproxy.config.model import Condition, Config, Section, filter_refs

__all__ = ["check_predicates", "load_predicate"]


def load_predicate(use: str, section: Section) -> Any:
    """The callable that `module:function` names in a section. ValueError: there is none."""
    module_name, _, path = use.partition(":")
    if not module_name or not path:
        raise ValueError(f'"{use}" names no function; write module:function')
    if section.place.file:
        modules.also_in(str(Path(section.place.file).resolve().parent))
    try:
        found: Any = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever the module of the user raises
        raise ValueError(f'"{use}" cannot be loaded: {type(error).__name__}: {error}') from error
    if not callable(found):
        raise ValueError(f'"{use}" is not callable; name a function')
    # CO_COROUTINE: what it returns is nothing that could be asked at once.
    if getattr(getattr(found, "__code__", None), "co_flags", 0) & 0x80:
        raise ValueError(f'"{use}" is async; a predicate answers at once')
    return found


def check_predicates(config: Config, report: Report) -> None:
    """Note every predicate in Python that cannot be loaded."""
    found = [(f"routes[{i}].match.when", r.match.when) for i, r in enumerate(config.routes)]
    found += [(f"{key}.when", ref.when) for key, ref in filter_refs(config)]
    for path, when in found:
        for condition in _conditions(when):
            try:
                load_predicate(condition.python or "", condition)
            except ValueError as error:
                report.refuse(condition, "python", error, path=path)


def _conditions(top: Condition | None) -> Iterator[Condition]:
    """The conditions in Python of a tree."""
    waiting = [top]
    while waiting:
        condition = waiting.pop()
        if condition is not None:
            if condition.python is not None:
                yield condition
            waiting += [*condition.all, *condition.any, condition.not_]
