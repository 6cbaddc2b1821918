"""What the options of the filters refuse, and where they say it stands."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.filters import FILTER_KINDS
from pyproxy.config.load import inspect_texts, loads

BASE = "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - "


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("ip_restriction: {}", "ip_restriction: this filter restricts nothing; add allow or deny"),
        ("ip_restriction: {deny: [10.0.0.1/8]}", 'ip_restriction.deny[0]: "10.0.0.1/8" is not a '),
        ("ip_restriction: {allow: [unix, x]}", 'ip_restriction.allow[1]: "x" is not a network; w'),
        (
            "ip_restriction: {deny: [unix], status: 99}",
            'ip_restriction.status: "99" is out of range',
        ),
        ("ua_restriction: {}", "ua_restriction: this filter restricts nothing"),
        (
            "ua_restriction: {deny: [a, '(']}",
            "ua_restriction.deny[1]: not a regular expression: missing",
        ),
        (
            "ua_restriction: {allow: ['a(?!b)']}",
            "ua_restriction.allow[0]: not a regular expression: invalid ",
        ),
        (
            "cors: {origin_patterns: ['^[$']}",
            "cors.origin_patterns[0]: not a regular expression: mis",
        ),
        ('ua_restriction: {deny: [""]}', "ua_restriction.deny[0]: an empty expression matches"),
        (
            "referer_restriction: {missing: on}",
            "referer_restriction: this filter restricts nothing",
        ),
        ("referer_restriction: {allow: ['a b']}", 'referer_restriction.allow[0]: "a b" is not a h'),
        ("referer_restriction: {deny: [a, A]}", 'referer_restriction.deny[1]: "A" stands twice'),
        ("cors: {}", "cors: no origin is allowed; add origins"),
        ("cors: {origins: [example.com]}", 'cors.origins[0]: "example.com" is not an origin'),
        ("cors: {origins: ['https://a.b/']}", 'cors.origins[0]: "https://a.b/" is not an origin'),
        ("cors: {origins: ['*'], credentials: on}", "cors.credentials: credentials for every orig"),
        ("cors: {origin_patterns: ['^https://a']}", 'cors.origin_patterns[0]: "^https://a" also '),
        ("cors: {origins: ['null'], methods: ['*', GET]}", 'cors.methods: "*" stands for all'),
        ("cors: {origins: ['null'], expose: [a b]}", 'cors.expose[0]: "a b" is not a word of HTTP'),
        ("body_limit: {max: 0}", "body_limit.max: this filter limits nothing; write a size"),
        ("body_limit: {}", 'body_limit: "max" is missing; add it'),
        ("fault_injection: {}", "fault_injection: this filter injects nothing; add delay or abort"),
        (
            "fault_injection: {abort: {}, delay: {percent: 5}}",
            'fault_injection.delay: "time" is missing',
        ),
        (
            "fault_injection: {abort: {percent: 101}}",
            'fault_injection.abort.percent: "101" is out of range',
        ),
        ("fault_injection: {abort: {status: 99}}", 'fault_injection.abort.status: "99" is out of'),
        ("request_id: {format: uuid5}", 'request_id.format: "uuid5" is not allowed here'),
        ("request_id: {header: host}", 'request_id.header: "host" cannot carry an id'),
        ("request_id: {header: a b}", 'request_id.header: "a b" is not the name of a header'),
        ("real_ip: {}", 'real_ip: "trusted" is missing; add it'),
        ("real_ip: {trusted: []}", "real_ip.trusted: this list is too short"),
        ("real_ip: {trusted: [x]}", 'real_ip.trusted[0]: "x" is not a network'),
        ("real_ip: {trusted: [unix], header: ''}", 'real_ip.header: "" is not the name of a head'),
        ("{headers: {}, when: {var: nope, equals: x}}", "when.var: there is no variable named"),
        ("{headers: {}, when: {}}", "when: the condition asks for nothing"),
    ],
)
def test_what_makes_no_sense_is_told_where_it_stands(entry, fault):
    _, faults = inspect_texts([("f.yaml", BASE + entry)])
    (found,) = faults
    assert (found.file, found.line) == ("f.yaml", 4)
    assert str(found).partition(" filters[0].")[2].startswith(fault)


NATIVE = [w for w in FILTER_KINDS if w != "python" and not FILTER_KINDS[w].python_class]


@pytest.mark.parametrize("word", NATIVE)
def test_the_data_plane_takes_the_example(word):
    entries = "".join(f"  {line}\n" for line in FILTER_KINDS[word].example.splitlines())
    text = "upstreams: {app: {endpoints: '127.0.0.1:1'}}\n" + BASE.removesuffix("  - ") + entries
    compile_snapshot(loads(text), SnapshotBuilder(), {})
