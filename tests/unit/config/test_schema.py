"""The published forms of the model."""

import json
import re
from pathlib import Path

import pytest
import yaml

from pyproxy.config.schema import json_schema, reference

ROOT = Path(__file__).parents[3]


def walk(schema):
    if isinstance(schema, dict):
        yield schema
        for below in schema.values():
            yield from walk(below)
    elif isinstance(schema, list):
        for below in schema:
            yield from walk(below)


def test_the_schema_is_json_and_its_references_lead_somewhere():
    schema = json.loads(json.dumps(json_schema()))
    refs = {part["$ref"] for part in walk(schema) if "$ref" in part}
    assert refs
    assert {ref.removeprefix("#/$defs/") for ref in refs} <= set(schema["$defs"])


def test_what_no_file_may_set_is_not_in_the_schema():
    for definition in json_schema()["$defs"].values():
        for part in walk(definition):
            assert not {"place", "resolved"} & set(part.get("properties", ()))


def test_every_field_is_described():
    for name, definition in json_schema()["$defs"].items():
        described = definition["anyOf"][-1] if "anyOf" in definition else definition
        for key, field in described["properties"].items():
            if name != "Filter" and key != "python":
                assert field.get("description"), f"{name}.{key}"


def test_units_shorthands_and_filters_are_in_the_schema():
    defs = json_schema()["$defs"]
    header = defs["ListenerTimeouts"]["properties"]["header"]
    assert header["default"] == "1m"
    idle = defs["ListenerTimeouts"]["properties"]["idle"]
    assert "default" not in idle  # it depends on the protocol
    pattern = idle["anyOf"][0]["pattern"]
    assert re.match(pattern, "1h30m")
    assert not re.match(pattern, "30")
    assert [part["type"] for part in defs["Endpoint"]["anyOf"]] == ["string", "object"]
    assert [part.get("type") for part in defs["Listener"]["properties"]["bind"]["anyOf"]] == [
        None,
        "array",
    ]
    filters = defs["FilterRef"]["properties"]
    assert filters["python"]["$ref"] == "#/$defs/PythonFilter"
    assert {"headers", "enabled", "name", "priority"} <= set(filters)
    assert {"const": False} in defs["Route"]["properties"]["access_log"]["anyOf"]


TYPES = {
    "string": str,
    "integer": int,
    "object": dict,
    "array": list,
    "boolean": bool,
    "null": type(None),
}


def fits(value, schema, defs):
    """Enough of JSON Schema to judge the examples with the published schema."""
    if "$ref" in schema:
        return fits(value, defs[schema["$ref"].removeprefix("#/$defs/")], defs)
    if "anyOf" in schema:
        return any(fits(value, part, defs) for part in schema["anyOf"])
    if "const" in schema:
        return value == schema["const"] and type(value) is type(schema["const"])
    if "enum" in schema and value not in schema["enum"]:
        return False
    types = schema.get("type", [])
    types = [types] if isinstance(types, str) else types
    if types and not any(isinstance(value, TYPES[name]) for name in types):
        return False
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return False
    if isinstance(value, list):
        return all(fits(item, schema.get("items", {}), defs) for item in value)
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        if set(schema.get("required", ())) - set(value) or (
            others is False and set(value) - set(known)
        ):
            return False
        return all(fits(item, known.get(key, others or {}), defs) for key, item in value.items())
    return True


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.yaml")), ids=lambda f: f.name)
def test_the_schema_accepts_every_example(file):
    schema = json_schema()
    assert fits(yaml.safe_load(file.read_text()), schema, schema["$defs"])


def test_the_schema_refuses_what_the_loader_refuses():
    schema = json_schema()
    for text in (
        "lisners: {}",
        "drain: 30",
        "workers: many",
        "listeners: {w: {}}",
        "access_log: true",
    ):
        assert not fits(yaml.safe_load(text), schema, schema["$defs"]), text


def test_the_reference_in_the_documentation_is_the_generated_one():
    page = (ROOT / "docs/configuration.md").read_text()
    start, end = "<!-- reference: begin -->\n", "<!-- reference: end -->"
    written = page[page.index(start) + len(start) : page.index(end)]
    assert written.strip() == reference().strip(), "run: pyproxy schema --markdown"
