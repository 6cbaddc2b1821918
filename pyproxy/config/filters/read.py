"""One entry of a `filters` list: its kind, its options, and what every filter has besides."""

from __future__ import annotations

from typing import Any

from pyproxy.config.decode import BAD, nearest, reader_for
from pyproxy.config.filters import FILTER_KINDS, third_party
from pyproxy.config.model import FilterRef, PythonFilter
from pyproxy.config.nodes import Node, plain
from pyproxy.errors import Fault

COMMON = ("enabled", "name", "priority", "when")
"""The keys that stand beside the kind."""

_CURE = 'such as "- headers: {...}" or "- python: {use: module:Class}"'


def read_ref(node: Node, faults: list[Fault]) -> Any:
    """The FilterRef that `{kind: options, priority: ..., when: ...}` stands for, or BAD."""
    kind = _kind_of(node, faults)
    if kind == "":
        return BAD
    common = _common(node, faults)
    below = node.value[kind]
    if not common.get("enabled", True) and (below.tag == "null" or below.value == {}):
        # What is switched off need not say what it would do.
        return FilterRef(place=node, kind=kind, options=None, **common)
    options = _options(kind, below, faults)
    if options is BAD:
        return BAD
    return FilterRef(place=node, kind=kind, options=options, **common)


def _kind_of(node: Node, faults: list[Fault]) -> str:
    """The one key that is the kind; empty after a fault."""
    words: list[str] = (
        [key for key in node.value if key not in COMMON] if node.kind == "map" else []
    )
    known = [word for word in words if word in FILTER_KINDS]
    if len(known) == 1 and len(words) > 1:
        for word in words:
            if word not in FILTER_KINDS:
                message, cure = f'unknown key "{word}"', nearest(word, COMMON)
                faults.append(node.value[word].fault(message, cure, on_key=True))
        return known[0]
    if len(words) != 1:
        faults.append(node.fault("a filter is a mapping with one key, its kind", _CURE))
        return ""
    return words[0]


def _common(node: Node, faults: list[Fault]) -> dict[str, Any]:
    """What stands beside the kind."""
    found = {}
    for name in COMMON:
        below = node.value.get(name)
        if below is not None:
            value = reader_for(_TYPES[name])(below, faults)
            if value is not BAD:
                found[name] = value
    return found


_TYPES = {name: FilterRef.__annotations__[name] for name in COMMON}


def _options(kind: str, node: Node, faults: list[Fault]) -> Any:
    """The section of the kind's options. A filter of others is decoded where it is imported."""
    if kind in FILTER_KINDS:
        return reader_for(FILTER_KINDS[kind])(node, faults)
    others = third_party()
    if kind not in others:
        message = f'unknown filter "{kind}"'
        faults.append(node.fault(message, nearest(kind, [*FILTER_KINDS, *others]), on_key=True))
        return BAD
    return PythonFilter(place=node, use=others[kind], config=_mapping(node))


def _mapping(node: Node) -> dict[str, Any]:
    found = plain(node)
    return found if isinstance(found, dict) else {}
