"""The files that a configuration names: read, remembered, read again."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from pyproxy.config.load import load, loads
from pyproxy.config.model import Config
from pyproxy.errors import ConfigError
from pyproxy.supervise import blob
from pyproxy.tls.files import read_again
from pyproxy.tls.look import look_of
from testenv.certificates import certificates, make_key, pem_of_key

PKI = certificates()
REST = "upstreams: {app: {endpoints: ['127.0.0.1:1']%s}}\nroutes: [{upstream: app}]\n"


def text(tls: str, upstream: str = "") -> str:
    tls = f", tls: {tls}" if tls else ""
    more = f", tls: {upstream}" if upstream else ""
    return f"listeners: {{web: {{bind: '127.0.0.1:0'{tls}}}}}\n" + REST % more


def pair(folder: Path) -> str:
    return f"{{cert: {folder}/tls.crt, key: {folder}/tls.key}}"


def faults(configuration: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(configuration)
    return [fault.message for fault in caught.value.faults]


def held(config: Config):
    (certificate,) = config.listeners["web"].tls.certificates
    return certificate


def test_a_pair_may_be_given_in_short(tmp_path) -> None:
    PKI.server.copy(tmp_path)
    short = held(loads(text(pair(tmp_path))))
    assert short == held(loads(text(f"{{certificates: {pair(tmp_path)}}}")))
    assert short.read.facts.fingerprint == PKI.server.fingerprint


def test_one_word_is_a_file_with_both(tmp_path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(PKI.server.cert.read_bytes() + PKI.server.key.read_bytes())
    assert held(loads(text(str(both)))).read.facts.fingerprint == PKI.server.fingerprint


def test_paths_are_relative_to_the_configuration(tmp_path, monkeypatch) -> None:
    PKI.server.copy(tmp_path)
    (tmp_path / "pyproxy.yaml").write_text(text("{cert: tls.crt, key: ./tls.key}"))
    monkeypatch.chdir("/")
    certificate = held(load(tmp_path / "pyproxy.yaml"))
    assert (certificate.cert, certificate.key) == (f"{tmp_path}/tls.crt", f"{tmp_path}/tls.key")


def test_pem_may_stand_in_the_configuration_or_a_secret(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("TLS_KEY", PKI.server.key.read_text())
    certificate = held(loads(text(f"{{cert: {PKI.server.cert}, key: 'secret://env/TLS_KEY'}}")))
    assert certificate.read.key == PKI.server.key.read_bytes()
    monkeypatch.setenv("TLS_KEY", PKI.other.key.read_text())
    (message,) = faults(text(f"{{cert: {PKI.server.cert}, key: 'secret://env/TLS_KEY'}}"))
    assert 'the key (in the text of "key") does not belong' in message
    monkeypatch.setenv("TLS_KEY", "hunter2")
    (message,) = faults(text(f"{{cert: {PKI.server.cert}, key: 'secret://env/TLS_KEY'}}"))
    assert message == 'the secret of "key" is not PEM'


def test_an_encrypted_key_is_opened_once(tmp_path, monkeypatch) -> None:
    key = make_key()
    made = PKI.ca.issue("locked", key=key)
    locked = tmp_path / "locked.key"
    locked.write_bytes(pem_of_key(key, b"word"))
    monkeypatch.setenv("WORD", "word")
    tls = f"{{cert: {made.cert}, key: {locked}, passphrase: 'secret://env/WORD'}}"
    assert held(loads(text(tls))).read.key == pem_of_key(key)


def test_every_file_is_remembered_as_it_was(tmp_path) -> None:
    PKI.server.copy(tmp_path)
    config = loads(text(f"{{cert: {tmp_path}/tls.crt, key: {tmp_path}/tls.key}}"))
    assert [look.path for look in config.files] == [f"{tmp_path}/tls.crt", f"{tmp_path}/tls.key"]
    assert list(config.files) == [look_of(look.path) for look in config.files]
    os.utime(tmp_path / "tls.key", ns=(1, 1))
    assert config.files[1] != look_of(f"{tmp_path}/tls.key")


def test_what_cannot_be_read_is_told(tmp_path) -> None:
    PKI.server.copy(tmp_path)
    assert faults(text(f"{{cert: {tmp_path}/none, key: {tmp_path}/tls.key}}")) == [
        f"{tmp_path}/none does not exist"
    ]
    assert faults(text(f"{{cert: {tmp_path}/tls.crt, key: {tmp_path}}}")) == [
        f"{tmp_path} is not a file"
    ]
    os.mkfifo(tmp_path / "pipe")
    assert faults(text(f"{{cert: {tmp_path}/pipe, key: {tmp_path}/tls.key}}")) == [
        f"{tmp_path}/pipe is not a file"
    ]


def test_what_may_not_be_read_is_told(tmp_path, monkeypatch) -> None:
    PKI.server.copy(tmp_path)
    real = os.open

    def refuse(path, *args, **more):  # the tests may run as root, who may read everything
        if str(path).endswith("tls.key"):
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **more)

    monkeypatch.setattr(os, "open", refuse)
    (message,) = faults(text(pair(tmp_path)))
    assert message == f"{tmp_path}/tls.key may not be read by uid {os.geteuid()}"


def test_upstreams_trust_the_system_unless_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(PKI.other_ca.cert))
    towards = loads(text("", "true")).upstreams["app"].tls
    assert towards.read.bundle == PKI.other_ca.cert.read_bytes()
    towards = loads(text("", f"{{ca: {PKI.ca.cert}}}")).upstreams["app"].tls
    assert towards.read.bundle == PKI.ca.cert.read_bytes()
    assert loads(text("", "{verify: off}")).upstreams["app"].tls.read is None
    assert not loads(text("", "false")).upstreams["app"].tls


def test_upstreams_show_a_certificate() -> None:
    own = f"{{verify: no, cert: {PKI.alice.cert}, key: {PKI.alice.key}}}"
    towards = loads(text("", own)).upstreams["app"].tls
    assert towards.pair.facts.fingerprint == PKI.alice.fingerprint


def test_nothing_changes_when_nothing_has(tmp_path) -> None:
    PKI.server.copy(tmp_path)
    config = loads(text(pair(tmp_path), f"{{ca: {PKI.ca.cert}}}"))
    again = read_again(config)
    assert again.changed == []
    assert again.faults == []
    assert again.config == config


def test_another_pair_replaces_the_old_one_without_the_places_of_the_file(tmp_path) -> None:
    PKI.server.copy(tmp_path)
    config = _placeless(loads(text(pair(tmp_path))))
    PKI.server_rsa.copy(tmp_path)
    again = read_again(config)
    assert again.changed == ["listeners.web.tls.certificates[0]"]
    assert held(again.config).read.facts.fingerprint == PKI.server_rsa.fingerprint


def test_a_bad_pair_leaves_the_old_one_and_takes_the_good_ones(tmp_path) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    for folder, first in ((bad, PKI.server), (good, PKI.wildcard)):
        folder.mkdir()
        first.copy(folder)
    config = _placeless(loads(text(f"{{certificates: [{pair(bad)}, {pair(good)}]}}")))
    (bad / "tls.crt").write_bytes(PKI.other.cert.read_bytes())
    PKI.exact.copy(good)
    again = read_again(config)
    (fault,) = again.faults
    assert fault.path == "listeners.web.tls.certificates[0].key"
    assert "does not belong to the certificate" in fault.message
    first, second = again.config.listeners["web"].tls.certificates
    assert first.read.facts.fingerprint == PKI.server.fingerprint
    assert second.read.facts.fingerprint == PKI.exact.fingerprint
    assert again.changed == ["listeners.web.tls.certificates[1]"]


def _placeless(config: Config) -> Config:
    """As it is after a reload: the places stay with the process that has read it."""
    fd = blob.pack(config)
    try:
        return blob.unpack(fd)
    finally:
        os.close(fd)


def test_keys_do_not_show_when_a_configuration_is_printed(tmp_path) -> None:
    config = loads(text(f"{{cert: {PKI.server.cert}, key: {PKI.server.key}}}"))
    shown = repr(msgspec.structs.replace(config, access_log=None))
    assert "PRIVATE" not in shown
    assert "BEGIN" not in shown


def test_what_has_been_refused_is_tried_again_whatever_else_has_changed(tmp_path) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    for folder, first in ((bad, PKI.server), (good, PKI.wildcard)):
        folder.mkdir()
        first.copy(folder)
    config = loads(text(f"{{certificates: [{pair(bad)}, {pair(good)}]}}"))
    (bad / "tls.crt").write_bytes(PKI.other.cert.read_bytes())
    PKI.exact.copy(good)
    first = read_again(config)
    assert len(first.faults) == 1
    second = read_again(first.config)
    assert (second.faults, second.changed) == (first.faults, [])
    (bad / "tls.key").write_bytes(PKI.other.key.read_bytes())
    third = read_again(second.config)
    assert (third.faults, third.changed) == ([], ["listeners.web.tls.certificates[0]"])


def test_only_what_has_changed_is_read_again(tmp_path, monkeypatch) -> None:
    both = tmp_path / "a", tmp_path / "b"
    for folder, first in zip(both, (PKI.server, PKI.wildcard), strict=True):
        folder.mkdir()
        first.copy(folder)
    config = loads(text(f"{{certificates: [{pair(both[0])}, {pair(both[1])}]}}"))
    PKI.exact.copy(both[1])
    opened: list[str] = []
    real = os.open

    def count(path, *args, **more):
        opened.append(str(path))
        return real(path, *args, **more)

    monkeypatch.setattr(os, "open", count)
    assert read_again(config).changed == ["listeners.web.tls.certificates[1]"]
    assert opened == [f"{both[1]}/tls.crt", f"{both[1]}/tls.key"]
