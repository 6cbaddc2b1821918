"""Whom the system trusts."""

from __future__ import annotations

import pytest

from pyproxy.tls import trust
from testenv.certificates import certificates

PKI = certificates()


def test_a_folder_must_have_hashed_names(tmp_path) -> None:
    with pytest.raises(ValueError, match=f"{tmp_path} has no hashed names; run: openssl rehash"):
        trust.folder(str(tmp_path))
    (tmp_path / "0a1b2c3d.0").write_bytes(PKI.ca.cert.read_bytes())
    assert trust.folder(str(tmp_path)).folder == str(tmp_path)


def test_the_variables_of_openssl_go_before(tmp_path) -> None:
    found = trust.system({"SSL_CERT_FILE": str(PKI.ca.cert), "SSL_CERT_DIR": str(tmp_path)})
    assert found.bundle == PKI.ca.cert.read_bytes()
    (tmp_path / "0a1b2c3d.0").write_bytes(PKI.ca.cert.read_bytes())
    assert trust.system({"SSL_CERT_DIR": str(tmp_path)}).folder == str(tmp_path)


def test_a_variable_that_leads_nowhere_is_an_error(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"cannot be read: .*No such file.*; give `ca`"):
        trust.system({"SSL_CERT_FILE": str(tmp_path / "none")})
    (tmp_path / "empty").write_text("")
    with pytest.raises(ValueError, match=r"has no authorities; give `ca`"):
        trust.system({"SSL_CERT_FILE": str(tmp_path / "empty")})


def test_every_system_has_some(monkeypatch) -> None:
    assert trust.system({}).folder or trust.system({}).bundle
    monkeypatch.setattr(trust, "_FOLDERS", ())
    monkeypatch.setattr(trust, "_BUNDLES", ())
    assert b"BEGIN CERTIFICATE" in trust.system({}).bundle
