"""HTTP Message Signatures (RFC 9421): the fields of a request, and what a signature is made over.

Of Structured Fields (RFC 8941) the part that is needed, in its canonical form only: what is written
otherwise is refused, so that a signer and we never disagree about the bytes that were signed.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error
from collections.abc import Callable, Sequence
from hashlib import sha256, sha512
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pyproxy._engine import Request

__all__ = ["Covered", "base_of", "digests_of", "read_inputs", "read_signatures"]

MAX_FIELD = 8192
MAX_SIGNATURES = 8

_KEY = r"[a-z*][a-z0-9_.*-]*"
_STRING = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
_BYTES = r":[A-Za-z0-9+/]*={0,2}:"
_BARE = rf"(?:{_STRING}|-?[0-9]{{1,15}}|\?[01]|{_BYTES}|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*)"
_PARAMETERS = rf"(?:;{_KEY}(?:={_BARE})?)*"
_INPUT = re.compile(rf"({_KEY})=(\((?:{_STRING}(?: {_STRING})*)?\)({_PARAMETERS}))")
_OUTPUT = re.compile(rf"({_KEY})=({_BYTES}){_PARAMETERS}")
_PARAMETER = re.compile(rf";({_KEY})(?:=({_BARE}))?")
_ONE_STRING = re.compile(_STRING)
_COMMA = re.compile(r"[ \t]*,[ \t]*")


class Covered(NamedTuple):
    """A member of Signature-Input: what is covered, and the parameters, as the signer wrote it."""

    components: tuple[str, ...]
    parameters: dict[str, str | int | bool]
    text: str


def read_inputs(lines: Sequence[str]) -> dict[str, Covered]:
    """The members of Signature-Input by their labels. ValueError: malformed."""
    found = {}
    for label, match in _members(lines, _INPUT):
        inner = match[2][: len(match[2]) - len(match[3])]
        components = tuple(_unquoted(item) for item in _ONE_STRING.findall(inner))
        parameters: dict[str, str | int | bool] = {}
        for name, bare in _PARAMETER.findall(match[3]):
            if name in parameters:
                raise ValueError("a parameter comes twice")
            parameters[name] = _value(bare)
        if len(set(components)) != len(components):  # RFC 9421 section 2
            raise ValueError("a component comes twice")
        found[label] = Covered(components, parameters, match[2])
    return found


def read_signatures(lines: Sequence[str]) -> dict[str, bytes]:
    """The members of Signature, or of a digest field, by their labels. ValueError: malformed."""
    return {label: _octets(match[2]) for label, match in _members(lines, _OUTPUT)}


def _members(lines: Sequence[str], pattern: re.Pattern[str]) -> list[tuple[str, re.Match[str]]]:
    """The members of a dictionary, each label once."""
    text = ", ".join(lines)
    if len(text) > MAX_FIELD:
        raise ValueError("the field is too long")
    found: dict[str, re.Match[str]] = {}
    at = 0
    while True:
        match = pattern.match(text, at)
        if match is None or match[1] in found or len(found) == MAX_SIGNATURES:
            raise ValueError("the field is malformed")
        found[match[1]] = match
        at = match.end()
        if at == len(text):
            return list(found.items())
        comma = _COMMA.match(text, at)
        if comma is None:
            raise ValueError("the field is malformed")
        at = comma.end()


def _value(bare: str) -> str | int | bool:
    if bare.startswith('"'):
        return _unquoted(bare)
    if bare in ("", "?0", "?1"):
        return bare != "?0"
    return int(bare) if bare.lstrip("-").isdigit() else bare


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text[1:-1])


def _octets(text: str) -> bytes:
    try:
        return b64decode(text[1:-1], validate=True)
    except Error as error:
        raise ValueError("not base64") from error


# ---- what is signed


def base_of(request: Request, covered: Covered) -> bytes:
    """The signature base (RFC 9421 section 2.5). ValueError: a component is not there."""
    lines = [f'"{name}": {_component(request, name)}' for name in covered.components]
    lines.append(f'"@signature-params": {covered.text}')
    return "\n".join(lines).encode("latin-1")


def _component(request: Request, name: str) -> str:
    if name.startswith("@"):
        if name not in _DERIVED:
            raise ValueError(f"{name} is not understood")
        return _DERIVED[name](request)
    values = request.headers.get_all(name)
    if not values or name != name.lower():
        raise ValueError("a field is not there")
    return ", ".join(value.strip(" \t") for value in values)


def _authority(request: Request) -> str:
    port = ":443" if request.scheme == "https" else ":80"
    return request.host.lower().removesuffix(port)


def _target_uri(request: Request) -> str:
    path, question, query = _origin_form(request).partition("?")
    return f"{request.scheme}://{_authority(request)}{path}{question}{query}"


def _origin_form(request: Request) -> str:
    """Path and query as the client wrote them."""
    target = request.target
    if target.startswith("/") or "://" not in target:
        return target
    rest = target.partition("://")[2]
    at = min((i for i in (rest.find("/"), rest.find("?")) if i >= 0), default=len(rest))
    return rest[at:] if rest[at : at + 1] == "/" else "/" + rest[at:]


_DERIVED: dict[str, Callable[[Any], str]] = {
    "@method": lambda request: str(request.method),
    "@target-uri": _target_uri,
    "@authority": _authority,
    "@scheme": lambda request: str(request.scheme),
    "@request-target": lambda request: str(request.target),
    "@path": lambda request: _origin_form(request).partition("?")[0] or "/",
    "@query": lambda request: "?" + _origin_form(request).partition("?")[2],
}


# ---- bodies

_HASHES: dict[str, Any] = {"sha-256": sha256, "sha-512": sha512}


def digests_of(lines: Sequence[str]) -> dict[str, bytes]:
    """The digests of Content-Digest (RFC 9530) that we can compare. ValueError: there is none."""
    found = {name: d for name, d in read_signatures(lines).items() if name in _HASHES}
    if not found:
        raise ValueError("no digest that is understood")
    return found


def has_digests(body: bytes, digests: dict[str, bytes]) -> bool:
    """Is that the body? All digests must be its."""
    return all(compare_digest(_HASHES[n](body).digest(), d) for n, d in digests.items())
