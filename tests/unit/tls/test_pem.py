"""PEM text: what it holds, and what is said when it does not."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization

from pyproxy.tls import pem
from testenv.certificates import certificates, make_key, pem_of_key

PKI = certificates()
CERT = PKI.server.cert.read_bytes()
KEY = PKI.server.key.read_bytes()


def test_blocks_know_their_lines() -> None:
    found = pem.blocks(b"a comment\n" + CERT + KEY, "f")
    assert [block.kind for block in found] == [b"CERTIFICATE", b"PRIVATE KEY"]
    assert [block.line for block in found] == [2, 2 + CERT.count(b"\n")]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "f is empty"),
        (b" \n", "f is empty"),
        (b"hello", "f is not PEM"),
        (PKI.server.x509.public_bytes(serialization.Encoding.DER), "f is DER, not PEM"),
        (CERT[:-40], "f is cut off"),
        (CERT + KEY[:60], "f is cut off"),
    ],
)
def test_what_is_no_pem_is_told(data, what) -> None:
    with pytest.raises(ValueError, match=what):
        pem.blocks(data, "f")


def test_certificates_are_found_among_other_things() -> None:
    found = pem.certificates(pem.blocks(KEY + CERT + PKI.other.cert.read_bytes(), "f"), "f")
    assert [link.certificate for link in found] == [PKI.server.x509, PKI.other.x509]


def test_a_broken_certificate_is_told_with_its_line() -> None:
    lines = CERT.splitlines()
    lines[2] = lines[2][::-1]
    data = CERT + b"\n".join(lines) + b"\n"
    with pytest.raises(ValueError, match=f"begins on line {len(lines) + 1} is no certificate"):
        pem.certificates(pem.blocks(data, "f"), "f")


def test_a_file_without_a_certificate_says_what_it_has() -> None:
    with pytest.raises(ValueError, match=r"no certificate, only: private key"):
        pem.certificates(pem.blocks(KEY, "f"), "f")


@pytest.mark.parametrize("kind", ["ec", "rsa", "ed25519"])
def test_keys_of_every_kind_are_read_and_written_open(kind) -> None:
    key = make_key(kind)
    read = pem.private_key(pem.blocks(pem_of_key(key), "f"), "", "f")
    assert pem.open_key(read) == pem_of_key(key)


def test_old_forms_of_keys_are_read() -> None:
    key = make_key("rsa")
    old = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(b"word"),
    )
    assert b"Proc-Type" in old
    read = pem.private_key(pem.blocks(old, "f"), "word", "f")
    assert pem.open_key(read) == pem_of_key(key)


def test_an_encrypted_key_needs_its_passphrase() -> None:
    found = pem.blocks(pem_of_key(make_key(), b"word"), "f")
    assert pem.private_key(found, "word", "f")
    with pytest.raises(ValueError, match=r"f: the key is encrypted; give `passphrase`"):
        pem.private_key(found, "", "f")
    with pytest.raises(ValueError, match=r"f: the passphrase does not open the key$"):
        pem.private_key(found, "other", "f")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (CERT, "f has no private key, only: certificate"),
        (KEY + KEY, "f has 2 keys, on lines 1 and "),
        (KEY.replace(b"M", b"A"), "f: what begins on line 1 is no private key"),
    ],
)
def test_what_is_no_key_is_told(data, what) -> None:
    with pytest.raises(ValueError, match=what):
        pem.private_key(pem.blocks(data, "f"), "", "f")
