"""Noting what is wrong with a section, where it stands in the file."""

from __future__ import annotations

import re

from pyproxy.config.model import Section
from pyproxy.config.nodes import NOWHERE, Node, join
from pyproxy.errors import Fault

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|^[ \t]|[ \t]$")


def is_token(text: str) -> bool:
    """A token of RFC 9110 section 5.6.2: methods and field names."""
    return _TOKEN.fullmatch(text) is not None


def is_field_value(text: str) -> bool:
    """Can a header field hold this (RFC 9110 section 5.5)?"""
    return _NOT_VALUE.search(text) is None


class Report:
    """The faults noted so far."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []

    def add(
        self,
        section: Section,
        keys: str | tuple[str | int, ...],
        message: str,
        cure: str = "",
        *,
        path: str = "",
        on_key: bool = False,
    ) -> None:
        """Note a fault at a key of a section, or below it; "" is the section itself.

        `path` is that of the section: used when it does not come from a file. A secret is never
        shown.
        """
        node = self._node(section, keys)
        if node is None:
            self.faults.append(Fault("", 0, 0, _path(path, keys), message, cure))
            return
        if node.secret:
            message, cure = "the value of the secret cannot be used here", ""
        fault = node.fault(message, cure, on_key=on_key)
        if node is section.place and node.kind == "map":  # what is meant was not written
            fault = fault._replace(path=_path(node.at, keys))
        self.faults.append(fault)

    def refuse(
        self, section: Section, keys: str | tuple[str | int, ...], error: ValueError, *, path: str
    ) -> None:
        """Note a ValueError whose sentence has the form `what; cure`."""
        what, _, cure = str(error).partition("; ")
        self.add(section, keys, what, cure, path=path)

    def written(self, section: Section, key: str) -> bool:
        """Does the file have this key, whether or not its value could be used?"""
        return section.place.has(key)

    def place(self, section: Section, key: str, path: str) -> str:
        """Where a value stands, for the message of another fault."""
        node = self._node(section, key)
        if node is None:
            return path
        return f"{node.at} ({node.file}:{node.line})"

    def _node(self, section: Section, keys: str | tuple[str | int, ...]) -> Node | None:
        if section.place is NOWHERE:
            return None
        steps = (keys,) if isinstance(keys, str) else keys
        return section.place.find(*(step for step in steps if step != ""))


def _path(at: str, keys: str | tuple[str | int, ...]) -> str:
    for step in (keys,) if isinstance(keys, str) else keys:
        if isinstance(step, int):
            at = f"{at}[{step}]"
        elif step:
            at = join(at, step)
    return at
