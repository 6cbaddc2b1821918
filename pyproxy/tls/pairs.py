"""A certificate with its chain and its key: do they belong together, and in which order?

ValueErrors have the form `what is wrong; the cure`. What is wrong but does not keep a certificate
from being used is a remark, in the same form.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from pyproxy.config.sections_tls import CertificateFacts, PairRead, TrustRead

from . import pem
from .facts import dns_names, facts, has_signed, is_authority, is_self_signed
from .pem import Found


class Source(NamedTuple):
    """The bytes of a file, and what it is called in errors."""

    data: bytes
    name: str


class FileError(ValueError):
    """What is wrong with the file that <field> of a section names."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@contextlib.contextmanager
def about(field: str) -> Iterator[None]:
    """A ValueError that is raised inside is about this field."""
    try:
        yield
    except FileError:
        raise
    except ValueError as error:
        raise FileError(field, str(error)) from None


def read_pair(
    cert: Source, key: Source | None = None, passphrase: str = "", ocsp: Source | None = None
) -> PairRead:
    """Everything that a server or a client shows; the key is in <cert> when <key> is None.

    Raises `FileError`.
    """
    with about("cert"):
        cert_blocks = pem.blocks(cert.data, cert.name)
        found = pem.certificates(cert_blocks, cert.name)
    where = key or cert
    with about("key"):
        key_blocks = pem.blocks(key.data, key.name) if key else cert_blocks
        private = pem.private_key(key_blocks, passphrase, where.name)
        leaf = _leaf(found, private, cert.name, where.name)
    with about("cert"):
        return _pair(leaf, found, private, cert.name, ocsp)


def _pair(
    leaf: Found, found: list[Found], private: Any, what: str, ocsp: Source | None
) -> PairRead:
    chain, remarks = _chain(leaf, found, what)
    _ask_openssl(chain, private, what)
    try:
        said = facts(leaf.certificate)
    except ValueError as error:
        raise ValueError(f"{what} cannot be used: {error}") from None
    staple = b""
    if ocsp is not None:
        with about("ocsp"):
            staple = _staple(ocsp, leaf.certificate)
    return PairRead(
        chain=b"".join(_pem(link.certificate) for link in chain),
        key=pem.open_key(private),
        ocsp=staple,
        facts=said,
        remarks=tuple(remarks),
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _public(key: Any) -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public: bytes = key.public_bytes(serialization.Encoding.DER, form)
    return public


def _leaf(found: list[Found], private: Any, cert: str, key: str) -> Found:
    """The certificate that the key belongs to."""
    wanted = _public(private.public_key())
    for link in found:
        try:
            if _public(link.certificate.public_key()) == wanted:
                return link
        except ValueError:
            continue  # a kind of key that is not known here: not the one that we have
    where = "" if key == cert else f" (in {key})"
    first = _title(found[0].certificate)
    raise ValueError(
        f"the key{where} does not belong to the certificate {first} of {cert}; "
        "install the pair that was issued together"
    )


def _chain(leaf: Found, found: list[Found], what: str) -> tuple[list[Found], list[str]]:
    """The leaf and those above it, in order; and remarks on how they stood in the file."""
    chain = [leaf]
    left = [link for link in found if link is not leaf]
    while left:
        below = chain[-1].certificate
        above = next((link for link in left if has_signed(link.certificate, below)), None)
        if above is None or is_self_signed(below):
            break
        chain.append(above)
        left.remove(above)
    remarks = []
    if [link for link in found if link in chain] != chain:
        lines = ", ".join(str(link.line) for link in chain)
        remarks.append(
            f"the certificates of {what} are in the wrong order; the right one, by their lines: "
            f"{lines}"
        )
    remarks += [
        f"{_title(link.certificate)} on line {link.line} of {what} has not signed any of the "
        "others; remove it"
        for link in left
    ]
    return chain, remarks


def _title(certificate: x509.Certificate) -> str:
    """What people call a certificate."""
    names = dns_names(certificate)
    return f'"{names[0] if names else certificate.subject.rfc4514_string() or "without a name"}"'


def _ask_openssl(chain: list[Found], key: Any, what: str) -> None:
    """Would it serve this? It refuses small keys and old signatures."""
    context = SSL.Context(SSL.TLS_METHOD)
    try:
        context.use_certificate(chain[0].certificate)
        for link in chain[1:]:
            context.add_extra_chain_cert(link.certificate)
        context.use_privatekey(key)
        context.check_privatekey()
    except SSL.Error as error:
        reason = error_words(error)
        cure = "ask for one with RSA of 2048 bits, ECDSA or Ed25519, signed with SHA-256"
        raise ValueError(f"{what} cannot be used: {reason}; {cure}") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what} cannot be used: {error}") from None


def error_words(error: Exception) -> str:
    """The reason in an error of pyOpenSSL."""
    rows = error.args[0] if error.args else []
    reasons = [str(row[-1]) for row in rows if isinstance(row, tuple) and row[-1]]
    return reasons[0] if reasons else "OpenSSL refuses it"


def _staple(ocsp: Source, leaf: x509.Certificate) -> bytes:
    """An OCSP response that speaks well of the certificate."""
    from cryptography.x509 import ocsp as protocol

    cure = "fetch it again: openssl ocsp -respout"
    try:
        response = protocol.load_der_ocsp_response(ocsp.data)
    except ValueError:
        raise ValueError(f"{ocsp.name} is no OCSP response in DER; {cure}") from None
    if response.response_status is not protocol.OCSPResponseStatus.SUCCESSFUL:
        status = response.response_status.name.lower().replace("_", " ")
        raise ValueError(f'{ocsp.name} holds the answer "{status}"; {cure}')
    if all(single.serial_number != leaf.serial_number for single in response.responses):
        raise ValueError(f"{ocsp.name} is about another certificate; {cure}")
    return ocsp.data


def read_trust(ca: Source) -> TrustRead:
    """Certificates to verify others with."""
    found = pem.certificates(pem.blocks(ca.data, ca.name), ca.name)
    every: list[CertificateFacts] = []
    for link in found:
        try:
            # One that has signed itself can be trusted for itself alone.
            if not is_authority(link.certificate) and not is_self_signed(link.certificate):
                raise ValueError("it may not sign others, and has not signed itself")
            every.append(facts(link.certificate))
        except ValueError as error:
            raise ValueError(
                f"{_title(link.certificate)} on line {link.line} of {ca.name} is no authority "
                f"({error}); name the file of whoever signs"
            ) from None
    return TrustRead(bundle=b"".join(_pem(link.certificate) for link in found), facts=tuple(every))
