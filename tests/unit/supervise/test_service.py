"""What a generation is made of."""

from __future__ import annotations

import os
import time

import pytest

from pyproxy.errors import StartError
from pyproxy.supervise.service import bind_point, process_start_time


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
