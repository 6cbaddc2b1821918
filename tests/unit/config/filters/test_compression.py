"""The options of the filter `compression`."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.load import inspect_texts, loads

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\n"
    "filters:\n  - compression:\n      "
)
AT = "filters[0].compression."


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("codings: []", f"{AT}codings"),
        ("codings: [deflate]", f"{AT}codings[0]"),
        ("codings: [gzip, br, gzip]", f'{AT}codings[2]: "gzip" is named twice'),
        ("types: [text]", f'{AT}types[0]: "text" is not a media type'),
        ("types: [text/html, 't*xt/html']", f'{AT}types[1]: "t*xt/html" is not a media type'),
        ("types: ['text/html; charset=x']", f"{AT}types[0]: "),
        ("min_length: -1", f"{AT}min_length"),
        ("gzip: {level: 0}", f"{AT}gzip.level"),
        ("gzip: {level: 10}", f"{AT}gzip.level"),
        ("gzip: {window: 16}", f"{AT}gzip.window"),
        ("br: {level: 7}", f"{AT}br.level"),
        ("br: {window: 9}", f"{AT}br.window"),
        ("zstd: {level: 13}", f"{AT}zstd.level"),
        ("zstd: {windows: 15}", f"{AT}zstd.windows: unknown key"),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert len(faults) == 1
    place, _, said = str(faults[0]).removeprefix("f.yaml:").partition(": ")
    assert place.startswith("5:")
    assert said.startswith(fault)


@pytest.mark.parametrize(
    "options",
    [
        "{}",
        "codings: [br]",
        "types: ['*', '*+json', text/*, a/b]",
        "min_length: 0",
        "gzip: {level: 9, window: 10}",
        "br: {level: 6, window: 20}",
        "zstd: {level: 12, window: 20}",
    ],
)
def test_the_data_plane_takes_what_is_right(options):
    compile_snapshot(loads(BASE + options), SnapshotBuilder(), {})
