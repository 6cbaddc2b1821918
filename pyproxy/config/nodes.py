"""YAML text as a tree of nodes that know where they stand, before any meaning is given to them.

Only the composer of PyYAML runs, never its constructor: no Python object is ever made from a tag.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import yaml

from pyproxy.config import secrets
from pyproxy.errors import Fault

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML without libyaml: slower, the same tree
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]

MAX_DEPTH = 64
MAX_ALIASED = 10_000
"""Nodes that aliases may repeat, all together.

A few lines of nested aliases can stand for billions.
"""

_SAFE_MARKS = 5000
_TAG = "tag:yaml.org,2002:"
_BOOLS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


class Node:
    """One value of a file: `kind` is "map", "seq" or "scalar".

    `value` is a dict of nodes, a list of nodes, or the text of the scalar (a secret reference is
    already replaced; then `secret` is true, and the text must not be shown). `at` is the path,
    `key` the place of the key that leads here, if one does. `tag` is the type that YAML sees in a
    scalar.

    Nodes compare equal: where a value was written is no part of the value, and the structs that
    carry their node shall compare by what they say.
    """

    __slots__ = ("at", "column", "file", "key", "kind", "line", "secret", "tag", "value")

    def __init__(self, kind: str, value: Any, file: str, line: int, column: int, at: str) -> None:
        self.kind = kind
        self.value = value
        self.file = file
        self.line = line
        self.column = column
        self.at = at
        self.tag = "str"
        self.secret = False
        self.key: tuple[int, int] | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Node)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return f"<{self.file}:{self.line}:{self.column} {self.at}>"

    def fault(self, message: str, cure: str = "", *, on_key: bool = False) -> Fault:
        """A fault that points here, or at the key."""
        line, column = self.key if on_key and self.key else (self.line, self.column)
        return Fault(self.file, line, column, self.at, message, cure)

    def find(self, *steps: str | int) -> Node:
        """The node below that the steps lead to, or the last one on the way that exists."""
        here = self
        for step in steps:
            below: Node | None = None
            if here.kind == "map" and isinstance(step, str):
                below = here.value.get(step)
            elif here.kind == "seq" and isinstance(step, int) and step < len(here.value):
                below = here.value[step]
            if below is None:
                break
            here = below
        return here

    def has(self, key: str) -> bool:
        """Is this a mapping with the key?"""
        return self.kind == "map" and key in self.value


NOWHERE = Node("map", {}, "", 0, 0, "")
"""The place of what a program made."""


def plain(node: Node) -> Any:
    """The builtins that a tree stands for: dict, list, str, int, float, bool, None.

    YAML 1.1 also reads `10:30` as a number in base 60, `010` as octal and `2024-01-01` as a date;
    here they stay text, as whoever wrote them most likely meant.
    """
    if node.kind == "map":
        return {key: plain(below) for key, below in node.value.items()}
    if node.kind == "seq":
        return [plain(below) for below in node.value]
    text: str = node.value
    if node.secret or node.tag not in ("int", "float", "bool", "null"):
        return text
    if node.tag == "bool":
        return _BOOLS[text.lower()]
    if node.tag == "null":
        return None
    digits = text.replace("_", "")
    try:
        if node.tag == "int":
            return int(digits, 0)
        return float(digits.replace(".inf", "inf").replace(".nan", "nan").replace(".Inf", "inf"))
    except ValueError:
        return text


def from_plain(value: Any, at: str) -> Node:
    """A tree of values that a program made; its faults have a path but no place in a file."""
    if isinstance(value, dict):
        below = {str(key): from_plain(item, join(at, str(key))) for key, item in value.items()}
        return Node("map", below, "", 0, 0, at)
    if isinstance(value, (list, tuple)):
        items = [from_plain(item, f"{at}[{i}]") for i, item in enumerate(value)]
        return Node("seq", items, "", 0, 0, at)
    tags = {bool: "bool", int: "int", float: "float", type(None): "null"}
    node = Node("scalar", str(value), "", 0, 0, at)
    node.tag = tags.get(type(value), "str")
    return node


def join(at: str, key: str) -> str:
    """The path of a key below a path."""
    name = key if key.replace("-", "_").isidentifier() else f'"{key}"'
    return f"{at}.{name}" if at else name


def read_tree(text: str, file: str) -> tuple[Node | None, list[Fault]]:
    """Parse one document.

    The tree is None when the text is not YAML; an empty document has a null node.
    """
    try:
        _bound_depth(text)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        reason = ", ".join(part for part in (error.context, error.problem) if part)
        return None, [
            Fault(file, line, column, "", f"not valid YAML: {reason}", _syntax_cure(text, line))
        ]
    except yaml.reader.ReaderError:
        return None, [_bad_character(text, file)]
    except RecursionError:  # of the loader in Python
        return None, [Fault(file, 1, 1, "", f"values are nested more than {MAX_DEPTH} deep")]
    if root is None:
        node = Node("scalar", "", file, 1, 1, "")
        node.tag = "null"
        return node, []
    return _Builder(file).build(root)


def _bound_depth(text: str) -> None:
    """Refuse what is nested so deep that composing it would overrun the C stack.

    Only text with very many opening marks can be: the others are not looked at twice.
    """
    if sum(map(text.count, ("[", "{", "- -", "? ?", "- ?", "? -"))) < _SAFE_MARKS:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                problem = f"values are nested more than {MAX_DEPTH} deep"
                mark = cast("yaml.Mark", event.start_mark)
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _bad_character(text: str, file: str) -> Fault:
    """The first character that YAML does not allow.

    (The place in PyYAML's error counts now bytes, now characters.)
    """
    found = yaml.reader.Reader.NON_PRINTABLE.search(text)
    at = found.start() if found else 0
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    message = f"not valid YAML: the character #x{ord(text[at]):02x} is not allowed"
    return Fault(file, line, column, "", message, "remove it")


def _syntax_cure(text: str, line: int) -> str:
    """What most often is behind a syntax error on this line, or the one above."""
    lines = text.splitlines()
    near = lines[max(line - 2, 0) : line]
    if any("\t" in row[: len(row) - len(row.lstrip())] for row in near):
        return "indent with spaces, not with tabs"
    if any(row.count(": ") > 1 or ": *" in row or ": @" in row for row in near):
        return 'put quotes around a value that holds ": " or begins with a special character'
    return ""


class _Builder:
    """Turns the tree of PyYAML into nodes; notes duplicate keys, alias bombs and foreign tags."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.folder = Path(file).parent
        self.faults: list[Fault] = []
        self.seen: set[int] = set()
        self.open: set[int] = set()
        self.aliased = 0

    def build(self, root: yaml.Node) -> tuple[Node | None, list[Fault]]:
        try:
            return self.node(root, "", 0, within_alias=False), self.faults
        except _TooMuchError as error:
            mark = error.node.start_mark
            place = (self.file, mark.line + 1, mark.column + 1)
            return None, [*self.faults, Fault(*place, error.at, str(error))]

    def node(self, source: yaml.Node, at: str, depth: int, *, within_alias: bool) -> Node:
        """One node and all below.

        An alias is the same object again, so a second visit means an alias.
        """
        if not isinstance(source, yaml.ScalarNode) or within_alias:
            within_alias = self.count(source, at, depth, within_alias=within_alias)
        mark = source.start_mark
        if isinstance(source, yaml.MappingNode):
            node = Node("map", {}, self.file, mark.line + 1, mark.column + 1, at)
            self.check_tag(source, node, "map")
            self.open.add(id(source))
            self.fill(node, source, depth, within_alias=within_alias)
            self.open.discard(id(source))
        elif isinstance(source, yaml.SequenceNode):
            node = Node("seq", [], self.file, mark.line + 1, mark.column + 1, at)
            self.check_tag(source, node, "seq")
            self.open.add(id(source))
            node.value = [
                self.node(item, f"{at}[{i}]", depth + 1, within_alias=within_alias)
                for i, item in enumerate(source.value)
            ]
            self.open.discard(id(source))
        else:
            node = Node("scalar", source.value, self.file, mark.line + 1, mark.column + 1, at)
            self.scalar(source.tag, node)
        return node

    def count(self, source: yaml.Node, at: str, depth: int, *, within_alias: bool) -> bool:
        """Bound the depth and what aliases may repeat.

        Tells whether this node is (below) an alias.
        """
        if id(source) in self.open:
            raise _TooMuchError("this alias refers to a value that contains it", source, at)
        if depth > MAX_DEPTH:
            raise _TooMuchError(f"values are nested more than {MAX_DEPTH} deep", source, at)
        if within_alias or id(source) in self.seen:
            self.aliased += 1
            if self.aliased > MAX_ALIASED:
                raise _TooMuchError(f"aliases repeat more than {MAX_ALIASED} values", source, at)
            return True
        self.seen.add(id(source))
        return False

    def fill(self, node: Node, source: yaml.MappingNode, depth: int, *, within_alias: bool) -> None:
        """The entries of a mapping.

        Those that `<<` merges in come last and give way to the others.
        """
        merged: list[Node] = []
        for key, value in source.value:
            mark = key.start_mark
            line, column = mark.line + 1, mark.column + 1
            if not isinstance(key, yaml.ScalarNode):
                fault = Fault(self.file, line, column, node.at, "a key must be a plain word")
                self.faults.append(fault)
                continue
            name: str = key.value
            if key.tag == _TAG + "merge":
                merged += self.merge(value, node.at, depth, within_alias=within_alias)
                continue
            below = self.node(value, join(node.at, name), depth + 1, within_alias=within_alias)
            below.key = (line, column)
            if name in node.value:
                first = node.value[name].key
                where = f"line {first[0]}" if first else "above"
                message = f'the key "{name}" is given twice; first on {where}'
                self.faults.append(below.fault(message, "keep one of them", on_key=True))
                continue
            node.value[name] = below
        for extra in merged:
            for name, below in extra.value.items():
                node.value.setdefault(name, below)

    def merge(self, value: yaml.Node, at: str, depth: int, *, within_alias: bool) -> Iterator[Node]:
        """The mappings that a merge key names."""
        sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
        for source in sources:
            below = self.node(source, at, depth + 1, within_alias=within_alias)
            if below.kind == "map":
                yield below
            else:
                self.faults.append(below.fault('"<<" merges mappings only'))

    def scalar(self, tag: str, node: Node) -> None:
        """The type that YAML sees in a scalar, and the value of a secret reference."""
        node.tag = tag.removeprefix(_TAG)
        if node.tag in ("value", "timestamp"):  # "=" has a tag of its own in YAML 1.1
            node.tag = "str"
        elif node.tag not in ("str", "int", "float", "bool", "null"):
            self.faults.append(node.fault(f'the tag "{tag}" means nothing here', "remove it"))
            node.tag = "str"
        if node.tag == "str" and secrets.is_reference(node.value):
            node.secret = True
            try:
                node.value = secrets.resolve(node.value, self.folder)
            except ValueError as error:
                what, _, cure = str(error).partition("; ")
                self.faults.append(node.fault(what, cure))
                node.tag = "bad"

    def check_tag(self, source: yaml.Node, node: Node, tag: str) -> None:
        """Refuse `!!set`, `!!python/object` and the like."""
        if source.tag != _TAG + tag:
            self.faults.append(
                node.fault(f'the tag "{source.tag}" means nothing here', "remove it")
            )


class _TooMuchError(Exception):
    """A tree that is not worth reading further."""

    def __init__(self, message: str, node: yaml.Node, at: str) -> None:
        super().__init__(message)
        self.node = node
        self.at = at
