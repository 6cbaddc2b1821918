"""The certificate that a client has shown, for filters and for origins (`forwarded`).

It has been verified: what is in it is as true as the authority says. Still it is written by others.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.utils import CryptographyDeprecationWarning


class Peer(NamedTuple):
    """Who a client is. Names are in the order of the certificate, times are Unix time."""

    subject: str
    issuer: str
    serial: str
    dns: tuple[str, ...]
    uris: tuple[str, ...]
    emails: tuple[str, ...]
    addresses: tuple[str, ...]
    not_before: int
    not_after: int
    fingerprint: str


def peer_of(der: bytes) -> Peer:
    """Take a certificate (DER) apart. Raises ValueError for what is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CryptographyDeprecationWarning)
            certificate = x509.load_der_x509_certificate(der)
            names = _alternative_names(certificate)
            return Peer(
                subject=certificate.subject.rfc4514_string(),
                issuer=certificate.issuer.rfc4514_string(),
                serial=f"{certificate.serial_number:x}",
                dns=tuple(names.get_values_for_type(x509.DNSName)),
                uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
                emails=tuple(names.get_values_for_type(x509.RFC822Name)),
                addresses=tuple(map(str, names.get_values_for_type(x509.IPAddress))),
                not_before=int(certificate.not_valid_before_utc.timestamp()),
                not_after=int(certificate.not_valid_after_utc.timestamp()),
                fingerprint=certificate.fingerprint(hashes.SHA256()).hex(),
            )
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from None


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return x509.SubjectAlternativeName([])
