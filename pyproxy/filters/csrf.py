"""The filter `csrf`."""

from __future__ import annotations

import hmac
import secrets
import time
from typing import TYPE_CHECKING

from pyproxy.config.filters.csrf import CsrfFilter
from pyproxy.filters.base import Filter, Reply
from pyproxy.filters.credentials import cookies, failure, same

if TYPE_CHECKING:
    from pyproxy._engine import Exchange, Request

SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))  # RFC 9110 section 9.2.1
_PORTS = {"http": ":80", "https": ":443"}
_OWED = "csrf.token"


class Csrf(Filter):
    """Who makes a request that may change something comes from where it is for."""

    config: CsrfFilter

    def __init__(self, config: CsrfFilter) -> None:
        super().__init__(config)
        self._origins = frozenset(_plain(origin) for origin in config.origins if "*" not in origin)
        self._suffixes = tuple(
            (scheme, _plain(f"{scheme}://{rest}").partition("://*")[2])
            for scheme, _, rest in (origin.partition("://") for origin in config.origins)
            if rest.startswith("*.")
        )
        self._key = config.token_secret.encode()
        if config.token_secret:
            # A phase only where it is needed.
            vars(self).update(response=self._hand_out)

    def request(self, exchange: Exchange) -> Reply | None:
        request = exchange.request
        token = self._token(request) if self._key else None
        if self._key and token is None:
            exchange.state[_OWED] = True
        if request.method in SAFE:
            return None
        if not self._comes_from_here(request):
            return failure(403, "cross_site_request")
        if not self._key:
            return None
        shown = request.headers.get_all(self.config.token_header)
        if token is None or len(shown) != 1 or not same(shown[0], token):
            return failure(403, "invalid_csrf_token")
        return None

    def _hand_out(self, exchange: Exchange) -> None:
        if exchange.state.get(_OWED):
            # Pages read it, so it cannot be HttpOnly.
            fields = [
                f"{self.config.token_cookie}={self._made()}",
                "Path=/",
                f"Max-Age={self.config.token_lifetime_ms // 1000}",
                "SameSite=Lax",
                *(["Secure"] if exchange.request.scheme == "https" else []),
            ]
            exchange.response.headers.add("set-cookie", "; ".join(fields))

    def _comes_from_here(self, request: Request) -> bool:
        """Does a page of this host make the request, or one of an origin that may?"""
        headers = request.headers
        site, origin = headers.get_all("sec-fetch-site"), headers.get_all("origin")
        if len(site) > 1 or len(origin) > 1:
            return False
        if origin:
            listed = self._is_listed(origin[0])
            if site and site[0] not in ("same-origin", "none"):
                return listed
            return listed or _is_same(origin[0], request)
        if site:
            return site[0] in ("same-origin", "none")
        referer = headers.get_all("referer")
        if referer:
            from_page = _origin_of(referer[0]) if len(referer) == 1 else ""
            return self._is_listed(from_page) or _is_same(from_page, request)
        return self.config.allow_missing

    def _is_listed(self, origin: str) -> bool:
        plain = _plain(origin)
        if plain in self._origins:
            return True
        scheme, _, rest = plain.partition("://")
        return any(
            scheme == wanted and rest.endswith(suffix) and len(rest) > len(suffix)
            for wanted, suffix in self._suffixes
        )

    # ---- tokens: EXPIRES.RANDOM.SIGNATURE

    def _made(self) -> str:
        expires = int(time.time()) + self.config.token_lifetime_ms // 1000
        plain = f"{expires}.{secrets.token_urlsafe(18)}"
        return f"{plain}.{self._signature(plain)}"

    def _signature(self, plain: str) -> str:
        return hmac.digest(self._key, plain.encode("latin-1"), "sha256").hex()

    def _token(self, request: Request) -> str | None:
        """The token of the cookie, if it is a good one."""
        found = cookies(request.headers.get_all("cookie"), self.config.token_cookie)
        if len(found) != 1:
            return None
        plain, _, signature = found[0].rpartition(".")
        if not same(self._signature(plain), signature):
            return None
        return found[0] if int(plain.partition(".")[0]) > time.time() else None


def _origin_of(url: str) -> str:
    scheme, divider, rest = url.partition("://")
    for end in "/?#":
        rest = rest.partition(end)[0]
    return f"{scheme}{divider}{rest}"


def _plain(origin: str) -> str:
    """Lower case, without the port that the scheme stands for."""
    origin = origin.lower()
    return origin.removesuffix(_PORTS.get(origin.partition("://")[0], "\0"))


def _is_same(origin: str, request: Request) -> bool:
    """Is that the origin of what is asked for?

    TLS may end before us, so a page that came over it is one of ours; the reverse is not, since
    everybody on the way can write a page that comes without.
    """
    scheme, divider, host = _plain(origin).partition("://")
    if not divider or scheme not in _PORTS or (scheme == "http" and request.scheme == "https"):
        return False
    return host == _plain(f"{scheme}://{request.host}").partition("://")[2] != ""
