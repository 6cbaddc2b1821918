"""The options of the filter `response_rewrite`."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.load import inspect_texts, loads

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n"
    "  - response_rewrite:\n      "
)
AT = "filters[0].response_rewrite"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("set_status: 204", f"5:19: {AT}.set_status: a response with status 204 has no body"),
        ("set_status: 100", f"5:19: {AT}.set_status: "),
        ("status: [200, 6xx]", f'5:21: {AT}.status[1]: "6xx" is not a status'),
        ("headers: {set: {te: x}}", f'5:27: {AT}.headers.set.te: the proxy writes "te" itself'),
        ('type: "a\\nb"', f"5:13: {AT}.type: a header cannot hold"),
        ("{body: a, replace: [{text: b}]}", f"5:26: {AT}.replace: the whole body is replaced"),
        ("replace: [{with: b}]", f"5:17: {AT}.replace[0]: what is looked for is either"),
        ("replace: [{text: a, regex: b}]", f"5:17: {AT}.replace[0]: what is looked for is either"),
        ("replace: [{text: ''}]", f"5:24: {AT}.replace[0].text: a text that is looked for has 1"),
        ("replace: [{regex: ''}]", f"5:25: {AT}.replace[0].regex: "),
        (
            "replace: [{regex: a, with: 'x\\n'}]",
            f'5:34: {AT}.replace[0].with: "\\n" stands for nothing; write \\0 to \\9',
        ),
        ("limit: 17MiB", f"5:14: {AT}.limit: "),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert [str(f).removeprefix("f.yaml:")[: len(fault)] for f in faults] == [fault]


def test_the_data_plane_takes_what_is_right():
    options = (
        "{status: [2xx, 404], set_status: 201, headers: {add: {x: '{host}'}}, limit: 2MiB,"
        " replace: [{text: a, with: '{path}'}, {regex: '(b)', with: '\\1\\\\{nope}'}]}"
    )
    compile_snapshot(loads(BASE + options), SnapshotBuilder(), {})
