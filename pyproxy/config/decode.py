"""Nodes to structs: every fault is noted, none ends the reading.

msgspec's own decoder stops at the first fault and knows no lines. This one walks the node tree
against the annotations of the structs, and leaves to msgspec what it is best at: the check of
single values.

A reader takes a node and gives a value, or BAD after it has noted why. A field that is BAD keeps
its default, so that the rest of the configuration can be checked too; a struct that lacks a
required field is BAD itself.
"""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from msgspec import NODEFAULT
from msgspec.structs import FieldInfo

from pyproxy.config.nodes import Node, plain
from pyproxy.config.units import UNITS
from pyproxy.errors import Fault

BAD: Any = type("Bad", (), {"__repr__": lambda _self: "BAD"})()

Reader = Callable[[Node, list[Fault]], Any]

_BOUND = re.compile(r"^Expected `(?:int|float)` (>=|<=) (-?[0-9.]+)$")
_NOUNS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_KIND_NOUNS = {"map": "a mapping", "seq": "a list", "scalar": "a value"}


def decode(node: Node, wanted: Any, faults: list[Fault]) -> Any:
    """The value of type `wanted` that a node stands for, or BAD; adds to `faults`."""
    return reader_for(wanted)(node, faults)


def decode_foreign(node: Node, wanted: Any, faults: list[Fault]) -> Any:
    """The same for a type of the user's: it is not remembered.

    When its module is loaded anew there will be another one in its place.
    """
    known = set(_readers)
    try:
        return decode(node, wanted, faults)
    finally:
        for key in _readers.keys() - known:
            del _readers[key]


def nearest(word: str, known: Iterable[str]) -> str:
    """`did you mean "x"?` for the most similar known word, else the first of them all."""
    import difflib  # only faults need it

    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    if close:
        return f'did you mean "{close[0]}"?'
    if not words:
        return ""
    shown = ", ".join(words) if len(words) <= 16 else ", ".join(words[:16]) + ", …"
    return f"known here: {shown}"


_readers: dict[int, tuple[Any, Reader]] = {}


def reader_for(wanted: Any) -> Reader:
    """The reader of a type; made once.

    (Annotated types may be unhashable: the key is their identity.)
    """
    known = _readers.get(id(wanted))
    if known is None:
        known = _readers[id(wanted)] = (wanted, _make_reader(wanted))
    return known[1]


def strip(wanted: Any) -> tuple[Any, dict[str, Any]]:
    """A type without its Annotated shell, and the `extra` of the shell."""
    if typing.get_origin(wanted) is not typing.Annotated:
        return wanted, {}
    extra: dict[str, Any] = {}
    for meta in wanted.__metadata__:
        if isinstance(meta, msgspec.Meta) and meta.extra:
            extra.update(meta.extra)
    return wanted.__origin__, extra


def _make_reader(wanted: Any) -> Reader:
    base, extra = strip(wanted)
    if "unit" in extra:
        return _quantity(extra["unit"], wanted)
    origin, args = typing.get_origin(base), typing.get_args(base)
    if isinstance(base, type) and issubclass(base, msgspec.Struct):
        return _struct(base)
    if origin is list or (origin is tuple and args[1:] == (...,)):
        make = list if origin is list else tuple
        return _sequence(args[0], make, single=bool(extra.get("single")), least=_least(wanted))
    if origin is dict and args[0] is str:
        return _mapping(args[1])
    if origin in (typing.Union, types.UnionType):
        return _union(args, wanted)
    if base is Any:
        return lambda node, _faults: BAD if node.tag == "bad" else plain(node)
    return _leaf(wanted, base)


def _quantity(name: str, wanted: Any) -> Reader:
    """A number with a unit, within the bounds of its Meta."""
    unit = UNITS[name]
    metas = [meta for meta in wanted.__metadata__ if isinstance(meta, msgspec.Meta)]
    least = max((meta.ge for meta in metas if meta.ge is not None), default=None)
    most = min((meta.le for meta in metas if meta.le is not None), default=None)

    def read(node: Node, faults: list[Fault]) -> Any:
        if node.kind != "scalar" or node.tag in ("null", "bad"):
            return _unexpected(node, f"a {name}", faults)
        try:
            value = unit.parse(node.value)
        except ValueError as error:
            what, _, cure = str(error).partition("; ")
            faults.append(node.fault(f"the secret is not a {name}" if node.secret else what, cure))
            return BAD
        shown = "the secret" if node.secret else f'"{node.value}"'
        for bound, words in ((least, "at least"), (most, "at most")):
            if bound is not None and (value < bound if bound is least else value > bound):
                cure = f"write {words} {unit.format(int(bound))}"
                faults.append(node.fault(f"{shown} is out of range", cure))
                return BAD
        return value

    return read


