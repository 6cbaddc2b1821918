"""Requests that other sites make in their visitors' names."""

import re
from typing import Annotated, ClassVar

from msgspec import Meta, field

from pyproxy.config.faults import Report, is_token
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.units import Duration

__all__ = ["CsrfFilter"]

_ORIGIN = re.compile(
    r"https?://(?:\*\.)?[a-z0-9_.-]+(?::[1-9]\d{0,4})?|https?://\[[0-9a-f:.]+\](?::\d+)?"
)
_SHORTEST_SECRET = 32


class CsrfFilter(FilterKind, frozen=True, kw_only=True):
    """Refuses requests that another site makes in the name of its visitor.

    Requests that may change something (all methods but GET, HEAD, OPTIONS and TRACE) must come
    from a page of the host that they are for, or of one of `origins`. Browsers say that in
    `Sec-Fetch-Site` and `Origin`, older ones in `Referer`; requests that have none of them are
    refused as well, unless `allow_missing` lets in programs, which are no browsers. Others get 403.

    With `token_secret` such requests must show a token as well, both in the cookie `token_cookie`
    and in the header `token_header`, which pages of other sites cannot read (double submit). The
    cookie is handed out with the responses to requests that have no good one.
    """

    default_priority: ClassVar[int] = 6000
    python_class: ClassVar[str] = "pyproxy.filters.csrf:Csrf"
    example: ClassVar[str] = """\
- csrf:
    origins: [https://app.example, "https://*.shop.example"]
"""

    origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Other origins whose pages may make requests, in lower case; `*.` stands "
            "for any names in front.",
            examples=[["https://app.example"]],
        ),
    ] = ()
    allow_missing: Annotated[
        bool, Meta(description="Let in requests that do not say where they come from.")
    ] = False
    token_secret: Annotated[
        str,
        Meta(description="What tokens are signed with, the same on all machines. Empty: none."),
    ] = ""
    token_cookie: Annotated[str, Meta(description="The cookie of the token.")] = "csrf-token"
    token_header: Annotated[str, Meta(description="The header of the token.")] = "x-csrf-token"
    token_lifetime_ms: Annotated[Duration, Meta(description="How long a token is good.")] = field(
        name="token_lifetime", default=7_200_000
    )

    def check(self, report: Report, path: str) -> None:
        """Are the origins some, and is the secret one?"""
        for i, origin in enumerate(self.origins):
            if _ORIGIN.fullmatch(origin) is None:
                message = f'"{origin}" is not an origin'
                cure = "write scheme and host, such as https://app.example"
                report.add(self, ("origins", i), message, cure, path=path)
        if self.token_secret and len(self.token_secret.encode()) < _SHORTEST_SECRET:
            cure = "it takes 32 bytes"
            report.add(self, "token_secret", "a secret that short can be guessed", cure, path=path)
        for key in ("token_cookie", "token_header"):
            name = getattr(self, key)
            if not is_token(name):
                report.add(self, key, f'"{name}" cannot be its name', path=path)
        if not self.token_lifetime_ms:
            cure = "give it a time"
            report.add(self, "token_lifetime", "no token would be good", cure, path=path)
