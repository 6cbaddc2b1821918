"""A proxy as a program: what it amounts to."""

from __future__ import annotations

import pytest

from pyproxy.errors import ConfigError
from pyproxy.program import Proxy
from testenv.certificates import Pair, certificates

PKI = certificates()


def secured(pair: Pair) -> Proxy:
    return Proxy(
        "127.0.0.1:0", upstream="127.0.0.1:1", tls={"cert": str(pair.cert), "key": str(pair.key)}
    )


def test_it_is_plain_unless_told() -> None:
    assert Proxy("127.0.0.1:0", upstream="127.0.0.1:1").config().listeners["main"].tls is None


def test_it_may_speak_tls() -> None:
    tls = secured(PKI.server).config().listeners["main"].tls
    assert tls is not None
    (certificate,) = tls.certificates
    assert certificate.read is not None
    assert certificate.read.facts.fingerprint == PKI.server.fingerprint


def test_a_bad_pair_is_told_by_its_path() -> None:
    with pytest.raises(ConfigError) as caught:
        secured(PKI.mismatched).config()
    (fault,) = caught.value.faults
    assert (fault.file, fault.path) == ("", "listeners.main.tls.key")
    assert "does not belong to the certificate" in fault.message
