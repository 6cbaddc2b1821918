"""The options of the filter `decompression`."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.load import inspect_texts, loads

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\n"
    "filters:\n  - decompression:\n      "
)
AT = "filters[0].decompression."


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("responses: off", f"{AT}responses: neither requests nor responses"),
        ("max_ratio: 0", f"{AT}max_ratio"),
        ("max_size: 0", f"{AT}max_size"),
        ("max_size: ten", f"{AT}max_size"),
        ("codings: [gzip]", f"{AT}codings: unknown key"),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert len(faults) == 1
    assert str(faults[0]).partition(": ")[2].startswith(fault)


@pytest.mark.parametrize(
    "options", ["{}", "requests: on", "{responses: off, requests: on}", "max_ratio: 1"]
)
def test_the_data_plane_takes_what_is_right(options):
    compile_snapshot(loads(BASE + options), SnapshotBuilder(), {})
