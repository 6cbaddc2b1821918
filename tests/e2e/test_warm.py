"""Connections that are opened before a request needs them (`pool.warm`)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from testenv import Proxy, origin, running, wait_until
from testenv.certificates import certificates

PKI = certificates()


def config(endpoints: str, pool: str = "{warm: 3}", upstream: str = "") -> str:
    return f"""
workers: 1
admin: 127.0.0.1:0
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
upstreams: {{app: {{endpoints: [{endpoints}], pool: {pool}{upstream}}}}}
routes: [{{upstream: app}}]
"""


def total(proxy: Proxy, family: str) -> float:
    """The sum of a metric over its labels."""
    found = proxy.metrics().items()
    return sum(value for name, value in found if name.startswith(f"pyproxy_upstream_{family}"))


@contextlib.contextmanager
def nothing_more(proxy: Proxy) -> Iterator[None]:
    """No connection is opened in the block."""
    before = total(proxy, "connects_total")
    yield
    assert total(proxy, "connects_total") == before


def test_the_first_request_needs_no_new_connection() -> None:
    with origin() as app, running(config(f'"{app.address}"')) as proxy:
        wait_until(lambda: total(proxy, "connections_idle") == 3, "three connections wait")
        assert app.connections == 3
        with nothing_more(proxy):
            assert proxy.get("/").status == 200
        assert app.connections == 3


@pytest.mark.parametrize("pool", ["{}", "{warm: 0}"])
def test_without_the_option_none_is_opened(pool) -> None:
    with origin() as app, running(config(f'"{app.address}"', pool)) as proxy:
        assert proxy.get("/").status == 200
        assert app.connections == 1
        assert total(proxy, "connects_total") == 1


def test_handshakes_are_made_ahead() -> None:
    tls = f", tls: {{ca: {PKI.ca.cert}, server_name: app.test}}"
    with (
        origin(tls=PKI.server_context()) as app,
        running(config(f'"{app.address}"', upstream=tls)) as proxy,
    ):
        wait_until(lambda: total(proxy, "connections_idle") == 3, "three connections wait")
        assert total(proxy, "tls_handshakes_total") == 3
        with nothing_more(proxy):
            assert proxy.get("/").status == 200
        assert app.connections == 3


def test_an_endpoint_that_a_reload_adds_is_warmed() -> None:
    with origin() as old, origin() as new, running(config(f'"{old.address}"')) as proxy:
        wait_until(lambda: total(proxy, "connections_idle") == 3, "three connections wait")
        proxy.reload(config(f'"{old.address}", "{new.address}"'))
        wait_until(lambda: total(proxy, "connections_idle") == 6, "so many for the new one, too")
        assert (old.connections, new.connections) == (3, 3)


def test_an_endpoint_that_is_in_use_again_is_warmed() -> None:
    with origin() as app:
        drained = f'{{address: "{app.address}", drain: on}}'
        with running(config(drained)) as proxy:
            assert total(proxy, "connects_total") == 0
            done = proxy.ask("upstream", "app", app.address, "--state", "ready")
            assert done.returncode == 0, done.stderr
            wait_until(lambda: total(proxy, "connections_idle") == 3, "three connections wait")
            assert app.connections == 3


def test_an_endpoint_that_cannot_be_reached_is_not_stormed() -> None:
    with origin() as app:
        gone = app.address
    with running(config(f'"{gone}"')) as proxy:
        wait_until(lambda: total(proxy, "connect_failures_total") == 3, "all have failed")
        time.sleep(0.3)
        assert total(proxy, "connects_total") == 3
        assert proxy.get("/").status == 502
