"""PEM text to certificates and keys. ValueErrors have the form `what is wrong; the cure`."""

from __future__ import annotations

import re
import warnings
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.utils import CryptographyDeprecationWarning

_BEGIN = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", re.DOTALL)
_CERTIFICATES = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")
# What openssl writes beside a key, and nobody needs.
_PARAMETERS = (b"EC PARAMETERS", b"DH PARAMETERS")


class Block(NamedTuple):
    """One PEM block, and the line that it begins on."""

    kind: bytes
    text: bytes
    line: int


class Found(NamedTuple):
    """A certificate, and the line that it begins on."""

    certificate: x509.Certificate
    line: int


def is_text(value: str) -> bool:
    """Is this PEM itself and not the path of a file?"""
    return "-----BEGIN " in value


def blocks(data: bytes, what: str) -> list[Block]:
    """Everything between BEGIN and END. <what> names the file in errors."""
    found = [
        Block(match[1], match[0] + b"\n", data.count(b"\n", 0, match.start()) + 1)
        for match in _BLOCK.finditer(data)
    ]
    begun = _BEGIN.findall(data)
    if len(begun) != len(found):
        raise ValueError(f"{what} is cut off: a block begins and does not end; write it again")
    if not found:
        if not data.strip():
            raise ValueError(f"{what} is empty; write it again")
        cure = "convert it: openssl x509 -inform der"
        if data[:1] == b"\x30":
            raise ValueError(f"{what} is DER, not PEM; {cure}")
        raise ValueError(f"{what} is not PEM; it must have a -----BEGIN line")
    return found


def certificates(found: list[Block], what: str) -> list[Found]:
    """The certificates among the blocks, in their order."""
    every = []
    for block in found:
        if block.kind not in _CERTIFICATES:
            continue
        try:
            with warnings.catch_warnings():
                # A certificate that somebody else has made is not ours to mend.
                warnings.simplefilter("ignore", CryptographyDeprecationWarning)
                every.append(Found(x509.load_pem_x509_certificate(block.text), block.line))
        except ValueError as error:
            raise ValueError(
                f"{what}: what begins on line {block.line} is no certificate ({_words(error)}); "
                "write it again"
            ) from None
    if not every:
        others = ", ".join(sorted({block.kind.decode().lower() for block in found}))
        raise ValueError(f"{what} has no certificate, only: {others}; name the right file")
    return every


def private_key(found: list[Block], passphrase: str, what: str) -> Any:
    """The only private key among the blocks."""
    keys = [block for block in found if block.kind.endswith(b"PRIVATE KEY")]
    if len(keys) != 1:
        if keys:
            lines = " and ".join(str(key.line) for key in keys)
            raise ValueError(f"{what} has {len(keys)} keys, on lines {lines}; keep one of them")
        others = {b.kind.decode().lower() for b in found if b.kind not in _PARAMETERS}
        only = f", only: {', '.join(sorted(others))}" if others else ""
        raise ValueError(f"{what} has no private key{only}; name its file with `key`")
    key = keys[0]
    encrypted = key.kind.startswith(b"ENCRYPTED") or b"Proc-Type: 4,ENCRYPTED" in key.text
    if encrypted and not passphrase:
        cure = "give `passphrase`, such as secret://file/run/secrets/tls"
        raise ValueError(f"{what}: the key is encrypted; {cure}")
    try:
        password = passphrase.encode() if encrypted else None
        return serialization.load_pem_private_key(key.text, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if encrypted:
            raise ValueError(f"{what}: the passphrase does not open the key") from None
        raise ValueError(
            f"{what}: what begins on line {key.line} is no private key ({_words(error)}); "
            "write it again"
        ) from None


def open_key(key: Any) -> bytes:
    """PEM of a key without encryption, for those who use it."""
    pem: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem


def _words(error: Exception) -> str:
    """The first sentence of what a library says."""
    text = str(error.args[0] if error.args else error).splitlines() or [type(error).__name__]
    return text[0].partition(". ")[0].rstrip(".")[:120]
