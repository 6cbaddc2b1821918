"""pyproxy: a reverse proxy and API gateway for people who write Python."""

from typing import TYPE_CHECKING, Any

from pyproxy._version import __version__

if TYPE_CHECKING:
    from pyproxy._engine import Exchange, ExchangeOver
    from pyproxy.errors import ConfigError, PyproxyError, StartError
    from pyproxy.filters.base import Filter, Reply
    from pyproxy.program import Proxy

__all__ = [
    "ConfigError",
    "Exchange",
    "ExchangeOver",
    "Filter",
    "Proxy",
    "PyproxyError",
    "Reply",
    "StartError",
    "__version__",
]

# Looked up on first use: a process that needs one of them must not pay for the others.
_HOMES = {
    "ConfigError": "pyproxy.errors",
    "Exchange": "pyproxy._engine",
    "ExchangeOver": "pyproxy._engine",
    "Filter": "pyproxy.filters.base",
    "Proxy": "pyproxy.program",
    "PyproxyError": "pyproxy.errors",
    "Reply": "pyproxy.filters.base",
    "StartError": "pyproxy.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
