"""From a configuration to bound filters."""

from __future__ import annotations

import json
import textwrap

import pytest

from pyproxy.config.filters import FILTER_KINDS
from pyproxy.config.load import load
from pyproxy.errors import ConfigError
from pyproxy.filters.chain import bind, bind_filters
from testenv import filter_example

MODULE = """
from pyproxy.filters.base import Filter


class Plain(Filter):
    class Config(Filter.Config):
        level: int = 1

    def request(self, exchange):
        pass


class Whole(Plain):
    buffer_request_body = 10
    buffer_response_body = 20


class Early(Filter):
    def early_request(self, exchange):
        pass


class Broken(Filter):
    def __init__(self, config):
        raise RuntimeError("cannot be made")
"""


@pytest.fixture
def bound(tmp_path, request):
    """Bind the filters of a configuration."""
    name = f"chain_{abs(hash(request.node.name))}"

    def make(text: str):
        (tmp_path / f"{name}.py").write_text(MODULE)
        path = tmp_path / "pyproxy.yaml"
        path.write_text(textwrap.dedent(text).replace("MODULE", name))
        return bind_filters(load(path))

    return make


BASE = 'listeners: {web: {bind: "127.0.0.1:0"}}\n'


def test_filters_are_bound_by_their_place(bound) -> None:
    found = bound(
        BASE
        + """
filters: [{python: {use: "MODULE:Plain", name: all}}]
routes:
  - respond: {}
    filters: [{python: {use: "MODULE:Whole", config: {level: 7}, timeout: 2s}}]
"""
    )
    first, second = found["filters[0]"], found["routes[0].filters[0]"]
    assert (first.name, first.timeout_ms, list(first.phases)) == ("all", 30_000, ["request"])
    assert (second.timeout_ms, second.buffer_request_body, second.buffer_response_body) == (
        2000,
        10,
        20,
    )
    assert second.phases["request"].__self__.config.level == 7
    assert first.phases["request"].__self__ is not second.phases["request"].__self__


@pytest.mark.parametrize("word", [w for w in FILTER_KINDS if w != "python"])
def test_kinds_written_in_python_run_at_the_priority_that_is_published(bound, word: str) -> None:
    config = {
        "listeners": {"web": {"bind": "127.0.0.1:0"}},
        "filters": filter_example(word),
        "upstreams": {"app": {"endpoints": ["127.0.0.1:1"]}},  # which some examples name
        "routes": [{"respond": {}}],
    }
    for found in bound(json.dumps(config)).values():
        assert found.priority == FILTER_KINDS[word].default_priority


def test_early_request_belongs_to_filters_of_all_routes(bound) -> None:
    assert list(
        bound(BASE + 'filters: [{python: {use: "MODULE:Early"}}]\nroutes: [{respond: {}}]')[
            "filters[0]"
        ].phases
    ) == ["early_request"]
    with pytest.raises(ConfigError, match="early_request"):
        bound(BASE + 'routes: [{respond: {}, filters: [{python: {use: "MODULE:Early"}}]}]')


def test_what_a_filter_raises_when_it_is_made_goes_through(bound) -> None:
    with pytest.raises(RuntimeError, match="cannot be made"):
        bound(BASE + 'filters: [{python: {use: "MODULE:Broken"}}]\nroutes: [{respond: {}}]')


def test_every_fault_of_a_configuration_is_told(bound) -> None:
    with pytest.raises(ConfigError) as caught:
        bound(
            BASE
            + """
filters:
  - python: {use: "MODULE:Absent"}
  - python: {use: "MODULE:Plain", config: {level: high, volume: 1}}
routes: [{respond: {}}]
"""
        )
    assert "Absent" in str(caught.value)
    assert "level" in str(caught.value)


def test_an_object_can_be_bound_without_a_file() -> None:
    class Odd:
        def log(self, exchange):
            pass

    found = bind(Odd(), timeout_ms=5)
    assert (found.name, found.timeout_ms, list(found.phases)) == ("Odd", 5, ["log"])
