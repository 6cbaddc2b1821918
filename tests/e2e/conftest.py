"""What modules of bare-wire tests share: one proxy, the origin behind it, a client before it."""

from __future__ import annotations

from collections.abc import Iterator
from string import Template

import pytest

from testenv import Proxy, running
from testenv.raw import RawOrigin, Wire, dial, same_workers


@pytest.fixture(scope="module")
def shared(request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, RawOrigin]]:
    """A proxy with the module's `CONFIG`, in which $app is the address of the origin; and that."""
    config = Template(request.module.CONFIG)
    with (
        RawOrigin() as app,
        running(config.substitute(app=app.address)) as proxy,
        same_workers(proxy),
    ):
        yield proxy, app


@pytest.fixture
def app(shared: tuple[Proxy, RawOrigin]) -> Iterator[RawOrigin]:
    """The origin of `shared`; what is left of its connections is dropped after each test."""
    yield shared[1]
    shared[1].drop()


@pytest.fixture
def client(shared: tuple[Proxy, RawOrigin]) -> Iterator[Wire]:
    """A connection to the only, or first, listener of `shared`."""
    with dial(shared[0].port()) as wire:
        yield wire
