"""TLS settings as the engine takes them: every word of the configuration is a number or bytes here.

The one list of them: the engine reads these by name, and adds no defaults of its own. Empty texts
stand for the defaults of io/tls_lib.c.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}
# In the order of enum pp_tls_client_auth.
_CLIENT_AUTH = ("none", "optional", "required")


class Agreement(NamedTuple):
    """What both sides of a connection agree on; versions as the records have them (RFC 8446).

    `alpn` is the list of protocols as it is sent, and `key_log` the path of a file for debugging.
    """

    min_version: int = _VERSIONS["1.2"]
    max_version: int = _VERSIONS["1.3"]
    ciphers: str = ""
    ciphersuites: str = ""
    groups: str = ""
    alpn: bytes = b""
    key_log: bytes = b""


class ServerSettings(NamedTuple):
    """TLS of a listener but for its certificates; `client_auth` needs `client_ca` (PEM)."""

    agreement: Agreement = Agreement()
    client_auth: int = 0
    client_ca: bytes = b""


class ClientSettings(NamedTuple):
    """TLS towards endpoints.

    Their certificates must be signed by one of `ca` (PEM) or of the hashed directory `ca_dir`, and
    made for `server_name`, or for each endpoint's own; unless `verify` is off. `chain` and `key`
    (PEM) are our own certificate.
    """

    agreement: Agreement = Agreement()
    server_name: str = ""
    verify: bool = True
    ca: bytes = b""
    ca_dir: bytes = b""
    chain: bytes = b""
    key: bytes = b""


def version_number(word: str) -> int:
    """The number of a version of TLS. Raises KeyError."""
    return _VERSIONS[word]


def client_auth_number(word: str) -> int:
    """What is asked of clients: none, optional or required. Raises ValueError."""
    return _CLIENT_AUTH.index(word)


def alpn_list(protocols: Iterable[str]) -> bytes:
    """The protocols as TLS sends them, each with its length before it (RFC 7301 section 3.1)."""
    return b"".join(bytes((len(one),)) + one.encode("ascii") for one in protocols)
