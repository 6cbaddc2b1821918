"""The filter `forward_auth`."""

from __future__ import annotations

import asyncio
import time
import weakref
from typing import TYPE_CHECKING, NamedTuple

import httpx

from pyproxy import log
from pyproxy.config.filters.forward_auth import ForwardAuthFilter
from pyproxy.filters.base import Filter, Reply
from pyproxy.filters.credentials import failure

if TYPE_CHECKING:
    from pyproxy._engine import Exchange

MAX_BODY = 64 * 1024
_SUCCESS = "forward_auth.success"
_BODY_FIELDS = ("content-type", "content-encoding")
_Fields = list[tuple[bytes, bytes]]


class _Answer(NamedTuple):
    status: int
    fields: _Fields
    body: bytes

    def values(self, name: str) -> list[bytes]:
        """Of the fields of that name."""
        wanted = name.lower().encode()
        return [value for key, value in self.fields if key.lower() == wanted]


class ForwardAuth(Filter):
    """Whom the service lets in may go on."""

    config: ForwardAuthFilter

    def __init__(self, config: ForwardAuthFilter) -> None:
        super().__init__(config)
        self._url = httpx.URL(config.url)
        self._transport: httpx.AsyncHTTPTransport | None = None
        self._quiet_until = 0.0
        if config.body is not None:
            vars(self).update(body_before_request=config.body.max)
        if config.success_headers:
            # A phase only where it is needed.
            vars(self).update(response=self._add_success)

    async def request(self, exchange: Exchange) -> Reply | None:
        config = self.config
        body = b""
        if config.body is not None:
            body = exchange.request.body or b""
            if len(body) > config.body.max:  # another filter takes more
                return failure(413, "body_too_large")
        try:
            async with asyncio.timeout(config.timeout_ms / 1000):
                answer = await self._ask(self._fields_of(exchange), body)
            if answer.status >= 500:
                raise httpx.TransportError(f"answered with {answer.status}")
        except (httpx.HTTPError, TimeoutError, OSError) as error:
            self._report(str(error) or type(error).__name__)
            if config.on_error == "deny":
                return failure(config.status_on_error, "authorization_unavailable")
            self._tell(exchange, None)
            return None
        if not 200 <= answer.status < 300:
            return self._refuse(answer)
        self._tell(exchange, answer)
        if config.success_headers:
            exchange.state[_SUCCESS] = self._picked(answer, config.success_headers)
        return None

    def _report(self, why: str) -> None:
        """Tell it once a second: a service that is gone is for every request."""
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + 1
            log.get("filters").warning("forward_auth: %s: %s", self.config.url, why)

    def _add_success(self, exchange: Exchange) -> None:
        for name, value in exchange.state.get(_SUCCESS, ()):
            exchange.response.headers.add(name, value)

    def _fields_of(self, exchange: Exchange) -> _Fields:
        request = exchange.request
        fields = [
            (b"host", self._url.netloc),
            (b"accept-encoding", b"identity"),
            (b"x-forwarded-method", request.method.encode("latin-1")),
            (b"x-forwarded-proto", request.scheme.encode("latin-1")),
            (b"x-forwarded-host", request.host.encode("latin-1")),
            (b"x-forwarded-uri", request.target.encode("latin-1")),
            (b"x-forwarded-for", exchange.client_address.encode("latin-1")),
        ]
        names = self.config.request_headers
        if self.config.body is not None:
            names += _BODY_FIELDS
        for name in dict.fromkeys(name.lower() for name in names):
            values = request.headers.get_all(name)
            fields.extend((name.encode(), value.encode("latin-1")) for value in values)
        return fields

    async def _ask(self, fields: _Fields, shown: bytes) -> _Answer:
        # The transport alone: no cookies are kept (they are other people's), nothing is followed.
        if self._transport is None:
            self._transport = self._opened()
        if self.config.body is None:
            request = httpx.Request("GET", self._url, headers=fields)
        else:
            request = httpx.Request("POST", self._url, headers=fields, content=shown)
        response = await self._transport.handle_async_request(request)
        try:
            body = bytearray()
            async for piece in response.aiter_raw():
                body += piece
                if len(body) > MAX_BODY:
                    raise httpx.TransportError("answered with too much")
            return _Answer(response.status_code, response.headers.raw, bytes(body))
        finally:
            await response.aclose()

    def _opened(self) -> httpx.AsyncHTTPTransport:
        many = self.config.max_connections
        limits = httpx.Limits(max_connections=many, max_keepalive_connections=many)
        transport = httpx.AsyncHTTPTransport(limits=limits, trust_env=False)
        weakref.finalize(self, _close, asyncio.get_running_loop(), transport).atexit = False
        return transport

    def _tell(self, exchange: Exchange, answer: _Answer | None) -> None:
        """Give the endpoint the fields of the answer, and none of the client's of that name."""
        headers = exchange.request.headers
        for name in self.config.upstream_headers:
            values = answer.values(name) if answer is not None else []
            if values:
                headers[name] = b", ".join(values)
            else:
                headers.pop_all(name)

    def _refuse(self, answer: _Answer) -> Reply:
        status = 403 if answer.status < 300 or answer.status == 304 else answer.status
        fields = self._picked(answer, (*self.config.client_headers, "content-type"))
        return Reply(status, fields, answer.body)

    @staticmethod
    def _picked(answer: _Answer, names: tuple[str, ...]) -> list[tuple[str, str]]:
        once = dict.fromkeys(name.lower() for name in names)
        return [(n, value.decode("latin-1")) for n in once for value in answer.values(n)]


def _close(loop: asyncio.AbstractEventLoop, transport: httpx.AsyncHTTPTransport) -> None:
    """The filter is gone: so go its connections."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(lambda: loop.create_task(transport.aclose()))
