"""Faults of conditions, splits and predicates in Python: each has its place and its cure."""

import pytest

from pyproxy.config.compile import compile_snapshot, stat_records
from pyproxy.config.faults import Report
from pyproxy.config.filters_check import resolve_filters
from pyproxy.config.load import inspect_texts
from pyproxy.config.predicates import check_predicates, load_predicate
from pyproxy.errors import ConfigError

BASE = """
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams: {app: {endpoints: "127.0.0.1:1"}, new: {endpoints: "127.0.0.1:2"}}
"""


def faults_of(route):
    text = f"{BASE}routes: [{route}]"
    return [
        str(fault).removeprefix("f.yaml:") for fault in inspect_texts([("f.yaml", text)]).faults
    ]


def config_of(route, file="f.yaml"):
    inspected = inspect_texts([(str(file), f"{BASE}routes: [{route}]")])
    assert inspected.faults == []
    return inspected.config


@pytest.mark.parametrize(
    ("match", "says"),
    [
        ("{clients: 10.0.0.1/8}", "match.clients: not an address or range of addresses"),
        ("{clients: ['::1', here]}", "match.clients[1]: not an address"),
        ("{headers: {'a b': x}}", '"a b" is not a header name'),
        ("{headers: {x: {regex: '('}}}", "x.regex: not a regular expression: missing ): (; see"),
        ("{headers: {x: {regex: '(?=a)'}}}", "not a regular expression"),
        ("{headers: {x: {}}}", "the test asks for nothing; add an operator"),
        ("{headers: {x: []}}", "a list of no values fits nothing; add one"),
        ("{headers: {x: {equal: a}}}", 'unknown key "equal"; did you mean "equals"?'),
        ("{query: {n: {gt: ten}}}", '"ten" is not a number'),
        ("{query: {n: {not: {gt: .inf}}}}", "n.not.gt: not a number"),
        ("{query: {'': x}}", 'there is no variable named "query."'),
        ("{cookies: {a=b: x}}", 'there is no variable named "cookie.a=b"'),
        ("{cookies: {a: {cidr: x}}}", "a.cidr: not an address or range of addresses: x; such as"),
        ("{when: {}}", "match.when: the condition asks for nothing; add all, any, not or var"),
        ("{when: {var: hots, equals: a}}", 'no variable named "hots"; did you mean "host"?'),
        ("{when: {var: path}}", "the condition asks for nothing; add an operator"),
        ("{when: {equals: a}}", '"equals" is of no variable; add "var"'),
        ("{when: {any: [{var: path, equals: a}, {}]}}", "match.when.any[1]: the condition asks"),
        ("{when: {not: {var: path, regex: '*'}}}", "when.not.regex: not a regular expression"),
        ("{when: {python: nothing}}", '"nothing" names no function; write module:function'),
        ("{when: " + "{not: " * 33 + "{var: path, exists: on}" + "}" * 34, "more than 32 deep"),
    ],
)
def test_a_faulty_condition_gets_one_fault_with_a_cure(match, says):
    (fault,) = faults_of(f"{{upstream: app, match: {match}}}")
    assert says in fault
    assert fault.startswith("4:")


@pytest.mark.parametrize(
    ("split", "says"),
    [
        ("{arms: []}", "this list is too short"),
        ("{}", '"arms" is missing'),
        ("{arms: {upstream: ap}}", "split.arms.upstream: there is no upstream named"),
        ("{arms: [{upstream: app, weight: 0}]}", "no arm has a weight; "),
        ("{arms: [{upstream: app}, {upstream: app}]}", "another arm's, too; give each arm a name"),
        ("{arms: [{upstream: app, weight: -1}]}", "out of range; write at least 0"),
        ("{arms: [{upstream: app}], by: sid}", 'no variable named "sid"'),
        ("{arms: [{upstream: app, name: 'a\"'}]}", "not a usable name"),
    ],
)
def test_a_faulty_split_gets_one_fault_with_a_cure(split, says):
    (fault,) = faults_of(f"{{split: {split}}}")
    assert says.replace("weight; ", "weight") in fault


def test_a_split_is_an_action_of_its_own():
    (fault,) = faults_of("{upstream: app, split: {arms: [{upstream: app}]}}")
    assert "a route has one action; keep one of upstream, split" in fault
    arms = "{arms: [{upstream: app}, {upstream: new, name: b}]}"
    assert faults_of(f"{{split: {arms}, rewrite: {{path: /x}}}}") == []
    records = stat_records(config_of(f"{{name: r, split: {arms}}}"))
    assert [name for kind, name in records if kind == "arm"] == ["-", "r/app", "r/b"]


class Recorder:
    """A builder that only remembers its routes."""

    def __init__(self):
        self.routes = {}

    def add_route(self, name, **given):
        self.routes[name] = given

    def finish(self):
        return object()

    def __getattr__(self, name):
        return lambda *_args, **_given: 0


def routes_of(config):
    builder = Recorder()
    compile_snapshot(config, builder, {})
    return builder.routes


def test_what_is_switched_off_is_checked_and_left_out():
    assert "no upstream" in faults_of("{enabled: off, upstream: ap}")[0]
    routes = routes_of(
        config_of("{name: a, upstream: app}, {name: b, enabled: off, upstream: app}")
    )
    assert list(routes) == ["a"]
    assert routes["a"]["predicate"] == b""


def test_the_arms_and_their_key_reach_the_builder():
    routes = routes_of(
        config_of("{name: r, split: {by: cookie.x, arms: [{upstream: app, weight: 3}]}}")
    )
    assert routes["r"]["split"] == [("r/app", 0, 3)]
    assert routes["r"]["split_by"] == "cookie.x"


def test_functions_of_yours_are_found_beside_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", ["/nowhere"])
    (tmp_path / "rules_beside.py").write_text("def ok(request):\n    return True\n")
    config = config_of(
        "{upstream: app, match: {when: {not: {python: 'rules_beside:ok'}}}}", tmp_path / "f.yaml"
    )
    assert resolve_filters(config) == []
    program, callables = config.routes[0].match.predicate(load_predicate)
    assert program.startswith(b"NC")
    assert callables[0](None) is True


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("no_such_module:f", "ModuleNotFoundError"),
        ("json:nothing", "AttributeError"),
        ("sys:path", "is not callable; name a function"),
        ("asyncio:sleep", "is async; a predicate answers at once"),
    ],
)
def test_a_function_that_cannot_be_used_is_a_fault_with_its_place(use, says):
    config = config_of(f"{{upstream: app, match: {{when: {{any: [{{python: '{use}'}}]}}}}}}")
    report = Report()
    check_predicates(config, report)
    (fault,) = report.faults
    assert says in str(fault)
    assert fault.path == "routes[0].match.when.any[0].python"
    with pytest.raises(ConfigError, match=r"loaded|callable|async"):
        compile_snapshot(config, Recorder(), {})
