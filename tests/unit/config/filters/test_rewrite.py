"""The options of the filter `rewrite`."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.load import inspect_texts, loads

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - rewrite:\n      "
)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("{}", "5:7: filters[0].rewrite: this filter rewrites nothing"),
        ("query: {set: {}}", "5:7: filters[0].rewrite: this filter rewrites nothing"),
        ("path: api", '5:13: filters[0].rewrite.path: the new path does not begin with "/"; wri'),
        ("path: /a?b", "5:13: filters[0].rewrite.path: a path cannot hold this text"),
        ("path: /a/../b", '5:13: filters[0].rewrite.path: a path with "." or ".." as a segment'),
        ('path: "/{nope}"', '5:13: filters[0].rewrite.path: there is no variable "nope"'),
        ("{path: /a, host: a/b}", '5:24: filters[0].rewrite.host: "a/b" is not a host'),
        ("strip_prefix: /a/", '5:21: filters[0].rewrite.strip_prefix: "/a/" is not a prefix'),
        ("add_prefix: /..", '5:19: filters[0].rewrite.add_prefix: "/.." is not a prefix'),
        ("{path: /a, add_prefix: /b}", "5:30: filters[0].rewrite.add_prefix: path and add_pref"),
        ("method: HEAD", "5:15: filters[0].rewrite.method: an answer to HEAD ends elsewhere"),
        ('method: "a b"', '5:15: filters[0].rewrite.method: "a b" is not a method'),
        (
            'patterns: [{match: "a(", to: b}]',
            "5:26: filters[0].rewrite.patterns[0].match: not a regular expression: missing",
        ),
        (
            'patterns: [{match: "a(?=b)", to: b}]',
            "5:26: filters[0].rewrite.patterns[0].match: not a regular expression: invalid perl op",
        ),
        (
            'patterns: [{match: "(a)", to: "{2}"}]',
            '5:37: filters[0].rewrite.patterns[0].to: the expression has no group "2"',
        ),
        (
            'patterns: [{match: "(?P<b>a)", to: "{c}"}]',
            '5:42: filters[0].rewrite.patterns[0].to: there is no variable "c"',
        ),
        ('query: {remove: [""]}', "5:24: filters[0].rewrite.query.remove[0]: an argument without"),
        ('query: {set: {a: "{b"}}', '5:24: filters[0].rewrite.query.set.a: a lone "{"'),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert [str(f).removeprefix("f.yaml:")[: len(fault)] for f in faults] == [fault]


@pytest.mark.parametrize(
    "options",
    [
        'path: "{path}/x"',
        'patterns: [{match: "(a)(?P<n>b)", to: "{n}{2}{0}{method}"}]',
        "{strip_prefix: /a, add_prefix: /b/c.d}",
        'host: "{param.x}.internal:81"',
        "method: PROPFIND",
        "query: {add: {a: [x, '{query.b}']}}",
    ],
)
def test_the_data_plane_takes_what_is_right(options):
    compile_snapshot(loads(BASE + options), SnapshotBuilder(), {})


def test_more_arguments_than_one_filter_edits_are_refused():
    names = ", ".join(f"a{i}" for i in range(65))
    _, faults = inspect_texts([("f.yaml", f"{BASE}query: {{remove: [{names}]}}")])
    assert "more than 64 arguments" in str(faults[0])
