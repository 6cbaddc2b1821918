"""The published forms of the model: JSON Schema for editors, Markdown for people."""

from __future__ import annotations

import json
import re
import typing
from typing import Any

import msgspec
from msgspec import NODEFAULT, UNSET
from msgspec.structs import FieldInfo

from pyproxy.config.decode import default_of, strip, visible_fields
from pyproxy.config.filters import FILTER_KINDS, third_party
from pyproxy.config.filters.read import COMMON
from pyproxy.config.model import Config, FilterRef, NoLog, PythonFilter, Section
from pyproxy.config.units import UNITS

_REF = "#/$defs/{name}"


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the configuration file."""
    refs, defs = msgspec.json.schema_components(
        [Config, *FILTER_KINDS.values()],
        schema_hook=_no_schema,
        ref_template=_REF,
    )
    structs = sections_of()
    # What stands only behind hidden fields is nobody's business.
    written = {struct.__name__ for struct in structs}
    defs = {name: schema for name, schema in defs.items() if name in written}
    for struct in structs:
        _finish_struct(struct, defs[struct.__name__])
    defs[FilterRef.__name__] = _filter_schema(list(refs[1:]))
    defs = {name: _with_shorthand(name, schema) for name, schema in defs.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "pyproxy.yaml",
        **refs[0],
        "$defs": defs,
    }


def _no_schema(_type: Any) -> dict[str, Any]:
    """Of the node of a section, which no file has."""
    return {"type": "null"}


def filter_schema(word: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of the options of one kind of filter."""
    schema = json_schema()
    wanted = f"#/$defs/{FILTER_KINDS[word].__name__}"
    return {
        "$schema": schema["$schema"],
        "title": word,
        "$ref": wanted,
        "$defs": _reached(wanted, schema["$defs"]),
    }


def _reached(ref: str, defs: dict[str, Any]) -> dict[str, Any]:
    """The definitions that a reference needs."""
    found: dict[str, Any] = {}
    waiting: list[Any] = [{"$ref": ref}]
    while waiting:
        item = waiting.pop(0)
        if isinstance(item, dict):
            waiting += item.values()
            name = str(item.get("$ref", "")).removeprefix("#/$defs/")
            if name in defs and name not in found:
                found[name] = defs[name]
                waiting.append(defs[name])
        elif isinstance(item, list):
            waiting += item
    return found


def sections_of(*tops: type[Section]) -> dict[type[Section], None]:
    """Every section class that is part of <tops>, or of a whole file, each once."""
    found: dict[type[Section], None] = {}
    waiting: list[Any] = list(tops) or [Config, *FILTER_KINDS.values()]
    while waiting:
        item = waiting.pop(0)
        base, _ = strip(item)
        if isinstance(base, type) and issubclass(base, Section):
            if base not in found and base is not FilterRef:
                found[base] = None
                waiting += [field.type for field in visible_fields(base)]
        else:
            waiting += getattr(base, "__args__", ())
    return found


def _finish_struct(struct: type[Section], schema: dict[str, Any]) -> None:
    """Put what msgspec cannot know into the schema of a struct.

    Units, shorthands, what is hidden.
    """
    fields = {field.encode_name: field for field in visible_fields(struct)}
    schema["description"] = _one_line(schema["description"])
    for key in list(schema["properties"]):
        if key not in fields:
            del schema["properties"][key]
            continue
        _finish_field(fields[key], schema["properties"][key])


def _finish_field(field: FieldInfo, schema: dict[str, Any]) -> None:
    extra = strip(field.type)[1]
    if "unit" in extra:
        unit = UNITS[extra["unit"]]
        for key in ("type", "minimum", "maximum"):
            schema.pop(key, None)
        schema.update(unit.schema)
        if not field.required:
            schema["default"] = unit.format(default_of(field))
    elif isinstance(default_of(field), msgspec.Struct):
        schema.pop("default", None)  # the fields below have their own
    for arg in typing.get_args(strip(field.type)[0]):  # a quantity that may be absent
        if "unit" in strip(arg)[1]:
            schema.pop("anyOf", None)
            schema.pop("default", None)
            schema.update(UNITS[strip(arg)[1]["unit"]].schema)
    if "enum" in schema:
        # `min_version: 1.2` is a number for YAML, and the word for us.
        words = [word for word in schema["enum"] if isinstance(word, str)]
        schema["enum"] += [float(word) for word in words if re.fullmatch(r"[0-9]+\.[0-9]+", word)]
    if field.type is NoLog:
        schema["anyOf"] = [
            {"const": False} if s == {"type": "boolean"} else s for s in schema["anyOf"]
        ]
    if extra.get("single"):
        items = {key: schema.pop(key) for key in ("type", "items", "minItems") if key in schema}
        schema["anyOf"] = [items["items"], items]


