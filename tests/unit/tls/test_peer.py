"""The certificate of a client, taken apart."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pyproxy.tls.peer import peer_of
from testenv.certificates import certificates

PKI = certificates()


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def test_a_client_is_known_by_its_names() -> None:
    alice = peer_of(der(PKI.alice.x509))
    assert alice.subject == "CN=alice,O=pyproxy tests"
    assert alice.issuer == "CN=Test Root,O=pyproxy tests"
    assert alice.dns == ("alice.test",)
    assert alice.uris == ("spiffe://test/alice",)
    assert alice.fingerprint == PKI.alice.fingerprint
    assert alice.not_after == int(PKI.alice.x509.not_valid_after_utc.timestamp())


def test_a_certificate_may_have_no_names() -> None:
    root = peer_of(der(PKI.ca.certificate))
    assert (root.dns, root.uris, root.emails, root.addresses) == ((), (), (), ())


def test_addresses_are_text() -> None:
    assert peer_of(der(PKI.server.x509)).addresses == ("127.0.0.1", "::1")


@pytest.mark.parametrize("data", [b"", b"hello", der(PKI.alice.x509)[:-1]])
def test_what_is_no_certificate_is_refused(data) -> None:
    with pytest.raises(ValueError, match=r".+"):
        peer_of(data)
