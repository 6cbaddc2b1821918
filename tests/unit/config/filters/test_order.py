"""Which filters a route has, and in which order."""

import textwrap

import pytest

from pyproxy.config.filters.order import chain
from pyproxy.config.load import loads


def labels(text, route=0):
    config = loads(
        "listeners: {w: {bind: '127.0.0.1:0'}}\n"
        + textwrap.dedent(text).replace("PY", "python: {use")
    )
    return [ref.label for _, ref in chain(config, route)]


def test_the_higher_priority_runs_first_then_the_order_of_the_file():
    text = """
    filters:
      - {headers: {}, name: common}
      - {headers: {}, name: late, priority: -1}
      - {PY: "m:Common"}}
    routes:
      - respond: {}
        filters:
          - {headers: {}, name: own}
          - {PY: "m:Own"}}
          - {headers: {}, name: first, priority: 1000000}
    """
    assert labels(text) == ["first", "common", "own", "Common", "Own", "late"]
    assert labels(text, None) == ["common", "Common", "late"]


def test_a_routes_filter_takes_the_place_of_a_common_one():
    text = """
    filters:
      - headers: {}
      - {headers: {}, name: other, priority: 5}
    routes:
      - {respond: {}, filters: [{headers: {}, priority: 4}]}
      - {respond: {}, filters: [{headers: {}, name: other}]}
      - {respond: {}, filters: [{headers: , enabled: off}]}
      - {respond: {}, filters: [{headers: {}, enabled: off}, {headers: {}, name: mine}]}
      - {respond: {}}
    """
    assert labels(text, 0) == ["other", "headers"]
    assert labels(text, 1) == ["headers", "other"]
    assert labels(text, 2) == ["other"]
    assert labels(text, 3) == ["mine", "other"]
    assert labels(text, 4) == ["headers", "other"]


def test_a_common_filter_that_is_off_runs_nowhere():
    text = """
    filters: [{headers: {}, enabled: off}]
    routes: [{respond: {}}, {respond: {}, filters: [{headers: {}, name: x}]}]
    """
    assert labels(text, 0) == []
    assert labels(text, 1) == ["x"]


def test_classes_replace_each_other_only_by_name():
    text = """
    filters:
      - {PY: "m:A"}}
      - {PY: "m:B", name: b}}
    routes:
      - {respond: {}, filters: [{PY: "m:A"}}]}
      - {respond: {}, filters: [{PY: "m:C"}, name: b}]}
    """
    assert labels(text, 0) == ["A", "b", "A"]
    assert labels(text, 1) == ["A", "b"]


@pytest.mark.parametrize(("given", "order"), [(5, ["B", "A"]), (None, ["A", "B"])])
def test_a_class_may_have_a_priority_of_its_own(given, order):
    config = loads(
        "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\n"
        "filters: [{python: {use: 'm:A'}}, {python: {use: 'm:B'}"
        + (f", priority: {given}" if given else "")
        + "}]\n"
    )
    own = {"filters[0]": 3, "filters[1]": 1}
    assert [ref.label for _, ref in chain(config, 0, lambda key, _ref: own[key])] == order
