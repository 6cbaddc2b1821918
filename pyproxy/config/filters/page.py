"""What people read about a kind of filter, from its struct alone."""

from __future__ import annotations

import inspect
import textwrap

from pyproxy.config.filters import FILTER_KINDS
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.schema import sections_of, tables


def one_line(word: str) -> str:
    """What a kind does, in a line."""
    return (FILTER_KINDS[word].__doc__ or "").partition("\n")[0]


def priority(word: str) -> int:
    """The published default; 0 for classes of one's own."""
    found: int = getattr(FILTER_KINDS[word], "default_priority", 0)
    return found


def page(word: str) -> str:
    """The page of docs/filters."""
    kind = FILTER_KINDS[word]
    parts = [f"# {word}", inspect.cleandoc(kind.__doc__ or "")]
    if issubclass(kind, FilterKind):
        example = textwrap.indent(kind.example.strip("\n"), "  ")
        parts.append(f"```yaml\nfilters:\n{example}\n```")
    parts.append(
        f"Its default priority is {priority(word)}. What every filter has besides its options "
        "stands in [filters.md](../filters.md#filters-of-the-proxys-own)."
    )
    # The first table's own heading would only say again what the page begins with.
    _, _, options = tables(*sections_of(kind)).strip("\n").split("\n\n", 2)
    parts.append(f"## Options\n\n{options}")
    return "\n\n".join(parts) + "\n"


def index() -> str:
    """The page that lists all of them."""
    rows = [f"| [{w}]({w}.md) | {priority(w)} | {one_line(w)} |" for w in FILTER_KINDS]
    head = ["# Filters", "", "Those of higher priority run earlier, unless a configuration says"]
    head += ["otherwise. `pyproxy filters NAME` prints these pages.", ""]
    table = ["| filter | priority | what it does |", "| --- | --- | --- |", *rows]
    return "\n".join([*head, *table]) + "\n"
