"""The options of the filter `request_validation`."""

import json

import pytest

from pyproxy.config.filters import request_validation as section
from pyproxy.config.load import inspect_texts
from pyproxy.filters.request_validation import strict_json

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n"
    "  - request_validation:\n      "
)
AT = "filters[0].request_validation"
DRAFT_7 = {"$schema": "http://json-schema.org/draft-07/schema#"}


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("{}", f"5:7: {AT}: this filter checks nothing; add body or headers"),
        ("body: {type: nothing}", f"5:13: {AT}.body: not a JSON Schema: $.type: 'nothing' is"),
        ("headers: {required: 7}", f"5:16: {AT}.headers: not a JSON Schema: $.required: 7 is"),
        ("{body: {}, body_file: a}", f"5:29: {AT}.body_file: there is body or body_file"),
        ("body_file: /nowhere/at.all", f"5:18: {AT}.body_file: /nowhere/at.all cannot be read"),
        ("{body: {}, status: 200}", f"5:26: {AT}.status: "),
        ("{body: {}, max_body: 0}", f"5:28: {AT}.max_body: "),
        ("body: 7", f"5:13: {AT}.body: "),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert [str(f).removeprefix("f.yaml:")[: len(fault)] for f in faults] == [fault]


def test_a_schema_may_stand_in_a_file(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"type": "object"}))
    text = BASE + "body_file: a.json"
    config, faults = inspect_texts([(str(tmp_path / "f.yaml"), text)])
    assert faults == []
    assert section.body_schema(config.filters[0].options) == {"type": "object"}
    (tmp_path / "a.json").write_text("{")
    _, faults = inspect_texts([(str(tmp_path / "f.yaml"), text)])
    assert "a.json is not JSON" in str(faults[0])


def test_without_the_package_the_cure_is_told(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(section, "import_module", missing)
    _, faults = inspect_texts([("f.yaml", BASE + "body: {}")])
    assert "pip install pyproxy[validation]" in str(faults[0])


def test_references_lead_somewhere_and_nothing_is_fetched():
    for reference in ("http://127.0.0.1:1/schema", "#/$defs/b", "other.json"):
        with pytest.raises(ValueError, match="refers to nothing in the schema"):
            section.compile_schema({"items": [{"$ref": reference}], "$defs": {"a": {}}} | DRAFT_7)
    section.compile_schema({"$ref": "#/$defs/a", "$defs": {"a": {}}})
    # With names of its own it is found out later, and fetched neither.
    validator = section.compile_schema({"$id": "urn:x", "$ref": "http://127.0.0.1:1/schema"})
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1/schema"):
        list(validator.iter_errors({}))


def test_json_is_read_strictly():
    assert strict_json(b'{"a": [1, {"a": null}]}') == {"a": [1, {"a": None}]}
    for data in (
        b'{"a": 1, "a": 2}',
        b"NaN",
        b"-Infinity",
        b"\xff",
        b"",
        b"{}x",
        b'"\\ud800',
        b"[",
    ):
        with pytest.raises(ValueError, match=r".+"):
            strict_json(data)
    with pytest.raises(ValueError, match="digits"):
        strict_json(b"1" * 5000)
    with pytest.raises(RecursionError):
        strict_json(b"[" * 200_000)
