"""Certificate, chain and key: what belongs together, and in which order."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import ocsp

from pyproxy.tls.pairs import FileError, Source, read_pair, read_trust
from testenv.certificates import certificates

PKI = certificates()


def source(path) -> Source:
    return Source(path.read_bytes(), path.name)


def parts(pair) -> list[bytes]:
    return [
        one.public_bytes(serialization.Encoding.PEM)
        for one in x509.load_pem_x509_certificates(pair.cert.read_bytes())
    ]


@pytest.mark.parametrize("name", ["server", "server_rsa", "wildcard", "expired", "alice"])
def test_a_pair_is_read(name) -> None:
    pair = getattr(PKI, name)
    read = read_pair(source(pair.cert), source(pair.key))
    assert read.chain == pair.cert.read_bytes()
    assert read.facts.fingerprint == pair.fingerprint
    assert read.remarks == ()


def test_facts_are_told_in_words() -> None:
    said = read_pair(source(PKI.server_rsa.cert), source(PKI.server_rsa.key)).facts
    assert said.subject == "CN=localhost,O=pyproxy tests"
    assert said.issuer == "CN=Test Root,O=pyproxy tests"
    assert said.names == ("localhost", "app.test", "www.app.test")
    assert said.key_kind == "RSA 2048"
    assert said.not_after == int(PKI.server_rsa.x509.not_valid_after_utc.timestamp())


def test_one_file_may_hold_both() -> None:
    both = Source(PKI.server.key.read_bytes() + PKI.server.cert.read_bytes(), "f")
    assert read_pair(both).chain == PKI.server.cert.read_bytes()


def test_a_key_of_another_certificate_is_refused() -> None:
    with pytest.raises(FileError, match=r"other.key\) does not belong to .*localhost.*") as caught:
        read_pair(source(PKI.mismatched.cert), source(PKI.mismatched.key))
    assert caught.value.field == "key"


def test_a_chain_keeps_its_order() -> None:
    read = read_pair(source(PKI.chained.cert), source(PKI.chained.key))
    assert read.chain.count(b"BEGIN CERTIFICATE") == 2
    assert read.remarks == ()


def test_a_chain_in_the_wrong_order_is_mended_and_remarked() -> None:
    leaf, middle = parts(PKI.chained)
    read = read_pair(Source(middle + leaf, "f"), source(PKI.chained.key))
    assert read.chain == leaf + middle
    lines = "{}, 1".format(middle.count(b"\n") + 1)
    assert read.remarks == (
        f"the certificates of f are in the wrong order; the right one, by their lines: {lines}",
    )


def test_what_has_signed_nothing_is_left_out_and_remarked() -> None:
    leaf, middle = parts(PKI.chained)
    stray = PKI.other.cert.read_bytes()
    read = read_pair(Source(leaf + stray + middle, "f"), source(PKI.chained.key))
    assert read.chain == leaf + middle
    (remark,) = read.remarks
    assert remark.startswith('"other.test" on line')
    assert remark.endswith("of f has not signed any of the others; remove it")


def test_what_openssl_would_refuse_is_refused() -> None:
    key = rsa.generate_private_key(65537, 1024)
    weak = PKI.ca.issue("weak", key=key)
    with pytest.raises(FileError, match=r"weak.crt cannot be used: .*key too small.*RSA of 2048"):
        read_pair(source(weak.cert), source(weak.key))


def staple(serial: int) -> bytes:
    now = dt.datetime.now(dt.UTC)
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        issuer_name_hash=b"0" * 20,
        issuer_key_hash=b"0" * 20,
        serial_number=serial,
        algorithm=hashes.SHA1(),
        cert_status=ocsp.OCSPCertStatus.GOOD,
        this_update=now,
        next_update=now + dt.timedelta(days=3),
        revocation_time=None,
        revocation_reason=None,
    )
    responder = builder.responder_id(ocsp.OCSPResponderEncoding.NAME, PKI.ca.certificate)
    response = responder.sign(PKI.ca.key, hashes.SHA256())
    return response.public_bytes(serialization.Encoding.DER)


def test_an_ocsp_response_goes_along() -> None:
    data = staple(PKI.server.x509.serial_number)
    read = read_pair(source(PKI.server.cert), source(PKI.server.key), ocsp=Source(data, "o"))
    assert read.ocsp == data


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"hello", "o is no OCSP response in DER"),
        (staple(1), "o is about another certificate"),
        (
            ocsp.OCSPResponseBuilder.build_unsuccessful(
                ocsp.OCSPResponseStatus.TRY_LATER
            ).public_bytes(serialization.Encoding.DER),
            'o holds the answer "try later"',
        ),
    ],
)
def test_an_ocsp_response_that_says_nothing_good_is_refused(data, what) -> None:
    with pytest.raises(FileError, match=what) as caught:
        read_pair(source(PKI.server.cert), source(PKI.server.key), ocsp=Source(data, "o"))
    assert caught.value.field == "ocsp"


def test_authorities_are_read() -> None:
    both = PKI.ca.cert.read_bytes() + PKI.other_ca.cert.read_bytes()
    read = read_trust(Source(both, "f"))
    assert read.bundle == both
    assert [one.subject for one in read.facts] == [
        "CN=Test Root,O=pyproxy tests",
        "CN=Other Root,O=pyproxy tests",
    ]


def test_a_certificate_that_may_not_sign_is_no_authority() -> None:
    both = PKI.ca.cert.read_bytes() + PKI.alice.cert.read_bytes()
    with pytest.raises(ValueError, match=r'"alice.test" on line .* of f is no authority'):
        read_trust(Source(both, "f"))
