"""The authorities that the system trusts, wherever this system keeps them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pyproxy.config.sections_tls import TrustRead

# Debian, Alpine and SUSE; Fedora and RHEL; FreeBSD and others by their bundle.
_FOLDERS = ("/etc/ssl/certs", "/etc/pki/ca-trust/extracted/pem/directory-hash")
_BUNDLES = (
    *("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"),
    *("/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"),
)
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+")


def folder(path: str) -> TrustRead:
    """A folder in which the library looks by the hash of a name. ValueError when it is none."""
    if not _is_hashed(path):
        raise ValueError(f"{path} has no hashed names; run: openssl rehash {path}")
    return TrustRead(folder=path)


def system(environ: Mapping[str, str] = os.environ) -> TrustRead:
    """What `ca` stands for when it is not given; the variables of OpenSSL go before.

    A folder is preferred: of a hundred authorities only those are read that are met.
    """
    file, at = environ.get("SSL_CERT_FILE", ""), environ.get("SSL_CERT_DIR", "")
    if file:
        return TrustRead(bundle=_bundle(Path(file)))
    for path in (at,) if at else _FOLDERS:
        if _is_hashed(path):
            return TrustRead(folder=path)
    for path in _BUNDLES:
        if Path(path).is_file():
            return TrustRead(bundle=_bundle(Path(path)))
    return TrustRead(bundle=_packaged())


def _is_hashed(path: str) -> bool:
    try:
        with os.scandir(path) as entries:
            return any(_HASHED.fullmatch(entry.name) for entry in entries)
    except OSError:
        return False


def _bundle(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"the authorities of the system cannot be read: {path}: {error.strerror}; give `ca`"
        ) from None
    if b"-----BEGIN " not in data:
        raise ValueError(f"{path} has no authorities; give `ca`")
    return data


def _packaged() -> bytes:
    """What comes with httpx, where the system has nothing."""
    try:
        import certifi
    except ImportError:
        raise ValueError(
            "this system has no authorities; install ca-certificates, or give `ca`"
        ) from None
    return Path(certifi.where()).read_bytes()
