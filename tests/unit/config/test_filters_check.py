"""Python filters: found, and their configuration decoded with places."""

import sys

import msgspec
import pytest

from pyproxy.config.filters_check import decode_filters, resolve_filters
from pyproxy.config.load import load
from pyproxy.config.model import Config, FilterRef, PythonFilter

MODULE = """
import enum
from typing import Annotated
import msgspec
from pyproxy.config.units import Duration, Size
from pyproxy.filters.base import Filter

class Level(enum.Enum):
    LOW = "low"
    HIGH = "high"

class Rule(msgspec.Struct, forbid_unknown_fields=True):
    prefix: str
    limit: Annotated[int, msgspec.Meta(ge=1)] = 1

class Audit(Filter):
    class Config(Filter.Config):
        secret: str
        level: Level = Level.LOW
        rules: list[Rule] = []
        wait: Duration = 1000
        most: Size | None = None
        tags: dict[str, int] = {}

class Plain(Filter):
    pass

class Early(Filter):
    def early_request(self, exchange):
        pass

class NotAFilter:
    pass
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Writes a configuration beside a module of filters, which no other test imports."""
    name = f"site_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    (tmp_path / f"broken_{name}.py").write_text("x = 1\nraise RuntimeError('no luck')\n")
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(text):
        file = tmp_path / "f.yaml"
        file.write_text(
            "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\n"
            + text.replace("MOD", name)
        )
        return load(file)

    yield write
    sys.modules.pop(name, None)


def said(faults, tmp_path):
    return [str(fault).replace(f"{tmp_path}/", "") for fault in faults]


def test_a_configuration_is_decoded_against_the_filters_own_config(site):
    config = site(
        "filters:\n"
        "  - python:\n"
        "      use: MOD:Audit\n"
        "      config: {secret: no, level: high, rules: [{prefix: /a, limit: 3}], wait: 2s,\n"
        "               most: 1KiB, tags: {a: 1}}\n"
        "  - python: {use: 'MOD:Plain'}\n"
    )
    resolved = decode_filters(config)
    assert resolved.faults == []
    audit = resolved.filters["filters[0]"]
    assert audit.cls.__name__ == "Audit"
    assert audit.config.secret == "no"
    assert audit.config.level.value == "high"
    assert [(rule.prefix, rule.limit) for rule in audit.config.rules] == [("/a", 3)]
    assert (audit.config.wait, audit.config.most, audit.config.tags) == (2000, 1024, {"a": 1})
    assert resolved.filters["filters[1]"].cls.__name__ == "Plain"


def test_every_fault_inside_a_filter_has_its_line_and_path(site, tmp_path):
    config = site(
        "filters:\n"
        "  - python:\n"
        "      use: MOD:Audit\n"
        "      config:\n"
        "        levl: low\n"
        "        level: middle\n"
        "        rules:\n"
        "          - {prefix: /a, limit: 0}\n"
        "          - {limit: x}\n"
        "        wait: 5\n"
    )
    where = "filters[0].python.config"
    assert [fault.split("; ")[0] for fault in said(resolve_filters(config), tmp_path)] == [
        f'f.yaml:7:9: {where}: "secret" is missing',
        f'f.yaml:7:9: {where}.levl: unknown key "levl"',
        f'f.yaml:8:16: {where}.level: "middle" is not allowed here',
        f'f.yaml:10:33: {where}.rules[0].limit: "0" is out of range',
        f'f.yaml:11:13: {where}.rules[1]: "prefix" is missing',
        f'f.yaml:11:21: {where}.rules[1].limit: "x" is not a whole number',
        f'f.yaml:12:15: {where}.wait: "5" is not a duration',
    ]


def test_a_missing_configuration_is_told_at_the_filter(site, tmp_path):
    (fault,) = said(resolve_filters(site("filters: [{python: {use: 'MOD:Audit'}}]")), tmp_path)
    assert fault == 'f.yaml:3:20: filters[0].python.config: "secret" is missing; add it'


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("nowhere.at.all:X", 'there is no module named "nowhere"'),
        ("MOD:Audti", 'has no "Audti"; did you mean "Audit"?'),
        ("MOD:NotAFilter", "is not a filter class; derive it from pyproxy.Filter"),
        ("MOD:Level", "is not a filter class"),
        ("broken_MOD:X", "does not import: RuntimeError: no luck at "),
    ],
)
def test_a_class_that_cannot_be_used_says_why(site, use, says):
    (fault,) = resolve_filters(site(f"filters: [{{python: {{use: '{use}'}}}}]"))
    assert fault.path == "filters[0].python.use"
    assert (fault.line, fault.column) == (3, 26)
    assert says in str(fault)


def test_the_failure_of_a_module_names_its_line(site):
    (fault,) = resolve_filters(site("filters: [{python: {use: 'broken_MOD:X'}}]"))
    assert fault.message.endswith(".py:2")


def test_filters_of_a_program_are_checked_without_places(site):
    loaded = site("filters: [{python: {use: 'MOD:Plain'}}]")
    assert resolve_filters(loaded) == []
    use = loaded.filters[0].options.use.replace("Plain", "Audit")
    given = {"secret": "s", "level": "none", "rules": [{"prefix": "/", "limit": "x"}], "wait": "1s"}
    ref = FilterRef(kind="python", options=PythonFilter(use=use, config=given))
    faults = resolve_filters(Config(filters=(ref,)))
    assert [str(fault) for fault in faults] == [
        'filters[0].python.config.level: "none" is not allowed here; known here: high, low',
        'filters[0].python.config.rules[0].limit: "x" is not a whole number',
    ]


def test_what_runs_before_routing_cannot_belong_to_a_route(site):
    text = "filters: [{python: {use: 'MOD:Early'}}]"
    assert resolve_filters(site(text)) == []
    config = site(text)
    routes = (msgspec.structs.replace(config.routes[0], filters=config.filters),)
    (fault,) = resolve_filters(msgspec.structs.replace(config, filters=(), routes=routes))
    assert "defines early_request, which runs before routing" in fault.message
