"""TLS settings of an upstream, as the library of Python takes them.

What is verified is the same as in the workers, whose library is another one: suites and groups of
the key exchange that this one does not know are left to it.
"""

from __future__ import annotations

import contextlib
import os
import re
import ssl
from collections.abc import Iterator, Sequence

from pyproxy.tls.settings import ClientSettings

_BLOCK = re.compile(rb"-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----", re.DOTALL)


def library_settings(settings: ClientSettings, offers: Sequence[str]) -> ssl.SSLContext:
    """A context that offers the protocols <offers>. Raises `ssl.SSLError` or OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    agreement = settings.agreement
    context.minimum_version = ssl.TLSVersion(agreement.min_version)
    context.maximum_version = ssl.TLSVersion(agreement.max_version)
    if agreement.ciphers:
        with contextlib.suppress(ssl.SSLError):
            context.set_ciphers(agreement.ciphers)
    if offers:
        context.set_alpn_protocols(list(offers))
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.ca:
        context.load_verify_locations(cadata=b"\n".join(_BLOCK.findall(settings.ca)).decode())
    if settings.ca_dir:
        context.load_verify_locations(capath=os.fsdecode(settings.ca_dir))
    if settings.chain:
        with _as_file(settings.chain) as chain, _as_file(settings.key) as key:
            context.load_cert_chain(chain, key)
    return context


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """The library reads files only; keys do not touch the disk for that."""
    fd = os.memfd_create("pyproxy-pem", os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        yield f"/proc/self/fd/{fd}"
    finally:
        os.close(fd)
