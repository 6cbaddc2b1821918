"""What a route matches, and what it does without an upstream or before one.

No `from __future__ import annotations`, as in `model`.
"""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.section import ONE_OR_NONE, Section

__all__ = ["Match", "Redirect", "Respond", "Rewrite"]


class Match(Section, frozen=True, kw_only=True):
    """Which requests a route takes."""

    host: Annotated[
        str | None,
        Meta(description="Short for `hosts` with one entry.", examples=["api.example.com"]),
    ] = None
    hosts: Annotated[
        tuple[str, ...],
        Meta(
            description="Host names without port, exact or `*.suffix`. Absent: any host.",
            examples=[["example.com", "*.example.com"]],
        ),
    ] = ()
    path: Annotated[
        str | None,
        Meta(description="Short for `paths` with one entry.", examples=["/v1/{user}/*rest"]),
    ] = None
    paths: Annotated[
        tuple[str, ...],
        Meta(
            description="`/a/b` exact; `{name}` one segment; `/a/*` or `/a/*rest` everything "
            "after `/a/`; "
            "`/a*` everything that begins with `/a`. Absent: every path.",
            examples=[["/", "/index.html"]],
        ),
    ] = ()
    methods: Annotated[
        tuple[str, ...],
        ONE_OR_NONE,
        Meta(description="Methods, in upper case. Absent: any.", examples=[["GET", "HEAD"]]),
    ] = ()

    @property
    def all_hosts(self) -> tuple[str, ...]:
        """The hosts, in lower case; empty: any."""
        hosts = self.hosts if self.host is None else (self.host,)
        return tuple(host.lower() for host in hosts)

    @property
    def all_paths(self) -> tuple[str, ...]:
        """The path patterns; never empty."""
        return self.paths or ("*" if self.path is None else self.path,)


class Respond(Section, frozen=True, kw_only=True):
    """An answer that needs no origin."""

    status: Annotated[int, Meta(ge=200, le=599, description="The status code.")] = 200
    headers: Annotated[
        dict[str, str | tuple[str, ...]],
        Meta(
            description="Header fields; a list gives a field several times. Content-Type is "
            "text/plain unless named.",
            examples=[{"content-type": "application/json"}],
        ),
    ] = field(default_factory=dict)
    body: Annotated[str, Meta(description="The body, sent as UTF-8.")] = ""


class Redirect(Section, frozen=True, kw_only=True):
    """An answer that sends the client elsewhere. One word stands for `{location: word}`."""

    shorthand: ClassVar[str] = "location"

    location: Annotated[
        str,
        Meta(
            description="The new place: a template of {scheme}, {host}, {path}, {query} and the "
            "captures of the path.",
            examples=["https://{host}{path}"],
        ),
    ]
    status: Annotated[Literal[301, 302, 303, 307, 308], Meta(description="The status code.")] = 302


class Rewrite(Section, frozen=True, kw_only=True):
    """What is changed in the request before it goes upstream."""

    path: Annotated[
        str | None,
        Meta(
            description="The new path: a template of {path} and the captures of the path. The "
            "query stays.",
            examples=["/{rest}", "/v2{path}"],
        ),
    ] = None
    host: Annotated[
        str | None,
        Meta(
            description="The new Host: a template of {host} and the captures. Absent: the "
            "client's.",
            examples=["app.internal"],
        ),
    ] = None
