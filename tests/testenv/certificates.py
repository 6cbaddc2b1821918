"""A certificate authority for tests, made once in a session, and what it signs.

    from testenv.certificates import certificates

    pki = certificates()
    running(f"... tls: {{certificates: [{{cert: {pki.server.cert}, key: {pki.server.key}}}]}}")
    context = pki.client_context()          # trusts the authority, speaks for nobody
    context = pki.client_context(pki.alice) # mutual TLS

Everything is a PEM file. Keys are made once, RSA ones are slow. What a test changes or removes it
copies first (`Pair.copy`).
"""

from __future__ import annotations

import atexit
import datetime as dt
import functools
import ipaddress
import shutil
import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
KeyKind = Literal["ec", "rsa", "ed25519"]
_DAY = dt.timedelta(days=1)
# Every name by which a test may reach this machine, and two that exist nowhere.
NAMES = ("localhost", "127.0.0.1", "::1", "app.test", "www.app.test")


@dataclass(frozen=True)
class Pair:
    """A certificate (with its chain) and its key, in files."""

    cert: Path
    key: Path

    @property
    def x509(self) -> x509.Certificate:
        """The certificate itself, without the chain."""
        return x509.load_pem_x509_certificates(self.cert.read_bytes())[0]

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal, as X-Forwarded-Client-Cert has it."""
        return self.x509.fingerprint(hashes.SHA256()).hex()

    def copy(self, folder: Path) -> Pair:
        """The same in a folder of the test's own, as `tls.crt` and `tls.key`."""
        pair = Pair(folder / "tls.crt", folder / "tls.key")
        shutil.copy(self.cert, pair.cert)
        shutil.copy(self.key, pair.key)
        return pair


def make_key(kind: KeyKind = "ec") -> Key:
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1()) if kind == "ec" else _ed25519()


def _ed25519() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def pem_of_key(key: Key, password: bytes = b"") -> bytes:
    secret: serialization.KeySerializationEncryption = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, secret)


class Authority:
    """Signs certificates. `cert` is its own in a file; `chain` what goes with those it signs."""

    def __init__(self, folder: Path, name: str, above: Authority | None = None) -> None:
        self.folder = folder
        self.key = make_key()
        self.name = _name(name)
        issuer, signer = (above.name, above.key) if above else (self.name, self.key)
        self.certificate = (
            _builder(self.name, issuer, self.key, days=(-30, 3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .add_extension(_key_id(signer), critical=False)
            .sign(signer, _hash(signer))
        )
        pem = self.certificate.public_bytes(serialization.Encoding.PEM)
        self.chain = pem + above.chain if above else b""
        self.cert = folder / f"{name.lower().replace(' ', '-')}.pem"
        self.cert.write_bytes(pem)

    def issue(
        self,
        file: str,
        names: Sequence[str] = NAMES,
        *,
        kind: KeyKind = "ec",
        days: tuple[float, float] = (-1, 90),
        key: Key | None = None,
        common_name: str = "",
        uris: Sequence[str] = (),
    ) -> Pair:
        """A certificate for <names> (addresses are known by their form), valid for <days> from
        now."""
        own = key or make_key(kind)
        builder = _builder(_name(common_name or names[0]), self.name, own, days=days)
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        alternatives = [_alternative(name) for name in names]
        alternatives += [x509.UniformResourceIdentifier(uri) for uri in uris]
        certificate = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(both), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(_key_id(self.key), critical=False)
            .sign(self.key, _hash(self.key))
        )
        pair = Pair(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        pair.cert.write_bytes(pem + self.chain)
        pair.key.write_bytes(pem_of_key(own))
        pair.key.chmod(0o600)
        return pair


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "pyproxy tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Key, *, days: tuple[float, float]
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * _DAY)
        .not_valid_after(now + days[1] * _DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_id(signer: Key) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())


def _hash(key: Key) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class Certificates:
    """What most tests need, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @functools.cached_property
    def ca(self) -> Authority:
        """The root that everybody trusts."""
        return Authority(self.folder, "Test Root")

    @functools.cached_property
    def other_ca(self) -> Authority:
        """A root that nobody trusts."""
        return Authority(self.folder, "Other Root")

    @functools.cached_property
    def middle(self) -> Authority:
        """An intermediate below `ca`."""
        return Authority(self.folder, "Test Middle", self.ca)

    @functools.cached_property
    def server(self) -> Pair:
        """ECDSA, for `NAMES`."""
        return self.ca.issue("server")

    @functools.cached_property
    def server_rsa(self) -> Pair:
        """RSA, for the same names."""
        return self.ca.issue("server-rsa", kind="rsa")

    @functools.cached_property
    def wildcard(self) -> Pair:
        """For *.wild.test."""
        return self.ca.issue("wildcard", ["*.wild.test"])

    @functools.cached_property
    def exact(self) -> Pair:
        """For exact.wild.test, which the wildcard takes as well."""
        return self.ca.issue("exact", ["exact.wild.test"])

    @functools.cached_property
    def other(self) -> Pair:
        """For other.test alone: any other name does not match."""
        return self.ca.issue("other", ["other.test"])

    @functools.cached_property
    def expired(self) -> Pair:
        """For `NAMES`, until yesterday."""
        return self.ca.issue("expired", days=(-90, -1))

    @functools.cached_property
    def not_yet(self) -> Pair:
        """For `NAMES`, from tomorrow."""
        return self.ca.issue("not-yet", days=(1, 90))

    @functools.cached_property
    def chained(self) -> Pair:
        """For `NAMES`, signed by the intermediate, which is in the file."""
        return self.middle.issue("chained")

    @functools.cached_property
    def untrusted(self) -> Pair:
        """For `NAMES`, signed by a root that nobody trusts."""
        return self.other_ca.issue("untrusted")

    @functools.cached_property
    def mismatched(self) -> Pair:
        """A certificate with the key of another."""
        return Pair(self.server.cert, self.other.key)

    @functools.cached_property
    def alice(self) -> Pair:
        """A client that everybody trusts, with a DNS name and a URI."""
        uris = ["spiffe://test/alice"]
        return self.ca.issue("alice", ["alice.test"], common_name="alice", uris=uris)

    @functools.cached_property
    def mallory(self) -> Pair:
        """A client whom nobody trusts."""
        return self.other_ca.issue("mallory", ["mallory.test"], common_name="mallory")

    def client_context(self, pair: Pair | None = None, **options: object) -> ssl.SSLContext:
        """What `ssl` needs to be a client that trusts `ca`, with a certificate or without.

        `options` are attributes of the context, such as `maximum_version`.
        """
        context = ssl.create_default_context(cafile=str(self.ca.cert))
        if pair is not None:
            context.load_cert_chain(pair.cert, pair.key)
        for name, value in options.items():
            setattr(context, name, value)
        return context

    def server_context(
        self, pair: Pair | None = None, *, client_ca: Authority | None = None
    ) -> ssl.SSLContext:
        """What `ssl` needs to be a server; with <client_ca> it demands a certificate of that."""
        pair = pair or self.server
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        if client_ca is not None:
            context.load_verify_locations(client_ca.cert)
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@functools.cache
def certificates() -> Certificates:
    """Those of this process; their files go when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="pyproxy-certificates-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Certificates(folder)
