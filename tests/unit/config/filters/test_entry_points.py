"""Filters of other packages: found by entry point, checked against the schema that they publish."""

import json
import sys

import pytest

from pyproxy.cli.main import main
from pyproxy.config.filters import third_party
from pyproxy.config.filters_check import decode_filters
from pyproxy.config.load import inspect_texts
from pyproxy.config.schema import json_schema
from pyproxy.filters.chain import bind_filters

MODULE = """
from typing import Annotated, Literal
from msgspec import Meta
from pyproxy import Filter

class Quota(Filter):
    \"\"\"Counts what a client asks for.\"\"\"

    default_priority = 1002

    class Config(Filter.Config):
        count: Annotated[int, Meta(ge=0)]
        time_window: Annotated[int, Meta(ge=0)]
        key: Literal["remote_addr", "server_addr"]
        rejected_code: Annotated[int, Meta(ge=200, le=600)]

    def request(self, exchange):
        pass
"""
GOOD = {"count": 0, "time_window": 60, "key": "remote_addr", "rejected_code": 503}
WORD = "tests-quota"


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """A package that announces a filter."""
    name = f"quota_{abs(hash(tmp_path))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    info = tmp_path / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[pyproxy.filters]\n{WORD} = {name}:Quota\nheaders = {name}:Quota\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield f"{name}:Quota"
    sys.modules.pop(name, None)


def read(options):
    text = (
        "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n"
        f"  - {WORD}: {json.dumps(options)}\n"
    )
    return inspect_texts([("f.yaml", text)])


def faults_of(options):
    config, faults = read(options)
    assert faults == []
    return [str(fault) for fault in decode_filters(config).faults]


def test_it_is_found_without_being_imported(installed):
    assert third_party()[WORD] == installed
    assert "headers" not in third_party()  # our own words stay ours
    config, _ = read(GOOD)
    assert (config.filters[0].kind, config.filters[0].options.use) == (WORD, installed)
    assert installed.partition(":")[0] not in sys.modules


def test_what_its_schema_allows_is_accepted():
    config, _ = read(GOOD)
    resolved = decode_filters(config)
    assert resolved.faults == []
    found = resolved.filters["filters[0]"].config
    assert (found.count, found.key, found.rejected_code) == (0, "remote_addr", 503)
    bound = bind_filters(config)["filters[0]"]
    assert (bound.name, bound.priority, list(bound.phases)) == (WORD, 1002, ["request"])


AT = f'filters[0]."{WORD}"' if not WORD.replace("-", "_").isidentifier() else f"filters[0].{WORD}"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"count": -1}, f'{AT}.count: "-1" is out of range; write at least 0'),
        ({"time_window": -1}, f'{AT}.time_window: "-1" is out of range; write at least 0'),
        ({"count": "many"}, f'{AT}.count: "many" is not a whole number'),
        ({"count": 1.5}, f'{AT}.count: "1.5" is not a whole number'),
        ({"key": "host"}, f'{AT}.key: "host" is not allowed here; known here: remote_addr, server'),
        ({"rejected_code": 199}, f'{AT}.rejected_code: "199" is out of range; write at least 200'),
        ({"rejected_code": 601}, f'{AT}.rejected_code: "601" is out of range; write at most 600'),
        ({"burst": 1}, f'{AT}.burst: unknown key "burst"'),
        ({"count": None}, f"{AT}.count: the value is missing"),
    ],
)
def test_what_its_schema_refuses_is_told_with_line_and_path(change, says):
    (fault,) = faults_of(GOOD | change)
    assert fault.startswith("f.yaml:4:")
    assert fault.partition(" ")[2].startswith(says)


@pytest.mark.parametrize("key", GOOD)
def test_all_of_it_is_required(key):
    (fault,) = faults_of({name: value for name, value in GOOD.items() if name != key})
    assert f'"{key}" is missing' in fault


def test_what_is_no_mapping_is_refused():
    (fault,) = faults_of([1])
    assert "this must be a mapping, not a list" in fault


def test_its_schema_is_published(capsys):
    assert main(["filters", WORD, "--schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    config = schema["$defs"]["Config"]
    assert config["additionalProperties"] is False
    assert sorted(config["required"]) == sorted(GOOD)
    assert config["properties"]["key"] == {"enum": ["remote_addr", "server_addr"]}
    assert config["properties"]["rejected_code"]["maximum"] == 600
    assert WORD in json_schema()["$defs"]["FilterRef"]["properties"]
    assert main(["filters", WORD]) == 0
    assert "Counts what a client asks for." in capsys.readouterr().out
    assert main(["filters"]) == 0
    assert WORD in capsys.readouterr().out


def test_a_file_that_cannot_be_imported_is_told_at_its_place(installed, tmp_path):
    (tmp_path / (installed.partition(":")[0] + ".py")).write_text("raise RuntimeError('no')")
    (fault,) = faults_of(GOOD)
    assert fault.startswith("f.yaml:4:")
    assert "does not import: RuntimeError: no" in fault