def _with_shorthand(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A struct that one word may stand for."""
    word = next(
        (s.shorthand for s in sections_of() if s.__name__ == name and hasattr(s, "shorthand")), ""
    )
    if not word:
        return schema
    short = {key: value for key, value in schema["properties"][word].items() if key != "default"}
    return {"title": name, "description": schema["description"], "anyOf": [short, schema]}


def _filter_schema(refs: list[dict[str, Any]]) -> dict[str, Any]:
    common = msgspec.json.schema(FilterRef, schema_hook=_no_schema)["$defs"]["FilterRef"]
    others = {
        word: {"type": "object", "description": f"`{use}`, of an installed package."}
        for word, use in third_party().items()
    }
    return {
        "title": "Filter",
        "description": "One filter: its kind with its options, and what every filter has.",
        "type": "object",
        "properties": {
            **{
                word: ref | {"description": _first_line(FILTER_KINDS[word])}
                for word, ref in zip(FILTER_KINDS, refs, strict=True)
            },
            **others,
            **{name: common["properties"][name] for name in COMMON},
        },
        "oneOf": [{"required": [word]} for word in (*FILTER_KINDS, *others)],
        "additionalProperties": False,
    }


def _first_line(struct: type[Section]) -> str:
    return (struct.__doc__ or "").partition("\n")[0]


def reference() -> str:
    """Every field of every section as Markdown tables: name, type, default, meaning."""
    rows = [_row(field) for field in visible_fields(FilterRef) if field.name in COMMON]
    common = [
        "### Filter",
        "",
        "A mapping with the kind of the filter and its options, and beside that:",
        "",
        *_HEAD,
        *rows,
    ]
    return tables(*sections_of(Config, PythonFilter)) + "\n" + "\n".join(common) + "\n"


_HEAD = ("| field | type | default | meaning |", "| --- | --- | --- | --- |")


def tables(*structs: type[Section]) -> str:
    """The fields of some sections as Markdown tables."""
    schema = json_schema()
    parts = []
    for struct in structs:
        described = schema["$defs"][struct.__name__]
        lines = [f"### {struct.__name__}", "", described["description"], ""]
        lines += _HEAD
        lines += [_row(field) for field in visible_fields(struct)]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _row(field: FieldInfo) -> str:
    metas = [
        meta for meta in getattr(field.type, "__metadata__", ()) if isinstance(meta, msgspec.Meta)
    ]
    meaning = next((meta.description for meta in reversed(metas) if meta.description), "")
    examples = next((meta.examples for meta in reversed(metas) if meta.examples), None)
    if examples:
        meaning += " Such as " + ", ".join(f"`{_word(example)}`" for example in examples) + "."
    cells = (f"`{field.encode_name}`", _type_name(field.type), _default(field), meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(field: FieldInfo) -> str:
    if field.required:
        return "required"
    value, extra = default_of(field), strip(field.type)[1]
    if value in (None, UNSET, NODEFAULT):
        return "absent"
    if isinstance(value, msgspec.Struct):
        return "see its fields"
    if "unit" in extra:
        return f"`{UNITS[extra['unit']].format(value)}`"
    if value in ("", (), {}):
        return "empty"
    return f"`{_word(value)}`"


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _type_name(wanted: Any) -> str:
    """A type in the words of the file."""
    base, extra = strip(wanted)
    if "unit" in extra:
        return "file mode" if extra["unit"] == "mode" else str(extra["unit"])
    if isinstance(base, type) and issubclass(base, msgspec.Struct):
        name = "Filter" if base is FilterRef else base.__name__
        return f"[{name}](#{name.lower()})"
    args: tuple[Any, ...] = typing.get_args(base)
    origin = typing.get_origin(base)
    if origin is tuple:
        return f"{'one or ' if extra.get('single') else ''}list of {_type_name(args[0])}"
    if origin is dict:
        return f"mapping of names to {_type_name(args[1])}"
    if origin is typing.Literal:
        return " or ".join(f"`{_word(arg)}`" for arg in args)
    if args:
        # Beside a section, a word is the one that says something else than leaving it out.
        flag = "`off`" if wanted is NoLog else "`true`"
        names = [flag if arg is bool else _type_name(arg) for arg in args]
        return " or ".join(n for n, arg in zip(names, args, strict=True) if arg is not type(None))
    words = {int: "number", str: "text", bool: "`on` or `off`", Any: "any value"}
    return words.get(base, str(base))


def _one_line(text: str) -> str:
    return " ".join(text.split())
