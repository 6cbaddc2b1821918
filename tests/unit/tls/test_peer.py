"""The certificate of a client, taken apart and passed on."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pyproxy.tls.peer import forwarded, peer_of
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


def test_it_is_passed_on_as_envoy_writes_it() -> None:
    assert forwarded(peer_of(der(PKI.alice.x509))) == (
        f"Hash={PKI.alice.fingerprint};"
        'Subject="CN=alice,O=pyproxy tests";'
        "URI=spiffe://test/alice;DNS=alice.test"
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a,b", r'Subject="CN=a\\,b"'),
        ('a"b', r'Subject="CN=a\\\"b"'),
        ("a;DNS=evil", r'Subject="CN=a\\;DNS=evil"'),
        ("Jörg", 'Subject="CN=J%C3%B6rg"'),
        ("a\r\nX-Evil: 1", 'Subject="CN=a%0D%0AX-Evil: 1"'),
    ],
)
def test_nothing_in_a_name_can_end_the_element_or_the_field(name, written) -> None:
    peer = peer_of(der(PKI.alice.x509))
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]).rfc4514_string()
    assert f";{written};" in forwarded(peer._replace(subject=subject))


def test_names_that_could_be_misread_are_quoted() -> None:
    peer = peer_of(der(PKI.alice.x509))
    text = forwarded(peer._replace(uris=("urn:a;DNS=evil,Hash=1",), dns=()))
    assert text.endswith(';URI="urn:a;DNS=evil,Hash=1"')
