"""Certificates of clients: who is let in, who is resumed, and what the origin hears of them."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest

from testenv import GUARD_SECONDS, Origin, Proxy, origin, read_response, running, send, wait_until
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


FORGED = {"X-Forwarded-Client-Cert": 'Hash=00;Subject="CN=root"'}
WHO = f'Hash={PKI.alice.fingerprint};Subject="CN=alice,O=pyproxy tests";'
WHO += "URI=spiffe://test/alice;DNS=alice.test"


def forwarded(proxy: Proxy, app: Origin, pair: Pair | None, headers: dict[str, str]) -> str | None:
    """What the origin hears of a client with the certificate of <pair>."""
    with dialled(proxy, PKI.client_context(pair)) as sock:
        send(sock, headers=headers)
        assert read_response(sock).status == 200
    return app.requests[-1].headers.get("x-forwarded-client-cert")


def to_origin(text: str, app: Origin, more: str = "") -> str:
    """The same with requests that go to <app>."""
    text = text.replace('routes: [{respond: {body: "hello\\n"}}]', "routes: [{upstream: app}]")
    text = text.replace("    bind:", f"{more}    bind:")
    return f"{text}upstreams: {{app: {{endpoints: '{app.address}'}}}}\n"


def test_the_origin_hears_who_a_client_is_from_us_alone() -> None:
    with origin() as app, running(to_origin(asking("optional"), app)) as proxy:
        for headers in ({}, FORGED):
            assert forwarded(proxy, app, PKI.alice, headers) == WHO
            assert forwarded(proxy, app, None, headers) is None


def test_nobody_passes_for_another_where_no_certificate_is_asked_for() -> None:
    with origin() as app, running(to_origin(config(), app)) as proxy:
        assert forwarded(proxy, app, None, FORGED) is None


def test_a_trusted_proxy_may_say_who_its_client_is() -> None:
    trusting = "    trusted_proxies: 127.0.0.1\n"
    with origin() as app, running(to_origin(asking("optional"), app, trusting)) as proxy:
        said = FORGED["X-Forwarded-Client-Cert"]
        assert forwarded(proxy, app, None, FORGED) == said
        assert forwarded(proxy, app, PKI.alice, FORGED) == f"{said}, {WHO}"


def test_a_resumed_session_is_the_same_client() -> None:
    context = PKI.client_context(PKI.alice)
    with origin() as app, running(to_origin(asking("required"), app)) as proxy:
        with dialled(proxy, context) as sock:
            send(sock)
            assert read_response(sock).status == 200
            session = sock.session
        with dialled(proxy, context, session) as sock:
            assert sock.session_reused
            send(sock)
            assert read_response(sock).status == 200
        assert [r.headers["x-forwarded-client-cert"] for r in app.requests] == [WHO, WHO]


def test_the_origin_hears_as_whom_a_client_has_met_us() -> None:
    ours = PKI.ca.issue("mesh", ["app.test"], uris=["spiffe://test/proxy"])
    clients = f"client_certificates: {{ca: {PKI.ca.cert}, mode: required}}"
    text = CONFIG.format(cert=ours.cert, key=ours.key, more=f", {clients}")
    context = PKI.client_context(PKI.alice)
    session = None
    with origin() as app, running(to_origin(text, app)) as proxy:
        for resumed in (False, True):
            with dialled(proxy, context, session) as sock:
                assert sock.session_reused == resumed
                send(sock)
                assert read_response(sock).status == 200
                session = sock.session
            told = app.requests[-1].headers.get("x-forwarded-client-cert")
            assert told == f"By=spiffe://test/proxy;{WHO}"
