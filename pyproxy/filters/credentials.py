"""What clients prove themselves with: finding it in a request, hiding it, refusing it."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote_plus

from pyproxy.filters.base import Reply

if TYPE_CHECKING:
    from pyproxy._engine import Exchange

__all__ = ["KeyedHash", "Places", "challenge", "failure"]


class Places(NamedTuple):
    """Names of a header, an argument of the query and a cookie; empty: not looked at."""

    header: str
    query: str
    cookie: str

    def find(self, exchange: Exchange) -> list[str]:
        """Everything that the first place holds which holds something.

        More than one: two readers could take different ones, so it is not for us to choose.
        """
        request = exchange.request
        if self.header:
            found = request.headers.get_all(self.header)
            if found:
                return found
        if self.query:
            found = arguments(request.query or "", self.query)
            if found:
                return found
        return cookies(request.headers.get_all("cookie"), self.cookie) if self.cookie else []

    def hide(self, exchange: Exchange) -> None:
        """Take it out of all places."""
        request = exchange.request
        if self.header:
            request.headers.pop_all(self.header)
        if self.query and request.query is not None:
            query = without_argument(request.query, self.query)
            if query != request.query:
                request.query = query or None
        if self.cookie:
            lines = request.headers.get_all("cookie")
            kept = without_cookie(lines, self.cookie)
            if kept:
                request.headers["cookie"] = kept
            elif lines:
                request.headers.pop_all("cookie")


def arguments(query: str, name: str) -> list[str]:
    """The values of the arguments of that name, decoded."""
    pairs = (piece.partition("=") for piece in query.split("&"))
    return [unquote_plus(value, "latin-1") for key, _, value in pairs if _is_called(key, name)]


def without_argument(query: str, name: str) -> str:
    """The query without the arguments of that name; the others as they were."""
    return "&".join(p for p in query.split("&") if not _is_called(p.partition("=")[0], name))


def _is_called(encoded: str, name: str) -> bool:
    return encoded == name or ("%" in encoded and unquote_plus(encoded, "latin-1") == name)


def cookies(lines: list[str], name: str) -> list[str]:
    """The values of the cookies of that name (RFC 6265 section 4.2), without quotes."""
    found = []
    for line in lines:
        for piece in line.split(";"):
            key, equals, value = piece.partition("=")
            if equals and key.strip(" \t") == name:
                value = value.strip(" \t")
                if len(value) > 1 and value[0] == value[-1] == '"':
                    value = value[1:-1]
                found.append(value)
    return found


def without_cookie(lines: list[str], name: str) -> str:
    """One Cookie field of all lines, without the cookies of that name."""
    pieces = (piece.strip(" \t") for line in lines for piece in line.split(";"))
    return "; ".join(p for p in pieces if p and p.partition("=")[0].strip(" \t") != name)


class KeyedHash:
    """A hash that nobody outside this process can compute.

    A table that is looked up by it says nothing about its entries by the time that takes, and does
    not hold what it was made from.
    """

    __slots__ = ("_key",)

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def __call__(self, text: str) -> bytes:
        # Field values are Latin-1; configurations may hold more.
        data = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(data, digest_size=32, key=self._key).digest()


def same(left: str, right: str) -> bool:
    """Are they equal? The time it takes does not tell how far they are."""
    return hmac.compare_digest(
        left.encode("utf-8", "surrogatepass"), right.encode("utf-8", "surrogatepass")
    )


def failure(status: int, word: str, *fields: tuple[str, str]) -> Reply:
    """An answer in the form of the proxy's own errors."""
    return Reply(
        status, [("content-type", "application/json"), *fields], f'{{"error": "{word}"}}\n'
    )


def challenge(scheme: str, realm: str, word: str, **more: str) -> Reply:
    """401, and how to do better (RFC 9110 section 11.6.1)."""
    words = {"realm": realm, **more}
    text = ", ".join(f'{name}="{value}"' for name, value in words.items())
    return failure(401, word, ("www-authenticate", f"{scheme} {text}"))
