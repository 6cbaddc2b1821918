"""What every kind of filter has.

No `from __future__ import annotations` in the modules of kinds, as in `model`.
"""

from typing import Any, ClassVar

from pyproxy.config.faults import Report
from pyproxy.config.nodes import Node
from pyproxy.config.section import Section

__all__ = ["FilterKind", "plain_options"]


class FilterKind(Section, frozen=True, kw_only=True):
    """Base of the options of one kind of filter. Its docs are those of the kind."""

    default_priority: ClassVar[int]
    """Filters of higher priority run earlier, unless a configuration says otherwise."""
    example: ClassVar[str]
    """Entries of a `filters` list, as YAML: part of the documentation, and run by the tests."""
    python_class: ClassVar[str] = ""
    """`module:Class` of the filter that does the work, given this struct; empty: native."""

    def filter_class(self) -> str:
        """The same for these options, of a kind whose work may be done by either."""
        return self.python_class

    def check(self, report: Report, path: str) -> None:
        """Note what is wrong with these options beyond their types. <path> is theirs."""

    def upstreams(self) -> dict[str, str]:
        """The upstreams that it sends something to: option -> name. They must exist."""
        return {}

    def options(self) -> dict[str, Any]:
        """What the native filter is made of (csrc/base/options.h)."""
        found: dict[str, Any] = plain_options(self)
        return found

    def options_at(self, place: str) -> dict[str, Any]:
        """The same for a kind that keeps something beyond one configuration.

        <place> is a name of this use that stays the same when the configuration is read again.
        """
        return self.options()


def plain_options(value: Any) -> Any:
    """A section as a tree of builtins, by the names of its attributes, without what is absent."""
    if isinstance(value, Section):
        below = {name: getattr(value, name) for name in value.__struct_fields__ if name != "place"}
        return {name: plain_options(item) for name, item in below.items() if item is not None}
    if isinstance(value, dict):
        return {key: plain_options(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain_options(item) for item in value]
    assert not isinstance(value, Node)
    return value
