"""The Python filter that is measured against nginx with Lua (see LUA in peers/nginx.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyproxy import Filter

if TYPE_CHECKING:
    from pyproxy._engine import Exchange


class Stamp(Filter):
    """Reads a request header, sets a request header, sets a response header."""

    def request(self, exchange: Exchange) -> None:
        user = exchange.request.headers.get("x-user")
        if user is not None:
            exchange.request.headers["x-bench-user"] = user

    def response(self, exchange: Exchange) -> None:
        exchange.response.headers["x-bench"] = "1"
