"""Words of OpenSSL."""

from __future__ import annotations

import pytest

from pyproxy.tls import words


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("ECDHE+AESGCM:ECDHE+CHACHA20", ""),
        ("HIGH:!aNULL:!MD5:-SHA1:+ECDHE", ""),
        ("ECDHE-RSA-AES128-GCM-SHA256:@SECLEVEL=1", ""),
        ("HIGH:BOGUS", "BOGUS"),
        ("HIGH:!BOGUS", "!BOGUS"),
        ("HIGH:TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"),
    ],
)
def test_ciphers(text, unknown) -> None:
    assert words.unknown_cipher(text) == unknown


def test_a_list_may_leave_nothing() -> None:
    assert words.leaves_nothing("ECDHE:!ECDHE")
    assert not words.leaves_nothing("ECDHE")


def test_ciphersuites() -> None:
    good = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
    assert words.unknown_ciphersuite(good) == ""
    assert words.unknown_ciphersuite(f"{good}:TLS_X") == "TLS_X"


def test_groups() -> None:
    assert words.unknown_group("X25519MLKEM768:x25519:P-256:secp521r1:ffdhe2048") == ""
    assert words.unknown_group("X25519:P-255") == "P-255"
    assert words.cure_of_group("P-255").startswith("did you mean")
