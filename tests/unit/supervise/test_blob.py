"""Configurations in memory that is passed on."""

from __future__ import annotations

import gc
import os

import pytest

from pyproxy.config.load import loads
from pyproxy.config.nodes import NOWHERE
from pyproxy.supervise import blob
from testenv.certificates import certificates

TEXT = 'listeners: {web: {bind: "127.0.0.1:0"}}\nupstreams: {u: {endpoints: ["127.0.0.1:1"]}}\n'


def config_of(routes: int):
    rows = "".join(
        f"  - {{name: r{i}, match: {{path: /{i}}}, upstream: u}}\n" for i in range(routes)
    )
    return loads(f"{TEXT}routes:\n{rows}")


def test_what_is_unpacked_is_what_was_packed() -> None:
    for routes in (1, 16, 17, 100):
        config = config_of(routes)
        fd = blob.pack(config)
        try:
            assert blob.unpack(fd) == config
            assert blob.unpack(fd) == config  # it can be read again
        finally:
            os.close(fd)


def test_certificates_stay_with_their_listeners() -> None:
    pair = certificates().server
    one = f"{{cert: {pair.cert}, key: {pair.key}}}"
    many = ", ".join(f"{{cert: {pair.cert}, key: {pair.key}, hosts: h{i}.test}}" for i in range(40))
    config = loads(
        f"listeners: {{a: {{bind: '127.0.0.1:0', tls: {{certificates: [{many}]}}}}, "
        f"b: {{bind: '127.0.0.1:0', tls: {one}}}, c: {{bind: '127.0.0.1:0'}}}}\n"
        "routes: [{respond: {}}]\n"
    )
    fd = blob.pack(config)
    try:
        assert blob.unpack(fd) == config
        assert len(list(blob.unpack_steps(fd))) == 3 + 1 + 1 + 1
    finally:
        os.close(fd)


def test_it_can_be_unpacked_in_small_steps() -> None:
    config = config_of(100)
    fd = blob.pack(config)
    try:
        steps = list(blob.unpack_steps(fd))
    finally:
        os.close(fd)
    assert steps[:-1] == [None] * 7
    assert steps[-1] == config


def test_places_stay_behind() -> None:
    config = config_of(3)
    fd = blob.pack(config)
    try:
        size, unpacked = os.fstat(fd).st_size, blob.unpack(fd)
    finally:
        os.close(fd)
    assert config.routes[0].place is not NOWHERE
    assert unpacked.routes[0].place is NOWHERE
    assert size < 8_000


def test_the_collector_is_on_afterwards() -> None:
    fd = blob.pack(config_of(1))
    try:
        blob.unpack(fd)
    finally:
        os.close(fd)
    assert gc.isenabled()


def test_nobody_can_change_it_on_the_way() -> None:
    fd = blob.pack(config_of(1))
    try:
        for change in (lambda: os.pwrite(fd, b"x", 0), lambda: os.ftruncate(fd, 1)):
            with pytest.raises(PermissionError):
                change()
    finally:
        os.close(fd)
