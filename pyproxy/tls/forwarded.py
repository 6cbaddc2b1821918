"""X-Forwarded-Client-Cert as Envoy writes it: one element, for the certificate of one client.

It is visible ASCII whatever a certificate holds: a field could not hold anything else.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .peer import Peer


def by(uris: Iterable[str]) -> str:
    """The part that names us, by the URIs of our certificate; empty without any."""
    return ";".join(f"By={_quoted(uri)}" for uri in uris)


def forwarded(peer: Peer, by: str = "") -> str:
    """The element: By, Hash, Subject, URI, DNS; names that there are more of are repeated."""
    pairs = [("URI", uri) for uri in peer.uris] + [("DNS", name) for name in peer.dns]
    parts = [by] if by else []
    parts += [f"Hash={peer.fingerprint}", f"Subject={_quoted(peer.subject, always=True)}"]
    return ";".join(parts + [f"{key}={_quoted(value)}" for key, value in pairs])


def _quoted(value: str, *, always: bool = False) -> str:
    """Quotes where a comma, a semicolon, an equals sign or a quote would be misread."""
    # UTF-8 in percent encoding, as in a URI; and nothing that would end the field or the line.
    text = "".join(
        c if " " <= c <= "~" else "".join(f"%{byte:02X}" for byte in c.encode("utf-8", "replace"))
        for c in value
    )
    if not always and not set(text) & set(',;="\\ '):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
