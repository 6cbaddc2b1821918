"""X-Forwarded-Client-Cert: what origins are told of a client's certificate."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from pyproxy.tls.forwarded import by, forwarded
from pyproxy.tls.peer import peer_of
from testenv.certificates import certificates

PKI = certificates()


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


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


def test_our_own_uris_come_first() -> None:
    peer = peer_of(der(PKI.alice.x509))
    ours = by(["spiffe://test/proxy", "urn:a;Hash=0"])
    assert ours == 'By=spiffe://test/proxy;By="urn:a;Hash=0"'
    assert forwarded(peer, ours) == f"{ours};{forwarded(peer)}"
