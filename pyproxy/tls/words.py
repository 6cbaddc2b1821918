"""Words of OpenSSL in a configuration: ciphers and groups."""

from __future__ import annotations

import re

from OpenSSL import SSL

from pyproxy.config.decode import nearest

# The library has no way to list them. Lower case here; it compares like this, too.
_GROUPS = (
    *("X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "curveSM2MLKEM768"),
    *("MLKEM512", "MLKEM768", "MLKEM1024", "X25519", "X448"),
    *("P-256", "P-384", "P-521", "secp256r1", "prime256v1", "secp384r1", "secp521r1"),
    *("brainpoolP256r1tls13", "brainpoolP384r1tls13", "brainpoolP512r1tls13"),
    *("ffdhe2048", "ffdhe3072", "ffdhe4096", "ffdhe6144", "ffdhe8192"),
)
_KNOWN_GROUPS = {name.lower() for name in _GROUPS}
_SECLEVEL = re.compile(r"@(SECLEVEL=[0-5]|STRENGTH)")


def unknown_cipher(text: str) -> str:
    """The first word of a list for TLS 1.2 that means nothing to OpenSSL, which passes over it in
    silence; empty when all are known."""
    for word in re.split(r"[:, ]+", text):
        if not word or _SECLEVEL.fullmatch(word):
            continue
        bare = word.lstrip("!+-")
        # TLS 1.3 has a list of its own; here such a word does nothing.
        if bare.startswith("TLS_") or not _is_taken("set_cipher_list", f"{bare}@SECLEVEL=0"):
            return word
    return ""


def unknown_ciphersuite(text: str) -> str:
    """The same for TLS 1.3."""
    return next((w for w in text.split(":") if not _is_taken("set_tls13_ciphersuites", w)), "")


def unknown_group(text: str) -> str:
    """The same for the groups of the key exchange."""
    for word in re.split(r"[:/]", text):
        if word.lstrip("?*-").lower() not in _KNOWN_GROUPS:
            return word or text
    return ""


def cure_of_group(word: str) -> str:
    """What may be meant."""
    return nearest(word, _GROUPS)


def leaves_nothing(text: str) -> bool:
    """Is a cipher list empty in the end, although all of its words are known?"""
    return not _is_taken("set_cipher_list", text)


def _is_taken(setter: str, text: str) -> bool:
    context = SSL.Context(SSL.TLS_METHOD)
    try:
        getattr(context, setter)(text.encode())
    except (SSL.Error, ValueError):
        return False
    return True
