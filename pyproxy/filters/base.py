"""The filter interface: phases, replies, and the base class that filters derive from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

if TYPE_CHECKING:
    from pyproxy._engine import Exchange

__all__ = ["PHASES", "Filter", "Reply"]

#: Every phase, in the order in which an exchange goes through them.
PHASES = (
    "early_request",
    "request",
    "request_body",
    "upstream_peer",
    "upstream_request",
    "connected",
    "connect_failed",
    "upstream_response",
    "response",
    "response_body",
    "response_trailers",
    "proxy_error",
    "log",
)


class Reply:
    """An answer of the filter's own: returned from a phase, it ends the exchange's way upstream.

    `headers` is a mapping or an iterable of pairs. A `str` body is sent as UTF-8 and, unless the
    headers say otherwise, as `text/plain; charset=utf-8`. Raises `ValueError` for a status outside
    200-599.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        body: bytes | str = b"",
    ) -> None:
        if not 200 <= status <= 599:
            raise ValueError(f"status {status} is not one a reply can have (200-599)")
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        if isinstance(body, str):
            body = body.encode()
            if not any(name.lower() == "content-type" for name, _ in pairs):
                pairs.append(("Content-Type", "text/plain; charset=utf-8"))
        self.status = status
        self.headers = pairs
        self.body = body

    def __repr__(self) -> str:
        return f"Reply({self.status}, headers={self.headers!r}, body=<{len(self.body)} bytes>)"


class Filter:
    """Base class of filters. Define the phases you need, sync or async; the others cost nothing.

    One instance is made per use in the configuration and worker, so attributes are shared by every
    exchange of that route; what belongs to one exchange goes into `exchange.state`.

    A phase gets the exchange and returns None to go on or a `Reply` to answer. An exception becomes
    a 500 and a log line with its traceback. Special cases:

    * ``request_body(exchange, chunk, last)`` and ``response_body(exchange, chunk, last)`` see the
      body piece by piece and return the bytes that go on in its place; None: unchanged. With
      `buffer_request_body` (or `buffer_response_body`) set to a number of bytes they see the whole
      body at once; a longer one is answered with 413 (502).
    * ``upstream_peer(exchange)`` may return the address to connect to: ``"10.0.0.7:80"``,
      ``"[::1]:80"`` or ``"unix:/path"``.
    * ``early_request(exchange)`` runs before routing, and only for global filters.
    * ``response(exchange)`` also sees the proxy's own answers; ``upstream_response`` does not.
    * ``log(exchange)`` runs for every exchange, whatever happened.

    An async phase makes its exchange wait, not the worker, for at most the `timeout` of its use in
    the configuration.
    """

    class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        """The filter's configuration; override it with a struct that has fields."""

    #: Collect whole bodies for the body phases, up to so many bytes; 0: piece by piece.
    buffer_request_body: ClassVar[int] = 0
    buffer_response_body: ClassVar[int] = 0

    #: Collect the request's body, up to so many bytes (413 beyond), before the phase `request` of
    #: any filter of the route: it is `exchange.request.body` then. 0: do not wait for it.
    body_before_request: ClassVar[int] = 0

    #: Filters of higher priority run earlier, unless the configuration says otherwise.
    default_priority: ClassVar[int] = 0

    config: Any

    def __init__(self, config: Any = None) -> None:
        self.config = self.Config() if config is None else config

    if TYPE_CHECKING:
        # Not defined at run time: a phase that a filter lacks must cost nothing.
        def early_request(self, exchange: Exchange) -> Any: ...
        def request(self, exchange: Exchange) -> Any: ...
        def request_body(self, exchange: Exchange, chunk: bytes, last: bool) -> Any: ...
        def upstream_peer(self, exchange: Exchange) -> Any: ...
        def upstream_request(self, exchange: Exchange) -> Any: ...
        def connected(self, exchange: Exchange) -> Any: ...
        def connect_failed(self, exchange: Exchange) -> Any: ...
        def upstream_response(self, exchange: Exchange) -> Any: ...
        def response(self, exchange: Exchange) -> Any: ...
        def response_body(self, exchange: Exchange, chunk: bytes, last: bool) -> Any: ...
        def response_trailers(self, exchange: Exchange) -> Any: ...
        def proxy_error(self, exchange: Exchange) -> Any: ...
        def log(self, exchange: Exchange) -> Any: ...


def bound_phases(instance: object) -> dict[str, Any]:
    """The phases that `instance` defines: name -> bound callable."""
    found = ((phase, getattr(instance, phase, None)) for phase in PHASES)
    return {phase: method for phase, method in found if callable(method)}
