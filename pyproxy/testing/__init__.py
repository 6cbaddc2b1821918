"""For tests of filters and configurations.

    from pyproxy.testing import Origin, Proxy, drive

    def test_the_filter() -> None:                     # no process, no port: the engine in here
        done = drive(Audit(Audit.Config()), headers={"x-user": "ann"})
        assert done.status == 200
        assert done.sent.headers["x-audit"] == "ann"

    def test_the_service() -> None:                    # real processes, a free port
        with Origin("hello") as origin, Proxy({
            "upstreams": {"app": {"endpoints": origin.address}},
            "routes": [{"upstream": "app", "filters": [{"python": {"use": "audit:Audit"}}]}],
        }) as proxy:
            assert httpx.get(proxy.url, headers={"x-user": "ann"}).text == "hello"

`drive` shows one exchange to filters in the engine that serves in production, and tells what they
did with it; `Driver` is the same for several. `Origin` is a server that answers what the test says.
`Proxy` runs `pyproxy` with a configuration. Under pytest, `pyproxy_proxy` and `pyproxy_origin` are
fixtures that make these and end them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyproxy.filters.base import Reply
    from pyproxy.testing.driver import Done, Driver, drive
    from pyproxy.testing.fields import Fields
    from pyproxy.testing.origin import Answer, Origin, OriginRequest
    from pyproxy.testing.proxy import Proxy
    from pyproxy.testing.recorder import Call

__all__ = [
    "Answer",
    "Call",
    "Done",
    "Driver",
    "Fields",
    "Origin",
    "OriginRequest",
    "Proxy",
    "Reply",
    "drive",
]

# Looked up on first use: who only needs a server does not load the engine.
_HOMES = {
    "Answer": "pyproxy.testing.origin",
    "Call": "pyproxy.testing.recorder",
    "Done": "pyproxy.testing.driver",
    "Driver": "pyproxy.testing.driver",
    "Fields": "pyproxy.testing.fields",
    "Origin": "pyproxy.testing.origin",
    "OriginRequest": "pyproxy.testing.origin",
    "Proxy": "pyproxy.testing.proxy",
    "Reply": "pyproxy.filters.base",
    "drive": "pyproxy.testing.driver",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
