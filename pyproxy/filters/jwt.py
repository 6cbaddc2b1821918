"""The filter `jwt`."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Coroutine, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from joserfc import jws
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from pyproxy.config.faults import is_field_value
from pyproxy.config.filters.jwt import JwtFilter
from pyproxy.filters.base import Filter, Reply
from pyproxy.filters.credentials import Places, challenge, failure
from pyproxy.filters.jwks import FileKeys, Keys, UrlKeys

if TYPE_CHECKING:
    from pyproxy._engine import Exchange

MAX_TOKEN = 16 * 1024  # longer ones are not looked into
MAX_KEPT = 4096  # nor are those remembered
MAX_TRIES = 8  # keys that a token without `kid` is tried with
_KEY_TYPES: dict[str, type[Key]] = {
    "HS": OctKey, "RS": RSAKey, "PS": RSAKey, "ES": ECKey, "Ed": OKPKey,
}  # fmt: skip


class Refused(Exception):
    """A token that does not hold; the words are for the client."""


class _UnknownKey(Refused):
    """The key that a token names is not there."""


# A token that was found good: until when it holds, the fields to set, the claims.
_Known = tuple[float, tuple[tuple[str, str | None], ...], Mapping[str, Any]]


class _Registry(jws.JWSRegistry):
    """Of joserfc: key sets and certificates make longer headers than it expects."""

    max_header_length = MAX_TOKEN

    def get_alg(self, name: str) -> Any:
        # Of our own list only; and without a warning about the old name of Ed25519 each time.
        if self.allowed is None or name not in self.allowed:
            raise Refused("the algorithm is not allowed")
        return self.algorithms[name]


class Jwt(Filter):
    """Who shows a token that holds may go on, with what the token says."""

    config: JwtFilter

    def __init__(self, config: JwtFilter) -> None:
        super().__init__(config)
        self._places = Places(config.header, config.query, config.cookie)
        self._header = config.header
        self._hides = config.hide_credentials
        self._bearer_only = config.header.lower() == "authorization"
        self._registry = _Registry(algorithms=config.algorithms, strict_check_header=False)
        self._keys = _keys_of(config)
        self._version = self._keys.version
        # Field value or token -> what was found out.
        self._known: dict[str, _Known] = {}
        self._none = tuple((name, None) for name in config.claims_to_headers)

    def request(self, exchange: Exchange) -> Reply | Coroutine[Any, Any, Reply | None] | None:
        # The way of nearly every request: a token that was seen before, in the header.
        keys = self._keys
        now = time.time()
        if now >= keys.due:
            keys.look()
        if keys.version != self._version:
            self._version = keys.version
            self._known.clear()
        known = exchange.request.headers.lookup(self._header, self._known)
        if known is not None:
            until, fields, claims = known
            if until > now:
                if self._hides:
                    self._places.hide(exchange)
                if fields:
                    _write(exchange, fields)
                exchange.state["claims"] = claims
                return None
        return self._look(exchange)

    def _look(self, exchange: Exchange) -> Reply | Coroutine[Any, Any, Reply | None] | None:
        values = exchange.request.headers.get_all(self._header) if self._header else []
        in_header = bool(values)
        values = values or self._places.find(exchange)
        if not values:
            if self.config.optional:
                _write(exchange, self._none)
                return None
            return challenge("Bearer", self.config.realm, "missing_token")
        if len(values) > 1:
            return self._refuse("there are several tokens")
        token = self._token(values[0]) if in_header else values[0]
        if token is None:
            return self._refuse("not a Bearer token")
        known = self._known.get(values[0])
        if known is not None and known[0] > time.time():
            self._accept(exchange, known)
            return None
        if not self._keys.keys:
            return self._later(exchange, values[0], token, self._keys.fetch())
        try:
            known = self._verify(token)
        except _UnknownKey as error:
            waiting = self._keys.fetch()
            if waiting is None:
                return self._refuse(str(error))
            return self._later(exchange, values[0], token, waiting)
        except Refused as error:
            return self._refuse(str(error))
        self._remember(exchange, values[0], known)
        return None

    async def _later(
        self,
        exchange: Exchange,
        shown: str,
        token: str,
        waiting: asyncio.Task[None] | None,
    ) -> Reply | None:
        """The same once the keys have been asked for."""
        if waiting is not None:
            # A client that leaves must not end what others wait for.
            await asyncio.shield(waiting)
        if not self._keys.keys:
            return failure(503, "keys_unavailable", ("retry-after", "10"))
        try:
            known = self._verify(token)
        except Refused as error:
            return self._refuse(str(error))
        self._remember(exchange, shown, known)
        return None

    def _token(self, value: str) -> str | None:
        """The token in a header's value (RFC 6750 section 2.1)."""
        scheme, blank, rest = value.partition(" ")
        if blank and scheme.lower() == "bearer":
            return rest.strip(" ")
        return None if self._bearer_only else value

    def _verify(self, token: str) -> _Known:
        if len(token) > MAX_TOKEN:
            raise Refused("the token is too long")
        claims = self._claims(token)
        now = time.time()
        until = _check_times(claims, now, self.config.leeway_ms / 1000, self.config.require_exp)
        _check_parties(claims, self.config)
        fields = tuple(
            (name, _text_of(_claim(claims, path)))
            for name, path in self.config.claims_to_headers.items()
        )
        # Many exchanges will share them.
        return until, fields, MappingProxyType(claims)

    def _claims(self, token: str) -> dict[str, Any]:
        """The claims of a token whose signature is right."""
        # Whatever somebody sends, and whatever of it the library stumbles over: it does not hold.
        try:
            parsed = jws.extract_compact(token.encode("ascii"), registry=self._registry)
            header = parsed.headers()
        except Exception as error:
            raise Refused("the token is malformed") from error
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self.config.algorithms:
            raise Refused("the algorithm is not allowed")
        if "crit" in header:  # RFC 7515 section 4.1.11: we know no extension
            raise Refused("the token has critical extensions")
        candidates = [key for key in self._keys.find(kid) if _fits(key, algorithm)]
        if not candidates:
            raise _UnknownKey("the key of the token is not known")
        if not any(self._is_signed(parsed, key) for key in candidates[:MAX_TRIES]):
            raise Refused("the signature is wrong")
        try:
            claims = json.loads(parsed.payload or b"")
        except (ValueError, RecursionError) as error:
            raise Refused("the token is malformed") from error
        if not isinstance(claims, dict):
            raise Refused("the token is malformed")
        return claims

    def _is_signed(self, parsed: jws.CompactSignature, key: Key) -> bool:
        try:
            return jws.validate_compact(parsed, key, registry=self._registry)
        except Exception:
            return False

    def _remember(self, exchange: Exchange, shown: str, known: _Known) -> None:
        if self.config.cache and len(shown) <= MAX_KEPT and self._keys.version == self._version:
            if len(self._known) >= self.config.cache:
                del self._known[next(iter(self._known))]
            self._known[shown] = known
        self._accept(exchange, known)

    def _accept(self, exchange: Exchange, known: _Known) -> None:
        if self._hides:
            self._places.hide(exchange)
        _until, fields, claims = known
        if fields:
            _write(exchange, fields)
        exchange.state["claims"] = claims

    def _refuse(self, why: str) -> Reply:
        more = {"error": "invalid_token", "error_description": why}
        return challenge("Bearer", self.config.realm, "invalid_token", **more)


