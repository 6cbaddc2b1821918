"""Certificates of clients: who is let in, who is resumed."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest

from testenv import GUARD_SECONDS, Proxy, read_response, running, send, wait_until
from testenv.certificates import Pair, certificates

PKI = certificates()

CONFIG = """
workers: 2
admin: 127.0.0.1:0
listeners:
  web:
    bind: 127.0.0.1:0
    tls: {{cert: {cert}, key: {key}{more}}}
routes: [{{respond: {{body: "hello\\n"}}}}]
"""


def config(more: str = "") -> str:
    return CONFIG.format(cert=PKI.server.cert, key=PKI.server.key, more=more)


def asking(mode: str) -> str:
    return config(f", client_certificates: {{ca: {PKI.ca.cert}, mode: {mode}}}")


@contextlib.contextmanager
def dialled(proxy: Proxy, context: ssl.SSLContext, session: ssl.SSLSession | None = None):
    with (
        socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS) as sock,
        context.wrap_socket(sock, server_hostname="app.test", session=session) as secured,
    ):
        yield secured


def status(proxy: Proxy, pair: Pair | None, version: ssl.TLSVersion) -> int:
    """Of a request with the certificate of <pair>; 0: the handshake failed."""
    context = PKI.client_context(pair, maximum_version=version)
    try:
        with dialled(proxy, context) as sock:
            send(sock)
            return read_response(sock).status
    except (ssl.SSLError, ConnectionError):
        return 0  # with TLS 1.3 a client hears it when it first reads


VERSIONS = pytest.mark.parametrize(
    "version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"]
)


@VERSIONS
def test_nobody_comes_in_without_a_certificate_that_is_trusted(version) -> None:
    with running(asking("required")) as proxy:
        assert status(proxy, PKI.alice, version) == 200
        assert status(proxy, None, version) == 0
        assert status(proxy, PKI.mallory, version) == 0
        assert status(proxy, PKI.ca.issue("late", ["late.test"], days=(-9, -1)), version) == 0
        failures = proxy.metrics()['pyproxy_tls_handshake_failures_total{listener="web"}']
        assert failures == 3


@VERSIONS
def test_a_certificate_may_be_optional_but_not_a_wrong_one(version) -> None:
    with running(asking("optional")) as proxy:
        assert status(proxy, PKI.alice, version) == 200
        assert status(proxy, None, version) == 200
        assert status(proxy, PKI.mallory, version) == 0


def test_who_is_trusted_may_change_on_disk(tmp_path) -> None:
    ca = tmp_path / "clients.pem"
    ca.write_bytes(PKI.ca.cert.read_bytes())
    version = ssl.TLSVersion.TLSv1_3
    with running(config(f", client_certificates: {ca}")) as proxy:
        assert status(proxy, PKI.mallory, version) == 0
        ca.write_bytes(PKI.other_ca.cert.read_bytes())
        wait_until(lambda: status(proxy, PKI.mallory, version) == 200, "the other is trusted")
        assert status(proxy, PKI.alice, version) == 0


@VERSIONS
def test_every_worker_resumes_what_another_has_begun(version) -> None:
    context = PKI.client_context(maximum_version=version)
    with running(config()) as proxy:
        with dialled(proxy, context) as sock:
            send(sock)
            assert read_response(sock).status == 200
            session = sock.session
        # The kernel spreads the connections over the workers.
        for _ in range(20):
            with dialled(proxy, context, session) as sock:
                send(sock)
                assert read_response(sock).status == 200
                assert sock.session_reused
        kinds = proxy.metrics()
        assert kinds['pyproxy_tls_handshakes_total{listener="web",kind="resumed"}'] == 20


def test_sessions_outlive_a_renewed_certificate(tmp_path) -> None:
    live = PKI.server.copy(tmp_path)
    context = PKI.client_context()
    with running(CONFIG.format(cert=live.cert, key=live.key, more="")) as proxy:
        with dialled(proxy, context) as sock:
            send(sock)
            assert read_response(sock).status == 200
            session = sock.session
        PKI.server_rsa.copy(tmp_path)
        name = "pyproxy_certificate_reloads_total"
        wait_until(lambda: proxy.metrics()[name] == 1, "the new certificate is served")
        with dialled(proxy, context, session) as sock:
            assert sock.session_reused
        with dialled(proxy, context) as sock:
            assert not sock.session_reused
