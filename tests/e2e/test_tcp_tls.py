"""TCP listeners that speak TLS to their clients, with Python's library and OpenSSL's program."""

from __future__ import annotations

import socket
import ssl
import subprocess

import pytest

from testenv import GUARD_SECONDS, Proxy, running, wait_until
from testenv.certificates import certificates
from testenv.raw import RawOrigin, Wire, dial, pattern, same_workers
from testenv.tls_memory import TlsMemory

PKI = certificates()
PAIR = f"cert: {PKI.server.cert}, key: {PKI.server.key}"


def config(address: str, more: str = "", tls: str = "", upstreams: str = "") -> str:
    return f"""
        workers: 1
        listeners:
          db: {{bind: "127.0.0.1:0", protocol: tcp, upstream: pg, tls: {{{PAIR}{tls}}}{more}}}
        upstreams: {{pg: {{endpoints: "{address}"}}{upstreams}}}
        access_log: {{path: stdout, format: '{{fault}} {{tls.sni}} {{tls.version}} {{upstream}}'}}
        admin: "127.0.0.1:0"
    """


def secure(
    proxy: Proxy,
    context: ssl.SSLContext | None = None,
    *,
    name: str = "app.test",
    session: ssl.SSLSession | None = None,
) -> Wire:
    """A connection whose ragged ends are errors."""
    sock = socket.create_connection(("127.0.0.1", proxy.port("db")), GUARD_SECONDS)
    return Wire(
        (context or PKI.client_context()).wrap_socket(
            sock, server_hostname=name, suppress_ragged_eofs=False, session=session
        )
    )


def log_lines(proxy: Proxy) -> list[str]:
    text: str = proxy.stdout
    return text.splitlines()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_transfers_come_whole_in_both_directions_at_once(version) -> None:
    sent, answer = pattern(24 << 20), pattern(20 << 20)[::-1]
    context = PKI.client_context(minimum_version=version, maximum_version=version)
    with RawOrigin() as app, running(config(app.address)) as proxy, same_workers(proxy):
        wire = dial(proxy.port("db"))
        client = TlsMemory(wire.sock, context, server_hostname="app.test")
        client.shake()
        up = app.accept()
        got: list[bytes] = []
        back = client.talk(
            sent,
            lambda: (up.send(answer), up.end()),
            lambda: got.append(up.read_to_end()),
        )
        wire.close()
        assert got == [sent]
        assert back == answer
        wait_until(lambda: log_lines(proxy), "the line of the tunnel")
        assert log_lines(proxy) == [f"- app.test {client.tls.version() or version.name} pg"]


def test_each_side_may_end_first() -> None:
    with (
        RawOrigin() as app,
        running(config(app.address)) as proxy,
        same_workers(proxy),
        secure(proxy) as client,
    ):
        up = app.accept()
        up.send(b"hello and goodbye")
        up.end()
        assert client.read_to_end() == b"hello and goodbye"  # with close_notify, or it raises
        client.send(b"still talking")
        client.sock.unwrap()
        assert up.read_to_end() == b"still talking"
        assert not up.was_reset


def test_an_end_without_close_notify_is_an_end_and_a_reset_a_reset() -> None:
    with RawOrigin() as app, running(config(app.address)) as proxy, same_workers(proxy):
        client = secure(proxy)
        up = app.accept()
        client.send(b"half of it")
        assert up.take(10) == b"half of it"
        client.sock.shutdown(socket.SHUT_WR)  # FIN, and no word of TLS
        assert up.read_to_end() == b""
        assert not up.was_reset
        up.close()
        while client.sock.recv(4096):
            pass  # tickets and the like: closing with those unread would be a reset
        client.close()
        with secure(proxy) as client:
            up = app.accept()
            up.send(b"half of it")
            assert client.take(10) == b"half of it"
            up.abort()
            with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
                client.sock.recv(1)
        wait_until(lambda: len(log_lines(proxy)) == 2, "both lines")
        faults = [line.split()[0] for line in log_lines(proxy)]
        assert faults == ["-", "upstream_reset"]


def test_what_is_no_handshake_reaches_no_endpoint() -> None:
    more = ", timeouts: {header: 500ms}"
    with RawOrigin() as app, running(config(app.address, more)) as proxy, same_workers(proxy):
        for garbage in (b"EHLO a\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 600):
            with dial(proxy.port("db")) as client:
                client.send(garbage)
                assert b"HTTP" not in client.read_to_end()
        with dial(proxy.port("db")) as client:
            client.send(b"\x16\x03\x01")  # and then nothing
            assert client.read_to_end() == b""
        wait_until(lambda: len(log_lines(proxy)) == 4, "all lines")
        faults = [line.split()[0] for line in log_lines(proxy)]
        assert faults == ["tls_handshake"] * 3 + ["header_timeout"]
        assert not app.has_connection
        metrics = proxy.metrics()
        assert metrics['pyproxy_tls_handshake_failures_total{listener="db"}'] == 3
        with secure(proxy) as client:
            client.send(b"x")
            assert app.accept().take(1) == b"x"


def test_sessions_resume_and_clients_show_certificates() -> None:
    tls = f", client_certificates: {{mode: required, ca: {PKI.ca.cert}}}"
    context = PKI.client_context(PKI.alice)
    with RawOrigin() as app, running(config(app.address, tls=tls)) as proxy:
        kept = None
        for resumed in (False, True):
            with secure(proxy, context, session=kept) as client:
                up = app.accept()
                up.send(b"hi")
                assert client.take(2) == b"hi"
                assert client.sock.session_reused == resumed
                kept = client.sock.session
        with secure(proxy) as client, pytest.raises((ssl.SSLError, ConnectionError)):
            client.sock.recv(1)
        assert not app.has_connection


def test_names_choose_upstreams_and_certificates_at_once() -> None:
    with RawOrigin() as app, RawOrigin() as other:
        text = config(
            app.address,
            ", sni: {localhost: other}",
            upstreams=f', other: {{endpoints: "{other.address}"}}',
        )
        with running(text) as proxy, same_workers(proxy):
            for name, up in (("app.test", app), ("localhost", other)):
                with secure(proxy, name=name) as client:
                    client.send(name.encode())
                    assert up.accept().take(len(name)) == name.encode()


def test_the_program_of_openssl_gets_its_answer() -> None:
    with RawOrigin() as app, running(config(app.address)) as proxy:
        command = ["openssl", "s_client", "-quiet", "-no_ign_eof", "-verify_return_error"]
        place = ["-connect", f"127.0.0.1:{proxy.port('db')}", "-servername", "app.test"]
        with subprocess.Popen(
            [*command, *place, "-CAfile", str(PKI.ca.cert)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as program:
            assert program.stdin
            assert program.stdout
            up = app.accept()
            up.send(b"who is there?\n")
            assert program.stdout.readline() == b"who is there?\n"
            program.stdin.write(b"me\n")
            program.stdin.flush()
            assert up.take(3) == b"me\n"
            up.end()
            assert program.stdout.read() == b""
            program.stdin.close()
            assert program.wait(GUARD_SECONDS) == 0
