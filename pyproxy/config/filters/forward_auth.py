"""Asking another service who may go on."""

from typing import Annotated, ClassVar, Literal
from urllib.parse import urlsplit

from msgspec import Meta, field

from pyproxy.config.faults import Report, is_token
from pyproxy.config.filters.headers import OURS
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.filters.places import check_header_name
from pyproxy.config.section import Section
from pyproxy.config.units import Duration, Size

__all__ = ["ForwardAuthFilter", "ForwardedBody"]


class ForwardedBody(Section, frozen=True, kw_only=True):
    """The body of requests, for the service to see. One word stands for `{max: word}`."""

    shorthand: ClassVar[str] = "max"

    max: Annotated[
        Size,
        Meta(ge=1, le=16 * 2**20, description="Most bytes; a longer one is answered with 413."),
    ]


class ForwardAuthFilter(FilterKind, frozen=True, kw_only=True):
    """Asks a service of yours over HTTP whether a request may go on.

    For each request the service gets a GET without the body: `x-forwarded-method`,
    `x-forwarded-proto`, `x-forwarded-host`, `x-forwarded-uri` and `x-forwarded-for` say what is
    asked for, and `request_headers` are those of the client. An answer of 2xx lets the request go
    on, with the `upstream_headers` of the answer (and never with the client's of these names).
    Other answers below 500 (401, 403, a redirect to a login...) are what the client gets, with
    `client_headers` and the body, up to 64 KiB. No answer in time, or one of 5xx, is an error:
    `on_error` says what becomes of the request.

    With `body`, the service gets a POST with the whole body of the request, its `content-type` and
    `content-encoding`. Bodies of all requests of the routes that have the filter are collected
    first, before any filter looks at a request, also where a `when` does not hold; longer ones than
    `max` are refused, never sent in part. Routes that take larger ones replace the filter by one of
    its name without `body`.

    The worker serves others meanwhile; connections to the service are kept open.
    """

    default_priority: ClassVar[int] = 5200
    python_class: ClassVar[str] = "pyproxy.filters.forward_auth:ForwardAuth"
    example: ClassVar[str] = """\
- forward_auth:
    url: http://127.0.0.1:9001/verify
    request_headers: [authorization, cookie]
    upstream_headers: [x-user, x-roles]
    timeout: 500ms
"""

    url: Annotated[
        str,
        Meta(description="Whom to ask.", examples=["http://auth.internal:9001/verify"]),
    ]
    request_headers: Annotated[
        tuple[str, ...], Meta(description="Headers of the client's that the service gets.")
    ] = ("authorization", "cookie")
    upstream_headers: Annotated[
        tuple[str, ...], Meta(description="Headers of a 2xx answer that the endpoint gets.")
    ] = ()
    client_headers: Annotated[
        tuple[str, ...], Meta(description="Headers of a refusal that the client gets.")
    ] = ("www-authenticate", "location", "set-cookie")
    success_headers: Annotated[
        tuple[str, ...],
        Meta(
            description="Headers of a 2xx answer that the client gets with the response.",
            examples=[["set-cookie"]],
        ),
    ] = ()
    timeout_ms: Annotated[
        Duration, Meta(ge=1, le=25_000, description="How long the whole answer may take.")
    ] = field(name="timeout", default=1_000)
    on_error: Annotated[
        Literal["deny", "allow"],
        Meta(description="What becomes of requests that the service gives no answer for."),
    ] = "deny"
    status_on_error: Annotated[
        int, Meta(ge=400, le=599, description="What the client gets when that is `deny`.")
    ] = 503
    body: Annotated[
        ForwardedBody | None,
        Meta(
            description="Send the body along, up to so many bytes. Absent: it is not waited for.",
            examples=["8KiB", {"max": "64KiB"}],
        ),
    ] = None
    max_connections: Annotated[
        int, Meta(ge=1, le=10_000, description="Connections of each worker to the service.")
    ] = 100

    def check(self, report: Report, path: str) -> None:
        """Is there somebody to ask, and can the headers be passed on?"""
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or not self.url.isascii() or not self.url.isprintable() or " " in self.url:
            cure = "write http://HOST:PORT/PATH"
            report.add(self, "url", f'"{self.url}" is not a URL to ask', cure, path=path)
        for i, name in enumerate(self.upstream_headers):
            check_header_name(self, ("upstream_headers", i), name, report, path)
        for key in ("request_headers", "client_headers", "success_headers"):
            for i, name in enumerate(getattr(self, key)):
                if not is_token(name) or name.lower() in OURS:
                    message = f'"{name}" is no header that can be passed on'
                    report.add(self, (key, i), message, path=path)
