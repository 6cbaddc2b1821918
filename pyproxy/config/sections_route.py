"""What a route matches, and what it does without an upstream or before one.

No `from __future__ import annotations`, as in `model`.
"""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.section import ONE_OR_NONE, Section
from pyproxy.config.sections_match import Condition, Test, plain_condition
from pyproxy.expressions import program

__all__ = ["Match", "Redirect", "Respond", "Rewrite"]

_Tests = dict[str, tuple[str, ...] | Test]


def _plain(tests: dict[str, tuple[str, ...] | Test]) -> dict[str, Any]:
    return {name: plain_condition(test) for name, test in tests.items()}


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
    clients: Annotated[
        tuple[str, ...],
        ONE_OR_NONE,
        Meta(
            description="Addresses and ranges of clients. Absent: any.",
            examples=[["10.0.0.0/8", "fe80:fe80::/64"]],
        ),
    ] = ()
    headers: Annotated[
        _Tests,
        Meta(
            description="What headers must be: a value, a list of which it is one, or a test.",
            examples=[{"x-version": {"regex": "^v[12]$"}}],
        ),
    ] = field(default_factory=dict)
    query: Annotated[
        _Tests,
        Meta(
            description="What arguments of the query must be, likewise.",
            examples=[{"name": "jack"}],
        ),
    ] = field(default_factory=dict)
    cookies: Annotated[
        _Tests,
        Meta(description="What cookies must be, likewise.", examples=[{"beta": ["1", "yes"]}]),
    ] = field(default_factory=dict)
    when: Annotated[
        Condition | None,
        Meta(
            description="Any other condition.",
            examples=[{"any": [{"var": "scheme", "equals": "https"}]}],
        ),
    ] = None

    @property
    def all_hosts(self) -> tuple[str, ...]:
        """The hosts, in lower case; empty: any."""
        hosts = self.hosts if self.host is None else (self.host,)
        return tuple(host.lower() for host in hosts)

    def predicate(self, load: Any = None) -> tuple[bytes, tuple[Any, ...]]:
        """What is asked beyond host, path and method, as a program (`pyproxy.expressions`).

        `load` makes the callable of what `python` names; without it such conditions are left out.
        ValueError: there is no such program.
        """
        if not (self.clients or self.headers or self.query or self.cookies or self.when):
            return b"", ()
        return program(
            clients=self.clients,
            headers=_plain(self.headers),
            query=_plain(self.query),
            cookies=_plain(self.cookies),
            when=None if self.when is None else plain_condition(self.when, load),
        )

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
