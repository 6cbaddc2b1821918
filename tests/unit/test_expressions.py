"""Conditions as programs, asked through the router."""

import pytest

from pyproxy._wire import Router, WireError, check_predicate, check_variable
from pyproxy.expressions import entry, program


def holds(when, **asked):
    """Does the condition hold for a request?"""
    router = Router()
    router.add(1, "*", when=when)
    try:
        return router.find("", "/", **asked)[0] == 1
    except KeyError:
        return False


@pytest.mark.parametrize(
    ("when", "asked", "expected"),
    [
        ({"var": "header.x", "equals": "1"}, {"headers": {"X": "1"}}, True),
        ({"var": "header.x", "equals": 1}, {"headers": {"X": "1"}}, True),
        ({"var": "header.x", "equals": True}, {"headers": {"X": "true"}}, True),
        ({"var": "header.x", "one_of": ["1", "2"]}, {"headers": [("x", "2")]}, True),
        ({"var": "header.x", "equals": "1, 2"}, {"headers": [("x", "1"), ("X", "2")]}, True),
        ({"var": "header.x", "exists": False}, {}, True),
        ({"var": "header.x", "exists": True}, {}, False),
        ({"var": "header.x", "not": "1"}, {"headers": {"x": "2"}}, True),
        ({"var": "header.x", "not": ["1", "2"]}, {"headers": {"x": "2"}}, False),
        ({"var": "header.x", "not": {"prefix": "a"}}, {"headers": {"x": "ab"}}, False),
        ({"not": {"var": "header.x", "exists": True}}, {}, True),
        ({"var": "query.n", "gt": 1, "le": 5}, {"query": "n=5"}, True),
        ({"var": "query.n", "gt": 1, "le": 5}, {"query": "n=1"}, False),
        ({"var": "query.n", "lt": 1e-05}, {"query": "n=0.000001"}, True),
        ({"var": "query.n", "lt": 1e16}, {"query": "n=999"}, True),
        ({"var": "cookie.a", "suffix": "z"}, {"headers": {"Cookie": 'a="xyz"'}}, True),
        ({"var": "client.address", "cidr": "::1"}, {"client": "::1"}, True),
        ({"var": "client.address", "prefix": "10."}, {"client": "10.1.2.3"}, True),
        ({"var": "tls.sni", "regex": "^a[.]"}, {"variables": {"tls.sni": "a.b"}}, True),
        ({"var": "path", "any": [{"equals": "/x"}, {"equals": "/"}]}, {}, True),
        ({"all": [{"var": "path", "equals": "/"}, {"var": "host", "exists": True}]}, {}, True),
    ],
)
def test_conditions_hold_as_they_read(when, asked, expected):
    assert holds(when, **asked) is expected


def test_all_parts_must_hold_and_python_is_asked_last():
    asked = []
    router = Router()
    router.add(
        1,
        "/",
        clients=["10.0.0.0/8"],
        headers={"a": "1"},
        query={"b": "2"},
        cookies={"c": "3"},
        when={"var": "path", "equals": "/"},
        python=lambda request: asked.append(request["query.b"]) or True,
    )
    whole = {"client": "10.0.0.1", "headers": {"a": "1", "cookie": "c=3"}, "query": "b=2"}
    assert router.find("", "/", **whole) == (1, {})
    for less in ({"client": "11.0.0.1"}, {"headers": {"a": "1"}}, {"query": ""}, {"client": ""}):
        with pytest.raises(KeyError):
            router.find("", "/", **(whole | less))
    assert asked == ["2"]


def test_what_a_condition_in_python_raises_goes_through():
    router = Router()
    router.add(1, "/", python=lambda request: request["header.none"])
    with pytest.raises(KeyError, match="none"):
        router.find("", "/")
    with pytest.raises(KeyError, match="none"):
        router.explain("", "/")
    router = Router()
    router.add(1, "/", python=lambda request: request.get("hots"))
    with pytest.raises(WireError, match="no such variable: hots"):
        router.find("", "/")


def test_a_flood_of_arguments_goes_through_as_well():
    router = Router()
    router.add(1, "/", query={"a": "1"})
    with pytest.raises(WireError, match="more query arguments"):
        router.find("", "/", query="x&" * 300)


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ({}, None),
        ({"var": "path"}, "the condition is empty"),
        ({"equals": "x"}, '"equals" is of no variable; add "var"'),
        ({"all": []}, '"all" is of no conditions'),
        ({"var": "path", "like": "x"}, 'no operator "like"; one of equals'),
        ({"var": "path", "one_of": []}, '"one_of" is an empty list'),
        ({"var": "path", "not": {}}, "the condition is empty"),
    ],
)
def test_what_says_nothing_is_refused(when, says):
    if says is None:
        assert program(when=when) == (b"", ())
        return
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        program(when=when)


def test_the_data_plane_refuses_what_does_not_exist():
    for bad in (
        entry("path", {"regex": "("}),
        entry("hots", "x"),
        entry("path", {"gt": "x"}),
        b"?",
    ):
        with pytest.raises(WireError):
            check_predicate(bad)
    check_predicate(entry("path", "x"))
    check_variable("header.X-Any")
    with pytest.raises(WireError, match="no such variable: header"):
        check_variable("header")
    with pytest.raises(ValueError, match="not an IP address: here"):
        holds({"var": "path", "exists": True}, client="here")