def _least(wanted: Any) -> int:
    """The least length that the Meta of a type asks for."""
    metas = getattr(wanted, "__metadata__", ())
    return max(
        (meta.min_length or 0 for meta in metas if isinstance(meta, msgspec.Meta)), default=0
    )


def _sequence(item: Any, make: type, *, single: bool, least: int) -> Reader:
    """A list; with `single`, one value may stand for a list of it."""

    def read(node: Node, faults: list[Fault]) -> Any:
        read_item = reader_for(item)
        if node.kind != "seq":
            if not single or node.tag in ("null", "bad"):
                return _unexpected(node, "a list", faults)
            nodes = [node]
        else:
            nodes = node.value
        if len(nodes) < least:
            faults.append(node.fault("this list is too short", f"it needs at least {least}"))
            return BAD
        values = [read_item(below, faults) for below in nodes]
        return make(value for value in values if value is not BAD)

    return read


def _mapping(item: Any) -> Reader:
    def read(node: Node, faults: list[Fault]) -> Any:
        if node.kind != "map":
            return _unexpected(node, "a mapping", faults)
        read_item = reader_for(item)
        values = {key: read_item(below, faults) for key, below in node.value.items()}
        return {key: value for key, value in values.items() if value is not BAD}

    return read


def _union(args: tuple[Any, ...], wanted: Any) -> Reader:
    """A union is read by the kind of the node; several scalar types are left to msgspec."""
    structs, sequences, scalars = [], [], []
    for arg in args:
        base, extra = strip(arg)
        origin = typing.get_origin(base)
        if isinstance(base, type) and issubclass(base, msgspec.Struct):
            structs.append(arg)
        elif origin in (list, tuple, set, frozenset):
            sequences.append(arg)
        elif origin is dict or base is dict:
            structs.append(arg)
        elif base is not type(None) or "unit" in extra:
            scalars.append(arg)
    optional = type(None) in args
    # One word may stand for the struct; beside it, only true and false can be meant as themselves.
    short = (
        len(structs) == 1 and hasattr(strip(structs[0])[0], "shorthand") and set(scalars) <= {bool}
    )

    def read(node: Node, faults: list[Fault]) -> Any:
        if optional and node.kind == "scalar" and node.tag == "null":
            return None
        if node.kind == "seq" and sequences:
            return reader_for(sequences[0])(node, faults)
        if short and not (node.tag == "bool" and scalars):
            return reader_for(structs[0])(node, faults)
        if node.kind == "scalar" and scalars:
            if len(scalars) == 1:
                return reader_for(scalars[0])(node, faults)
            return _convert(node, wanted, faults)
        if len(structs) > 1:  # told apart by a tag: msgspec knows how
            return _convert(node, wanted, faults)
        if structs:
            return reader_for(structs[0])(node, faults)
        choices = sequences + scalars
        return reader_for(choices[0])(node, faults)

    return read


def _leaf(wanted: Any, base: Any) -> Reader:
    """A single value.

    Text is wanted as it is written: `name: no` is the word "no", `body: 1.10` is "1.10".
    """
    texts = base is str or (
        typing.get_origin(base) is typing.Literal
        and all(isinstance(a, str) for a in typing.get_args(base))
    )

    def read(node: Node, faults: list[Fault]) -> Any:
        if texts and node.kind == "scalar" and node.tag not in ("null", "bad"):
            return _check(node, node.value, wanted, faults)
        return _convert(node, wanted, faults)

    return read


def _convert(node: Node, wanted: Any, faults: list[Fault]) -> Any:
    if node.tag == "bad":
        return BAD
    # A secret is text for YAML whatever it holds; where a number is wanted, it is read as one.
    return _check(node, plain(node), wanted, faults, strict=not node.secret)


def _check(node: Node, value: Any, wanted: Any, faults: list[Fault], *, strict: bool = True) -> Any:
    """msgspec's verdict on one value."""
    try:
        return msgspec.convert(value, wanted, strict=strict)
    except msgspec.ValidationError as error:
        reason = str(error)
    faults.append(_refusal(node, value, wanted, reason))
    return BAD


