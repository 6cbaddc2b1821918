"""The options of the filter `bandwidth_limit`."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.load import inspect_texts, loads

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n"
    "  - bandwidth_limit: "
)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("{}", "4:22: filters[0].bandwidth_limit: this filter limits nothing"),
        ("{key: host}", "4:22: filters[0].bandwidth_limit: this filter limits nothing"),
        ("{download: {rate: 0}}", "4:40: filters[0].bandwidth_limit.download.rate: nothing would"),
        ("{upload: {rate: unlimited}}", "4:38: filters[0].bandwidth_limit.upload.rate: nothing"),
        ("{upload: {rate: 1, burst: 0}}", "4:48: filters[0].bandwidth_limit.upload.burst: nothing"),
        ("{upload: {rate: 2TiB}}", "4:38: filters[0].bandwidth_limit.upload.rate: this is out of"),
        (
            "{upload: {rate: 1MiB, burst: 2GiB}}",
            "4:51: filters[0].bandwidth_limit.upload.burst: this is out of range; 1GiB at most",
        ),
        (
            "{upload: {rate: 1}, key: '{nope}'}",
            "4:47: filters[0].bandwidth_limit.key: there is no variable",
        ),
        (
            "{download: {rate: 1}, upload: {burst: 1}}",
            '4:52: filters[0].bandwidth_limit.upload: "rate" is missing',
        ),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert [str(f).removeprefix("f.yaml:")[: len(fault)] for f in faults] == [fault]


@pytest.mark.parametrize(
    "options",
    [
        "{download: {rate: 1}}",
        "{upload: {rate: 1TiB}}",
        "{upload: {rate: 1MiB, burst: 1GiB}, download: {rate: 5}, key: '{header.x-key} {path}'}",
    ],
)
def test_the_data_plane_takes_what_is_right(options):
    compile_snapshot(loads(BASE + options), SnapshotBuilder(), {})
