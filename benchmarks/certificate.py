"""The certificate that all proxies show: EC P-256, signed by itself, for bench.example."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from benchmarks.errors import Unavailable

NAME = "bench.example"
# The suite and the group of every TLS scenario; servers that can be told are told.
SUITE = "TLS_AES_128_GCM_SHA256"
GROUP = "X25519"
HYBRID = "X25519MLKEM768"


class Pair(NamedTuple):
    """The files: certificate, key, and both in one."""

    cert: Path
    key: Path
    both: Path


def pair(folder: Path) -> Pair:
    """Write the files to <folder>, anew each time. Unavailable without `cryptography`."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError as exc:
        raise Unavailable(f"no certificate can be made: {exc}") from exc
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    made = Pair(folder / "cert.pem", folder / "key.pem", folder / "both.pem")
    folder.mkdir(parents=True, exist_ok=True)
    public = cert.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    made.cert.write_bytes(public)
    made.key.touch(0o600)
    made.key.write_bytes(private)
    made.both.touch(0o600)
    made.both.write_bytes(public + private)
    return made