def _keys_of(config: JwtFilter) -> Keys:
    if config.secret:
        return Keys([OctKey.import_key(config.secret)])
    if config.public_key:
        return Keys([_public_key(config.public_key, config.algorithms[0])])
    if config.is_url:
        return UrlKeys.of(
            config.jwks,
            config.jwks_refresh_ms / 1000,
            config.jwks_cooldown_ms / 1000,
            config.jwks_timeout_ms / 1000,
        )
    return FileKeys(config.jwks_file)


def _public_key(pem: str, algorithm: str) -> Key:
    if "BEGIN CERTIFICATE" in pem:
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
        from cryptography.x509 import load_pem_x509_certificate

        key = load_pem_x509_certificate(pem.encode()).public_key()
        pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return _KEY_TYPES[algorithm[:2]].import_key(pem)


def _fits(key: Key, algorithm: str) -> bool:
    """Is this a key for the algorithm? joserfc looks at the curve as well."""
    meant = key.get("alg")
    return isinstance(key, _KEY_TYPES[algorithm[:2]]) and meant in (None, algorithm)


def _check_times(claims: dict[str, Any], now: float, leeway: float, require_exp: bool) -> float:
    """Until when the token holds (RFC 7519 section 4.1.4), on our clock."""
    expires, begins = _time(claims, "exp"), _time(claims, "nbf")
    if expires is None and require_exp:
        raise Refused("the token never expires")
    until = math.inf if expires is None else expires + leeway
    if now >= until:
        raise Refused("the token has expired")
    if begins is not None and now < begins - leeway:
        raise Refused("the token is not valid yet")
    return until


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 2**53:
        raise Refused(f"{name} is no time")
    return value


def _check_parties(claims: dict[str, Any], config: JwtFilter) -> None:
    if config.issuer and claims.get("iss") not in config.issuer:
        raise Refused("the issuer is not known")
    if config.audience:
        given = claims.get("aud")
        listed = given if isinstance(given, list) else [given]
        if not any(item in config.audience for item in listed if isinstance(item, str)):
            raise Refused("the token is made for others")


def _claim(claims: dict[str, Any], path: str) -> Any:
    """The claim of that name, or else what its dots lead to."""
    if path in claims:
        return claims[path]
    value: Any = claims
    for step in path.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _text_of(value: Any) -> str | None:
    """A claim as the value of a field; None when it is not there, or a field cannot hold it."""
    if isinstance(value, list):
        parts = [_text_of(item) for item in value if not isinstance(item, (list, dict))]
        value = ",".join(part for part in parts if part is not None)
    elif isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, (int, float)):
        value = str(value)
    elif isinstance(value, dict):
        value = json.dumps(value, separators=(",", ":"))
    if not isinstance(value, str) or not value:
        return None
    # What is no ASCII goes as UTF-8, as endpoints expect it nowadays.
    try:
        text = value.encode().decode("latin-1")
    except UnicodeEncodeError:
        return None
    return text if is_field_value(text) else None


def _write(exchange: Exchange, fields: tuple[tuple[str, str | None], ...]) -> None:
    headers = exchange.request.headers
    for name, value in fields:
        if value is None:
            headers.pop_all(name)
        else:
            headers[name] = value
