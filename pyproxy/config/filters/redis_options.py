"""Where a Redis is that several machines share, and how long it is waited for.

No `from __future__ import annotations`, as in `kind`.
"""

from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from msgspec import Meta, field

from pyproxy.config.faults import Report
from pyproxy.config.filters.files import absolute, read_text
from pyproxy.config.filters.packages import check_package
from pyproxy.config.section import Section
from pyproxy.config.units import Duration

__all__ = ["Redis", "read_url"]

_CURE = "write redis://HOST:PORT/NUMBER, rediss://HOST:PORT/NUMBER or unix:///PATH"
_MOST_DATABASES = 1 << 20


class Redis(Section, frozen=True, kw_only=True):
    """A Redis (5 or newer, or what speaks as one). One word stands for `{url: word}`.

    Needs the package `redis` (`pip install 'pyproxy[redis]'`).
    """

    shorthand: ClassVar[str] = "url"

    url: Annotated[
        str,
        Meta(
            description="Where it is: `redis://HOST:PORT/DATABASE`, `rediss://...` for TLS, or "
            "`unix:///PATH?db=DATABASE`.",
            examples=["redis://10.0.0.5:6379/0", "rediss://cache.internal/1"],
        ),
    ]
    username: Annotated[str, Meta(description="Who logs in there; empty: its default user.")] = ""
    password: Annotated[
        str,
        Meta(
            description="With which password. Empty: none.",
            examples=["secret://env/REDIS_PASSWORD", "secret://file/run/secrets/redis"],
        ),
    ] = ""
    ca: Annotated[
        str,
        Meta(
            description="Of `rediss`: a file with who must have signed its certificate, beside "
            "those that the system trusts."
        ),
    ] = ""
    timeout_ms: Annotated[
        Duration,
        Meta(ge=1, le=25_000, description="How long a request waits for its answer."),
    ] = field(name="timeout", default=50)
    on_failure: Annotated[
        Literal["local", "allow", "deny"],
        Meta(
            description="What becomes of requests that it gives no answer for. `local`: they are "
            "counted on this machine alone, in shared memory. `allow`: they go on. `deny`: they "
            "are refused."
        ),
    ] = "local"
    prefix: Annotated[
        str,
        Meta(max_length=64, description="What the names of all its keys begin with."),
    ] = "pyproxy:"

    def check(self, report: Report, path: str) -> None:
        """Is that a place that can be reached?"""
        check_package(self, "redis", "redis", report, path)
        try:
            found = read_url(self.url)
        except ValueError as error:
            # The text may hold a password.
            report.refuse(self, "url", error, path=path)
            return
        if self.password and found.get("password"):
            message = "there is a password in the url already"
            report.add(self, "password", message, "give one of them", path=path)
        if self.username and not (self.password or found.get("password")):
            report.add(self, "username", "who logs in needs a password", path=path)
        if self.ca:
            self._check_ca(report, path)

    def _check_ca(self, report: Report, path: str) -> None:
        if not self.url.startswith("rediss:"):
            message = "nothing is signed without TLS"
            report.add(self, "ca", message, "write rediss:// in the url", path=path)
            return
        try:
            read_text(self, self.ca)
        except ValueError as error:
            report.refuse(self, "ca", error, path=path)

    def connection(self) -> dict[str, Any]:
        """What the client is made of, besides the word `tls`."""
        found = read_url(self.url)
        if self.password:
            found["password"] = self.password
        if self.username:
            found["username"] = self.username
        if self.ca:
            found["ssl_ca_certs"] = str(absolute(self, self.ca))
        return found


def read_url(url: str) -> dict[str, Any]:
    """The parts of an address of Redis. ValueError with `what; cure`, without the text of it."""
    bad = ValueError(f"this is no address of Redis; {_CURE}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise bad from None
    if not url.isascii() or not url.isprintable() or parts.fragment:
        raise bad
    if parts.scheme == "unix":
        return {**_socket(parts, bad), **_login(parts)}
    if parts.scheme not in ("redis", "rediss") or not parts.hostname or parts.query or port == 0:
        raise bad
    number = parts.path.removeprefix("/")
    host = {"tls": parts.scheme == "rediss", "host": parts.hostname, "port": port or 6379}
    return {**host, "db": _database(number, bad), **_login(parts)}


def _socket(parts: SplitResult, bad: ValueError) -> dict[str, Any]:
    given = parse_qs(parts.query, keep_blank_values=True)
    if parts.hostname or len(parts.path) < 2 or set(given) - {"db"}:
        raise bad
    return {"path": unquote(parts.path), "db": _database(given.get("db", [""])[0], bad)}


def _database(text: str, bad: ValueError) -> int:
    if not text:
        return 0
    if not text.isdecimal() or len(text) > 7 or int(text) >= _MOST_DATABASES:
        raise bad
    return int(text)


def _login(parts: SplitResult) -> dict[str, str]:
    given = {"username": parts.username, "password": parts.password}
    return {name: unquote(value) for name, value in given.items() if value}
