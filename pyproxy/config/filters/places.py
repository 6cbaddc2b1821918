"""Where clients put what they prove themselves with: words that several filters share."""

from typing import Annotated

from msgspec import Meta

from pyproxy.config.faults import Report, is_field_value, is_token
from pyproxy.config.filters.headers import OURS
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.section import Section

__all__ = ["Authentication", "Credentials", "check_header_name", "check_realm"]


class Authentication(FilterKind, frozen=True, kw_only=True):
    """What filters have that answer 401."""

    realm: Annotated[
        str, Meta(max_length=200, description="What the client is told it needs access to.")
    ] = "pyproxy"
    hide_credentials: Annotated[
        bool, Meta(description="Take what the client has shown out of the request.")
    ] = False


class Credentials(Authentication, frozen=True, kw_only=True):
    """Where to look; the first place that holds something counts."""

    header: Annotated[str, Meta(description="A header; empty: none.")] = "apikey"
    query: Annotated[
        str,
        Meta(
            description="An argument of the query; empty: none. Queries end up in logs and "
            "histories: for clients that can do nothing else."
        ),
    ] = ""
    cookie: Annotated[str, Meta(description="A cookie; empty: none.")] = ""

    def check_places(self, report: Report, path: str) -> None:
        """Is there a place to look at, and can the names be some?"""
        check_realm(self, report, path, self.realm)
        if not (self.header or self.query or self.cookie):
            report.add(self, "", "nowhere to look", "name a header, a query or a cookie", path=path)
        if self.header and not is_token(self.header):
            report.add(self, "header", f'"{self.header}" is not the name of a header', path=path)
        if self.cookie and not is_token(self.cookie):
            report.add(self, "cookie", f'"{self.cookie}" is not the name of a cookie', path=path)


def check_realm(section: Section, report: Report, path: str, realm: str) -> None:
    """Can it stand in a quoted string (RFC 9110 section 5.6.4)?"""
    if not is_field_value(realm) or not realm.isascii() or '"' in realm or "\\" in realm:
        report.add(
            section, "realm", "a realm is plain text without quotes and backslashes", path=path
        )


def check_header_name(
    section: Section, keys: str | tuple[str | int, ...], name: str, report: Report, path: str
) -> None:
    """Can a filter write this field of the request?"""
    if not is_token(name):
        report.add(section, keys, f'"{name}" is not the name of a header', path=path)
    elif name.lower() in OURS or name.lower() == "host":
        message = f'the proxy writes "{name}" itself'
        report.add(section, keys, message, "choose another header", path=path)
