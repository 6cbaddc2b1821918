"""TLS towards endpoints: who is believed, under which name, and what is told otherwise."""

from __future__ import annotations

import json
import shutil
import ssl

import pytest

from testenv import Origin, Proxy, origin, running, wait_until
from testenv.certificates import Pair, certificates

PKI = certificates()


def config(app: Origin, tls: str, host: str = "localhost") -> str:
    return f"""
workers: 1
admin: 127.0.0.1:0
access_log: stdout
listeners: {{web: {{bind: 127.0.0.1:0}}}}
upstreams:
  app:
    endpoints: "{host}:{app.port}"
    tls: {tls}
    retries: 0
routes: [{{upstream: app}}]
"""


TRUSTING = f"{{ca: {PKI.ca.cert}}}"


def fault_of(proxy: Proxy) -> str:
    """The word for the last request in the access log."""
    wait_until(lambda: proxy.stdout.endswith("\n"), "a line in the access log")
    return str(json.loads(proxy.stdout.splitlines()[-1])["fault"])


@pytest.mark.parametrize("name", ["server", "server_rsa", "chained"])
def test_requests_go_out_over_tls(name) -> None:
    context = PKI.server_context(getattr(PKI, name))
    with origin(tls=context) as app, running(config(app, TRUSTING)) as proxy:
        assert [proxy.get(path).status for path in ("/a", "/b", "/c")] == [200, 200, 200]
        assert [request.path for request in app.requests] == ["/a", "/b", "/c"]
        assert app.connections == 1  # kept and used again


@pytest.mark.parametrize(
    ("pair", "word"),
    [
        (PKI.expired, "certificate_expired"),
        (PKI.not_yet, "certificate_expired"),
        (PKI.other, "certificate_name"),
        (PKI.untrusted, "certificate_unknown_ca"),
    ],
    ids=["expired", "not yet valid", "another name", "another authority"],
)
def test_who_cannot_be_believed_gets_no_request(pair, word) -> None:
    with origin(tls=PKI.server_context(pair)) as app, running(config(app, TRUSTING)) as proxy:
        assert proxy.get("/secret").status == 502
        assert fault_of(proxy) == word
        assert app.requests == []


def test_the_authorities_of_the_system_are_believed_by_default() -> None:
    with origin(tls=PKI.server_context()) as app:
        with running(config(app, "true")) as proxy:
            assert proxy.get().status == 502
            assert fault_of(proxy) == "certificate_unknown_ca"
        with running(config(app, "true"), env={"SSL_CERT_FILE": str(PKI.ca.cert)}) as proxy:
            assert proxy.get().status == 200


def test_a_folder_of_authorities_is_believed(tmp_path) -> None:
    shutil.copy(PKI.ca.cert, tmp_path / f"{subject_hash()}.0")
    with (
        origin(tls=PKI.server_context()) as app,
        running(config(app, f"{{ca: {tmp_path}}}")) as proxy,
    ):
        assert proxy.get().status == 200


def subject_hash() -> str:
    """What `openssl rehash` calls the file."""
    from OpenSSL import crypto

    return f"{crypto.X509.from_cryptography(PKI.ca.certificate).subject_name_hash():08x}"


def test_nobody_is_asked_for_a_name_with_verify_off() -> None:
    with (
        origin(tls=PKI.server_context(PKI.untrusted)) as app,
        running(config(app, "{verify: off}")) as proxy,
    ):
        assert proxy.get().status == 200


def test_an_address_is_verified_as_such() -> None:
    with (
        origin(tls=PKI.server_context()) as app,
        running(config(app, TRUSTING, "127.0.0.1")) as proxy,
    ):
        assert proxy.get().status == 200
    with (
        origin(tls=PKI.server_context(PKI.other)) as app,
        running(config(app, TRUSTING, "127.0.0.1")) as proxy,
    ):
        assert proxy.get().status == 502
        assert fault_of(proxy) == "certificate_name"


def test_another_name_may_be_asked_for() -> None:
    asked: list[str | None] = []
    context = PKI.server_context(PKI.other)
    context.sni_callback = lambda _sock, name, _context: asked.append(name)
    tls = f"{{ca: {PKI.ca.cert}, server_name: other.test}}"
    with origin(tls=context) as app, running(config(app, tls)) as proxy:
        assert proxy.get().status == 200
        assert set(asked) == {"other.test"}


def test_a_certificate_is_shown_to_those_who_ask() -> None:
    own = f"{{ca: {PKI.ca.cert}, cert: {PKI.alice.cert}, key: {PKI.alice.key}}}"
    context = PKI.server_context(client_ca=PKI.ca)
    with origin(tls=context) as app:
        with running(config(app, own)) as proxy:
            assert proxy.get().status == 200
        with running(config(app, TRUSTING)) as proxy:
            assert proxy.get().status == 502


def test_old_versions_are_not_spoken_unless_wanted() -> None:
    context = PKI.server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with origin(tls=context) as app:
        with running(config(app, TRUSTING)) as proxy:
            assert proxy.get().status == 200
        with running(config(app, f"{{ca: {PKI.ca.cert}, min_version: 1.3}}")) as proxy:
            assert proxy.get().status == 502


def test_authorities_that_change_on_disk_are_believed_at_once(tmp_path) -> None:
    ca = tmp_path / "ca.pem"
    shutil.copy(PKI.other_ca.cert, ca)
    with origin(tls=PKI.server_context()) as app, running(config(app, f"{{ca: {ca}}}")) as proxy:
        assert proxy.get().status == 502
        shutil.copy(PKI.ca.cert, ca)
        wait_until(lambda: proxy.get().status == 200, "the new authority is believed")


def test_the_own_certificate_may_change_on_disk(tmp_path) -> None:
    live: Pair = PKI.mallory.copy(tmp_path)
    own = f"{{ca: {PKI.ca.cert}, cert: {live.cert}, key: {live.key}}}"
    context = PKI.server_context(client_ca=PKI.ca)
    with origin(tls=context) as app, running(config(app, own)) as proxy:
        assert proxy.get().status == 502
        PKI.alice.copy(tmp_path)
        wait_until(lambda: proxy.get().status == 200, "the new certificate is shown")
