"""The options of the filter `mirror`."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.load import inspect_texts, loads

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nupstreams: {copy: {endpoints: '127.0.0.1:1'}}\n"
    "routes:\n  - respond: {}\n    filters:\n      - mirror:\n          "
)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("{}", '7:11: routes[0].filters[0].mirror: "upstream" is missing'),
        (
            "upstream: cpoy",
            '7:21: routes[0].filters[0].mirror.upstream: there is no upstream named "cpoy"; did',
        ),
        ("{upstream: copy, percent: 101}", "7:37: routes[0].filters[0].mirror.percent: "),
        ("{upstream: copy, max_concurrent: 0}", "7:44: routes[0].filters[0].mirror.max_conc"),
        ("{upstream: copy, timeout: 0}", "7:37: routes[0].filters[0].mirror.timeout: "),
        ("{upstream: copy, max_body: 3GiB}", "7:38: routes[0].filters[0].mirror.max_body: this is"),
        ("{upstream: copy, host_suffix: a b}", '7:41: routes[0].filters[0].mirror.host_suffix: "a'),
        (
            "{upstream: copy, headers: {set: {te: x}}}",
            "7:48: routes[0].filters[0].mirror.headers.set.te: the proxy writes",
        ),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert [str(f).removeprefix("f.yaml:")[: len(fault)] for f in faults] == [fault]


def test_the_data_plane_takes_what_is_right():
    options = "{upstream: copy, percent: 0.5, max_body: 0, host_suffix: -s, headers: {remove: [a]}}"
    compile_snapshot(loads(BASE + options), SnapshotBuilder(), {})
