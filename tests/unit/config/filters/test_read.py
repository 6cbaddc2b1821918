"""Entries of a filter list: their kind, and what stands beside it."""

import pytest

from pyproxy.config import filters
from pyproxy.config.load import inspect_texts

BASE = "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - "


def read(entry):
    return inspect_texts([("f.yaml", BASE + entry)])


def ref_of(entry):
    config, faults = read(entry)
    assert faults == []
    return config.filters[0]


@pytest.fixture
def announced(monkeypatch):
    """Words that other packages announce."""
    words = {"quota": "their.module:Quota"}
    monkeypatch.setattr("pyproxy.config.filters.read.third_party", lambda: words)
    return words


def test_what_every_filter_has_stands_beside_its_kind():
    ref = ref_of("{headers: {request: {remove: [x]}}, name: tidy, priority: -5, enabled: off}")
    assert (ref.kind, ref.name, ref.label, ref.priority) == ("headers", "tidy", "tidy", -5)
    assert ref.enabled is False
    assert ref.options.request.remove == ("x",)
    plain = ref_of("headers: {}")
    assert (plain.name, plain.label, plain.priority, plain.enabled) == ("", "headers", None, True)


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        (
            "headers",
            'f.yaml:4:5: filters[0]: a filter is a mapping with one key, its kind; such as "',
        ),
        ("{}", "f.yaml:4:5: filters[0]: a filter is a mapping with one key, its kind; such as"),
        ("{priority: 1}", "f.yaml:4:5: filters[0]: a filter is a mapping with one key, its kind"),
        (
            "{headrs: {}}",
            'f.yaml:4:6: filters[0].headrs: unknown filter "headrs"; did you mean "he',
        ),
        (
            "{headers: {}, prio: 1}",
            'f.yaml:4:19: filters[0].prio: unknown key "prio"; did you mean "priority"?',
        ),
        (
            "{headers: {}, python: {use: 'm:C'}}",
            "f.yaml:4:5: filters[0]: a filter is a mapping with one key, its kind",
        ),
        (
            "{headers: {}, priority: high}",
            'f.yaml:4:29: filters[0].priority: "high" is not a whole n',
        ),
        ("{headers: {}, priority: 9000000}", "f.yaml:4:29: filters[0].priority"),
        ("{headers: []}", "f.yaml:4:15: filters[0].headers: this must be a mapping, not a list"),
        ("{headers: {reqest: {}}}", 'f.yaml:4:16: filters[0].headers.reqest: unknown key "reqest"'),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(entry, fault):
    _, faults = read(entry)
    assert [str(f)[: len(fault)] for f in faults] == [fault]


def test_what_is_switched_off_need_not_say_what_it_would_do():
    for entry in ("{headers: , enabled: no}", "{python: {}, enabled: no}"):
        ref = ref_of(entry)
        assert ref.options is None
        assert ref.enabled is False
    _, faults = read("{python: {}}")
    assert [f.message for f in faults] == ['"use" is missing']


def test_a_filter_of_another_package_is_known_by_its_word(announced):
    ref = ref_of("{quota: {count: 1}, priority: 7}")
    assert (ref.kind, ref.label, ref.priority) == ("quota", "quota", 7)
    assert (ref.options.use, ref.options.config) == ("their.module:Quota", {"count": 1})
    _, faults = read("{quot: {}}")
    assert faults[0].cure == 'did you mean "quota"?'


def test_the_packages_are_only_asked_for_words_that_are_not_ours(monkeypatch):
    asked = []
    monkeypatch.setattr("pyproxy.config.filters.read.third_party", lambda: asked.append(1) or {})
    read("headers: {}")
    assert asked == []
    read("nothing: {}")
    assert asked == [1]


def test_the_kinds_stand_in_the_order_of_their_words():
    words = list(filters.FILTER_KINDS)
    assert words == sorted(words)
    assert len(words) == len(filters.FILTER_KINDS)
    assert "headers" in filters.FILTER_KINDS
    assert "nothing" not in filters.FILTER_KINDS
