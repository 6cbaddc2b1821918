"""The options of the filter `static`."""

import pytest

from pyproxy._engine import SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.filters.static import StaticFilter
from pyproxy.config.load import inspect_texts, loads

BASE = (
    "listeners: {w: {bind: '127.0.0.1:0'}}\nroutes: [{respond: {}}]\nfilters:\n  - static:\n      "
)
AT = "filters[0].static"


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("index: [a]", f'5:7: {AT}: "root" is missing'),
        ("root: /nowhere/at/all", f"5:13: {AT}.root: /nowhere/at/all does not exist"),
        ("root: /etc/passwd", f"5:13: {AT}.root: /etc/passwd is not a folder"),
        ('root: "/tmp\\0"', f"5:13: {AT}.root: "),
        ("{root: /tmp, strip_prefix: assets}", f'5:34: {AT}.strip_prefix: "assets" is not a path'),
        ("{root: /tmp, strip_prefix: /a//b}", f"5:34: {AT}.strip_prefix: "),
        ("{root: /tmp, index: [a.html, ../b]}", f'5:36: {AT}.index[1]: "../b" is not the name'),
        ("{root: /tmp, index: [/a]}", f'5:28: {AT}.index[0]: "/a" is not the name'),
        ("{root: /tmp, index: ['']}", f'5:28: {AT}.index[0]: "" is not the name'),
        ("{root: /tmp, fallback: /../x}", f'5:30: {AT}.fallback: "/../x" is not the path'),
        ("{root: /tmp, fallback: /}", f'5:30: {AT}.fallback: "/" is not the path'),
        ("{root: /tmp, precompressed: [deflate]}", f"5:36: {AT}.precompressed[0]: "),
        (
            "{root: /tmp, precompressed: [br, br]}",
            f"5:35: {AT}.precompressed: a coding is named twice",
        ),
        ('{root: /tmp, cache_control: "a\\nb"}', f"5:35: {AT}.cache_control: a header cannot"),
        ("{root: /tmp, types: {.x: a/b}}", f'5:32: {AT}.types.".x": ".x" is not an extension'),
        ("{root: /tmp, types: {x: text}}", f'5:31: {AT}.types.x: "text" is not a media type'),
        ("{root: /tmp, default_type: ' a/b'}", f"5:34: {AT}.default_type: "),
        ("{root: /tmp, next: 7}", f"5:26: {AT}.next: "),
    ],
)
def test_what_cannot_be_done_is_told_where_it_stands(options, fault):
    _, faults = inspect_texts([("f.yaml", BASE + options)])
    assert str(faults[0]).removeprefix("f.yaml:").startswith(fault)


def test_the_data_plane_takes_what_is_right(tmp_path):
    options = (
        f"{{root: '{tmp_path}', strip_prefix: /a/, index: [index.html, sub/index.htm],"
        " fallback: /app/index.html, next: true, precompressed: [zstd, br, gzip],"
        " cache_control: no-cache, types: {x: a/b; charset=c}, default_type: '', hidden: true}"
    )
    compile_snapshot(loads(BASE + options), SnapshotBuilder(), {})


def test_a_root_is_beneath_the_configurations_folder(tmp_path):
    (tmp_path / "www").mkdir()
    text = BASE + "{root: www, strip_prefix: /a/, fallback: /b}"
    config, faults = inspect_texts([(str(tmp_path / "proxy.yaml"), text)])
    assert faults == []
    options = config.filters[0].options
    assert isinstance(options, StaticFilter)
    made = options.options()
    assert (made["root"], made["strip_prefix"], made["fallback"]) == (
        str(tmp_path / "www"),
        "/a",
        "b",
    )
