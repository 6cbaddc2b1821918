"""What happens before the first fork."""

from __future__ import annotations

import os
import time

import pytest

from pyproxy._wire import StatSegment
from pyproxy.config.load import loads
from pyproxy.errors import StartError
from pyproxy.supervise import counters
from pyproxy.supervise.launch import bind_point, process_start_time


@pytest.mark.parametrize(
    ("address", "fields"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80, "", "")),
        ("[::1]:0", ("::1", 0, "", "")),
        ("unix:/run/x.sock", ("", 0, "/run/x.sock", "")),
        ("fd:web", ("", 0, "", "web")),
    ],
)
def test_addresses_are_taken_apart(address, fields) -> None:
    point = bind_point("web", address, 0o660)
    assert (point.host, point.port, point.path, point.fd_name) == fields


def test_an_address_that_is_none_is_an_error() -> None:
    with pytest.raises(StartError, match="admin"):
        bind_point("admin", "localhost", 0o660)


def test_the_start_time_is_that_of_the_process() -> None:
    assert process_start_time() <= time.time()
    assert process_start_time() > time.time() - os.times().elapsed
    assert abs(process_start_time() - process_start_time()) < 1


def test_everything_that_is_counted_has_its_record() -> None:
    config = loads("""
        listeners: {web: {bind: "127.0.0.1:0"}}
        upstreams: {app: {endpoints: ["127.0.0.1:1", "127.0.0.1:2"]}}
        routes: [{upstream: app}, {name: x, match: {path: /x}, respond: {}}]
    """)
    segment = StatSegment.open(counters.make(config, 3))
    records = {(kind, name) for kind, name, _, _ in segment.records()}
    assert segment.slots == 3
    assert records >= {
        ("worker", ""),
        ("listener", "web"),
        ("route", "route-0"),
        ("route", "x"),
        ("upstream", "app"),
        ("endpoint", "app/127.0.0.1:2"),
        *((kind, "-") for kind in ("listener", "route", "upstream", "endpoint")),
    }


def test_a_segment_has_room_for_many_long_names() -> None:
    routes = "".join(
        f"  - {{name: {'n' * 50}-{i}, match: {{path: /{i}}}, respond: {{}}}}\n" for i in range(500)
    )
    config = loads('listeners: {web: {bind: "127.0.0.1:0"}}\nroutes:\n' + routes)
    segment = StatSegment.open(counters.make(config, 2))
    assert sum(kind == "route" for kind, *_ in segment.records()) == 501