def _refusal(node: Node, value: Any, wanted: Any, reason: str) -> Fault:
    """msgspec's sentence in the words of the file."""
    base, _ = strip(wanted)
    reason, _, below = reason.partition(" - at `$")
    shown = "the secret" if node.secret else f'"{node.value}"' if node.kind == "scalar" else "this"
    bound = _BOUND.search(reason)
    if bound and node.kind == "scalar":
        limit = "at least" if bound[1] == ">=" else "at most"
        return node.fault(f"{shown} is out of range", f"write {limit} {bound[2]}")
    if typing.get_origin(base) is typing.Literal and node.kind == "scalar":
        choices = [str(choice) for choice in typing.get_args(base)]
        return node.fault(f"{shown} is not allowed here", nearest(str(value), choices))
    if node.kind == "scalar" and node.tag == "null":
        return node.fault("the value is missing", "write one, or remove the key")
    if isinstance(base, type) and issubclass(base, enum.Enum):
        return node.fault(
            f"{shown} is not allowed here", nearest(str(value), [str(item.value) for item in base])
        )
    if reason.startswith("Invalid enum value"):
        return node.fault(f"{shown} is not allowed here", _choices(base))
    if base in _NOUNS and ("got `" in reason) and "but" not in reason and node.kind == "scalar":
        return node.fault(f"{shown} is not {_NOUNS[base]}")
    words = reason[0].lower() + reason[1:].replace("`", "")
    return node.fault(f"{words} (at {below.rstrip('`')})" if below else words)


def _choices(union: Any) -> str:
    """`write auto or a whole number`."""
    words = []
    for arg in typing.get_args(union):
        base, _ = strip(arg)
        if typing.get_origin(base) is typing.Literal:
            words += [str(choice) for choice in typing.get_args(base)]
        else:
            words.append(_NOUNS.get(base, str(base)))
    return f"write {' or '.join(words)}"


def _unexpected(node: Node, noun: str, faults: list[Fault]) -> Any:
    if node.tag == "bad":
        return BAD
    if node.kind == "scalar" and node.tag == "null":
        faults.append(node.fault(f"the value is missing; this must be {noun}"))
    else:
        faults.append(node.fault(f"this must be {noun}, not {_KIND_NOUNS[node.kind]}"))
    return BAD


class _Plan(typing.NamedTuple):
    """What the struct reader knows about one class."""

    fields: dict[str, tuple[FieldInfo, Reader]]
    required: list[FieldInfo]
    shorthand: str
    placed: bool


def visible_fields(struct: type[msgspec.Struct]) -> list[FieldInfo]:
    """The fields that a file may set: all but those whose Meta says `hidden`."""
    return [
        field for field in msgspec.structs.fields(struct) if not strip(field.type)[1].get("hidden")
    ]


def _plan(struct: type[msgspec.Struct]) -> _Plan:
    fields = visible_fields(struct)
    return _Plan(
        {field.encode_name: (field, reader_for(field.type)) for field in fields},
        [field for field in fields if field.required],
        getattr(struct, "shorthand", ""),
        "place" in struct.__struct_fields__ and "place" not in {field.name for field in fields},
    )


def _struct(struct: type[msgspec.Struct]) -> Reader:
    """A struct from a mapping, or from a single value where the class names its `shorthand` field.

    A class may have its own `from_node(node, faults)`, for a shape that its fields do not tell.
    """
    own = getattr(struct, "from_node", None)
    if own is not None:
        return typing.cast("Reader", own)
    plan: _Plan | None = None

    def read(node: Node, faults: list[Fault]) -> Any:
        nonlocal plan
        if plan is None:
            plan = _plan(struct)
        if node.kind == "map":
            entries = node.value
        elif plan.shorthand and node.kind == "scalar" and node.tag not in ("null", "bad"):
            entries = {plan.shorthand: node}
        else:
            return _unexpected(node, "a mapping", faults)
        return _build(struct, plan, node, entries, faults)

    return read


def _build(
    struct: type[msgspec.Struct],
    plan: _Plan,
    node: Node,
    entries: dict[str, Node],
    faults: list[Fault],
) -> Any:
    values: dict[str, Any] = {}
    for key, below in entries.items():
        known = plan.fields.get(key)
        if known is None:
            faults.append(
                below.fault(f'unknown key "{key}"', nearest(key, plan.fields), on_key=True)
            )
            continue
        value = known[1](below, faults)
        if value is not BAD:
            values[known[0].name] = value
    whole = True
    for field in plan.required:
        if field.name not in values:
            whole = False
            if field.encode_name not in entries:
                faults.append(node.fault(f'"{field.encode_name}" is missing', "add it"))
    if not whole:
        return BAD
    if plan.placed:
        values["place"] = node
    try:
        return struct(**values)
    except (ValueError, TypeError) as error:  # the class's own __post_init__ objects
        faults.append(node.fault(str(error)))
        return BAD


def default_of(field: FieldInfo) -> Any:
    """The default of a field, made if need be; NODEFAULT when it has none."""
    if field.default_factory is not NODEFAULT:
        return field.default_factory()
    return field.default
