"""What a proxy in front has said about a client's connection, as filters see it."""

from __future__ import annotations

import socket
from typing import NamedTuple

__all__ = ["AnnouncedTLS", "ProxyProtocol"]

_ALPN, _AUTHORITY, _UNIQUE_ID, _SSL, _NETNS = 0x01, 0x02, 0x05, 0x20, 0x30
_SSL_FIXED = 5  # bytes before its own TLVs


class AnnouncedTLS(NamedTuple):
    """The TLS that a client speaks with the proxy in front.

    `tlvs` has what else is known of it (version 0x21, common name 0x22, cipher 0x23, ...).
    """

    tls: bool
    certificate: bool
    verified: bool
    tlvs: tuple[tuple[int, bytes], ...]


class ProxyProtocol(NamedTuple):
    """A PROXY protocol header.

    `source` and `destination` are (IP address, port), the path of a unix socket, or None where the
    proxy announced no addresses. `tlvs` are the (type, value) of version 2, in their order.
    """

    version: int
    source: tuple[str, int] | bytes | None
    destination: tuple[str, int] | bytes | None
    tlvs: tuple[tuple[int, bytes], ...]

    def get(self, kind: int) -> bytes | None:
        """The value of the first TLV of a type; None when there is none."""
        return next((value for number, value in self.tlvs if number == kind), None)

    @property
    def alpn(self) -> bytes | None:
        """The application protocol that was agreed with the client."""
        return self.get(_ALPN)

    @property
    def authority(self) -> bytes | None:
        """The host name that the client asked for (SNI), in UTF-8."""
        return self.get(_AUTHORITY)

    @property
    def unique_id(self) -> bytes | None:
        """The proxy's own name for the connection."""
        return self.get(_UNIQUE_ID)

    @property
    def netns(self) -> bytes | None:
        """The network namespace that the connection came from."""
        return self.get(_NETNS)

    @property
    def ssl(self) -> AnnouncedTLS | None:
        """The TLS between client and proxy; None when nothing is said of it."""
        value = self.get(_SSL)
        if value is None:
            return None
        client, verify = value[0], int.from_bytes(value[1:_SSL_FIXED], "big")
        given = bool(client & 0x06)
        return AnnouncedTLS(
            tls=bool(client & 0x01),
            certificate=given,
            verified=given and verify == 0,
            tlvs=_rows(value[_SSL_FIXED:]),
        )


def header_of(
    version: int,
    source: tuple[bytes, int] | bytes | None,
    destination: tuple[bytes, int] | bytes | None,
    tlvs: bytes,
) -> ProxyProtocol:
    """What the engine has read: addresses still packed, TLVs as they came, both checked."""
    return ProxyProtocol(version, _end(source), _end(destination), _rows(tlvs))


def _end(said: tuple[bytes, int] | bytes | None) -> tuple[str, int] | bytes | None:
    if not isinstance(said, tuple):
        return said
    packed, port = said
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed), port


def _rows(data: bytes) -> tuple[tuple[int, bytes], ...]:
    """The TLVs of a row that the engine has checked."""
    rows = []
    while data:
        end = 3 + int.from_bytes(data[1:3], "big")
        rows.append((data[0], data[3:end]))
        data = data[end:]
    return tuple(rows)
