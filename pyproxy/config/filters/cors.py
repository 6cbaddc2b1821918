"""Which sites' pages may read answers."""

import re
from typing import Annotated, ClassVar

from msgspec import Meta, field

from pyproxy.config.faults import Report, is_token
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.filters.regexes import check_regexes
from pyproxy.config.units import Duration

__all__ = ["CorsFilter"]

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:[0-9]+)?|null")


class CorsFilter(FilterKind, frozen=True, kw_only=True):
    """Lets pages of other sites read answers: CORS, preflights included.

    A preflight (`OPTIONS` with `Origin` and `Access-Control-Request-Method`) is answered here: 204
    with what is allowed, or 403. In all other answers, those of the proxy too, the fields of CORS
    are this filter's; what an origin server says of them is replaced. `Vary: Origin` is added
    wherever the answer depends on who asks. Credentials cannot be combined with the origin `*`:
    every site could act in the name of every user.
    """

    default_priority: ClassVar[int] = 9000
    example: ClassVar[str] = """\
- cors:
    origins: ["https://app.example.com"]
    origin_patterns: ["^https://[a-z0-9-]+\\\\.preview\\\\.example\\\\.com$"]
    methods: [GET, POST, DELETE]
    headers: [authorization, content-type]
    expose: [x-request-id]
    credentials: on
    max_age: 10m
"""

    origins: Annotated[
        tuple[str, ...],
        Meta(
            description="Origins as browsers send them: scheme, host and port, if it is not the "
            "usual one. `*` is every origin.",
            examples=[["https://app.example.com", "http://localhost:3000"]],
        ),
    ] = ()
    origin_patterns: Annotated[
        tuple[str, ...],
        Meta(
            description="Regular expressions of further origins. Each begins with `^` and ends "
            "with `$`: others would let `https://example.com.evil.net` in.",
        ),
    ] = ()
    methods: Annotated[
        tuple[str, ...], Meta(description="Methods that pages may use; `*` is all of them.")
    ] = ("GET", "HEAD", "POST")
    headers: Annotated[
        tuple[str, ...],
        Meta(description="Fields that pages may send; `*` is whatever they ask for."),
    ] = ()
    expose: Annotated[
        tuple[str, ...], Meta(description="Fields of answers that pages may read.")
    ] = ()
    credentials: Annotated[
        bool, Meta(description="Let pages send cookies and other credentials.")
    ] = False
    max_age_ms: Annotated[
        Duration | None, Meta(description="How long browsers may keep the answer to a preflight.")
    ] = field(name="max_age", default=None)

    def check(self, report: Report, path: str) -> None:
        """Origins are origins, and nothing is opened that should not be."""
        if not self.origins and not self.origin_patterns:
            report.add(self, "", "no origin is allowed", "add origins", path=path)
        for i, text in enumerate(self.origins):
            if text != "*" and not _ORIGIN.fullmatch(text):
                cure = "write scheme, host and port in lower case: https://app.example.com"
                report.add(self, ("origins", i), f'"{text}" is not an origin', cure, path=path)
        check_regexes(self, "origin_patterns", path, report)
        for i, text in enumerate(self.origin_patterns):
            if not (text.startswith("^") and text.endswith("$")):
                message = f'"{text}" also matches parts of other origins'
                cure = "write ^ at its start and $ at its end"
                report.add(self, ("origin_patterns", i), message, cure, path=path)
        for key in ("methods", "headers", "expose"):
            words = getattr(self, key)
            for i, text in enumerate(words):
                if not is_token(text):
                    report.add(self, (key, i), f'"{text}" is not a word of HTTP', path=path)
            if "*" in words and len(words) > 1:
                report.add(self, key, '"*" stands for all', "leave out the others", path=path)
        self._check_wildcards(report, path)

    def _check_wildcards(self, report: Report, path: str) -> None:
        if not self.credentials:
            return
        if "*" in self.origins:
            cure = "list the origins, or switch credentials off"
            message = "credentials for every origin: any site could act for any user"
            report.add(self, "credentials", message, cure, path=path)
        for key in ("methods", "expose"):  # with credentials, browsers read "*" as a name
            if "*" in getattr(self, key):
                message = f'browsers do not take "*" in {key} together with credentials'
                report.add(self, key, message, "list them", path=path)
