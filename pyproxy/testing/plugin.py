"""Fixtures for pytest: installed with pyproxy, there is nothing to import.

def test_it(pyproxy_proxy, pyproxy_origin):
    origin = pyproxy_origin("hello")
    proxy = pyproxy_proxy({
        "upstreams": {"app": {"endpoints": origin.address}}, "routes": [{"upstream": "app"}],
    })
    assert httpx.get(proxy.url).text == "hello"
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyproxy.testing import Origin, Proxy

__all__ = ["pyproxy_origin", "pyproxy_proxy"]


@pytest.fixture
def pyproxy_proxy() -> Iterator[Callable[..., Proxy]]:
    """Starts a `pyproxy.testing.Proxy` with the arguments that it is called with.

    All are ended after the test.
    """
    from pyproxy.testing import Proxy

    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(Proxy(*args, **options))


@pytest.fixture
def pyproxy_origin() -> Iterator[Callable[..., Origin]]:
    """Starts a `pyproxy.testing.Origin` with the arguments that it is called with.

    All are ended after the test.
    """
    from pyproxy.testing import Origin

    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(Origin(*args, **options))
