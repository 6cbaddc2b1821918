"""What a certificate says, in the words of the configuration, the log and the metrics."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from pyproxy.config.sections_tls import CertificateFacts


def facts(certificate: x509.Certificate) -> CertificateFacts:
    """The facts of a certificate. Raises ValueError for one that breaks the rules of X.509."""
    try:
        return CertificateFacts(
            subject=name_text(certificate.subject),
            issuer=name_text(certificate.issuer),
            serial=f"{certificate.serial_number:x}",
            names=dns_names(certificate),
            uris=uris(certificate),
            key_kind=key_kind(certificate.public_key()),
            not_before=int(certificate.not_valid_before_utc.timestamp()),
            not_after=int(certificate.not_valid_after_utc.timestamp()),
            fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
        )
    except x509.DuplicateExtension as error:
        raise ValueError(f"it has an extension twice ({error.oid.dotted_string})") from None


def name_text(name: x509.Name) -> str:
    """RFC 4514, `CN=example.com,O=Example`; a name may be empty."""
    return name.rfc4514_string()


def dns_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """The names a client may ask for: the alternative ones, else the common one, in lower case.

    Addresses are not among them: nobody asks for an address by SNI (RFC 6066 section 3).
    """
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = [
            str(attribute.value)
            for attribute in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
            if _looks_like_host(str(attribute.value))
        ]
    return tuple(dict.fromkeys(name.lower() for name in names))


def uris(certificate: x509.Certificate) -> tuple[str, ...]:
    """The URIs among its alternative names, such as a SPIFFE identity."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(extension.value.get_values_for_type(x509.UniformResourceIdentifier))


def _looks_like_host(text: str) -> bool:
    return bool(text) and all(c.isascii() and (c.isalnum() or c in "-.*_") for c in text)


def key_kind(key: Any) -> str:
    """`RSA 2048`, `ECDSA secp256r1`, `Ed25519`."""
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}"
    return type(key).__name__.removesuffix("PublicKey")


def is_authority(certificate: x509.Certificate) -> bool:
    """May it sign others? One of the old kind that does not say so (version 1) may, being a root.

    Raises ValueError for one that breaks the rules of X.509.
    """
    try:
        basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    except x509.DuplicateExtension as error:
        raise ValueError(f"it has an extension twice ({error.oid.dotted_string})") from None
    return basic.value.ca


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Is it its own root?"""
    return certificate.subject == certificate.issuer


def has_signed(above: x509.Certificate, below: x509.Certificate) -> bool:
    """Has the key of <above> signed <below>?"""
    if above.subject != below.issuer:
        return False
    try:
        below.verify_directly_issued_by(above)
    except Exception:
        # A wrong signature, or of a kind that is not known here: the peer will say.
        return False
    return True
