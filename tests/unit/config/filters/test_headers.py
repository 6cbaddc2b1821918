"""The options of the filter `headers`."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.load import inspect_texts, loads

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - headers:\n      "
)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            "request: {set: {a b: x}}",
            '5:28: filters[0].headers.request.set."a b": "a b" is not the n',
        ),
        (
            "response: {remove: [x, Te]}",
            "5:30: filters[0].headers.response.remove[1]: the proxy wri",
        ),
        (
            "request: {add: {Host: b}}",
            "5:29: filters[0].headers.request.add.Host: a request has one",
        ),
        (
            "request: {remove: [host]}",
            "5:26: filters[0].headers.request.remove[0]: a request has o",
        ),
        (
            'request: {set: {x: "a\\nb"}}',
            "5:26: filters[0].headers.request.set.x: a header cannot h",
        ),
        ("request: {set: {x: 'a {b'}}", '5:26: filters[0].headers.request.set.x: a lone "{"'),
        (
            "request: {set: {x: '{nope}'}}",
            "5:26: filters[0].headers.request.set.x: there is no vari",
        ),
        ("request: {put: {}}", '5:17: filters[0].headers.request.put: unknown key "put"'),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert [str(f).removeprefix("f.yaml:")[: len(fault)] for f in faults] == [fault]


def test_the_data_plane_takes_what_is_right():
    options = (
        "request: {set: {host: b, x: '{query.a}{header.X}{cookie.c}{param.d}'}, add: {y: [1, 2]}}"
    )
    compile_snapshot(loads(BASE + options), SnapshotBuilder(), {})
