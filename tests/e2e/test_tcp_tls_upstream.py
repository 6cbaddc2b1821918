"""TCP listeners whose endpoints speak TLS: servers of Python, and of OpenSSL's program."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess

import pytest

from testenv import GUARD_SECONDS, Proxy, running, wait_until
from testenv.certificates import certificates
from testenv.raw import RawOrigin, Wire, dial, pattern, same_workers
from testenv.tls_memory import TlsMemory

PKI = certificates()
TRUSTING = f"{{ca: {PKI.ca.cert}}}"


class TlsOrigin(RawOrigin):
    """Its wires speak TLS; an end that was not announced is an error."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.context = context or PKI.server_context()
        self._plain: list[Wire] = []

    def accept_plain(self) -> Wire:
        """The next connection, before its handshake."""
        self._plain.append(super().accept())
        return self._plain[-1]

    def accept(self) -> Wire:
        plain = self.accept_plain()
        return Wire(
            self.context.wrap_socket(plain.sock, server_side=True, suppress_ragged_eofs=False)
        )

    def refuse(self) -> None:
        """Accept, and see the handshake fail."""
        with contextlib.suppress(OSError):
            self.accept().close()
            raise AssertionError("the handshake was done")

    def close(self) -> None:
        while self.has_connection:
            self.accept_plain()
        for wire in self._plain:
            wire.close()
        super().close()


def config(
    *addresses: str, tls: str = TRUSTING, door: str = "", more: str = "", upstreams: str = ""
) -> str:
    text = ", ".join(f'"{address}"' for address in addresses)
    return f"""
        workers: 1
        listeners: {{db: {{bind: "127.0.0.1:0", protocol: tcp, upstream: pg{door}}}}}
        upstreams: {{pg: {{endpoints: [{text}], tls: {tls}{more}}}{upstreams}}}
        access_log: {{path: stdout, format: '{{fault}} {{upstream.attempts}} {{endpoint}}'}}
        admin: "127.0.0.1:0"
    """


def with_name(app: RawOrigin) -> str:
    return f"localhost:{app.port}"


def fault_of(proxy: Proxy) -> str:
    """The word of the only connection so far."""
    wait_until(lambda: proxy.stdout.endswith("\n"), "a line in the access log")
    (line,) = proxy.stdout.splitlines()
    return str(line.split()[0])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_transfers_come_whole_in_both_directions_at_once(version) -> None:
    sent, answer = pattern(24 << 20), pattern(20 << 20)[::-1]
    context = PKI.server_context()
    context.minimum_version = context.maximum_version = version
    with TlsOrigin() as app, running(config(with_name(app))) as proxy, same_workers(proxy):
        client = dial(proxy.port("db"))
        raw = app.accept_plain().sock
        up = TlsMemory(raw, context, server_side=True)
        up.shake()
        got: list[bytes] = []
        back = up.talk(
            answer,
            lambda: (client.send(sent), client.end()),
            lambda: got.append(client.read_to_end()),
        )
        client.close()
        assert got == [answer]
        assert back == sent
        assert fault_of(proxy) == "-"
        assert proxy.metrics()['pyproxy_upstream_tls_handshakes_total{upstream="pg",kind="full"}']


def test_each_side_may_end_first() -> None:
    with TlsOrigin() as app, running(config(with_name(app))) as proxy, same_workers(proxy):
        with dial(proxy.port("db")) as client:
            client.send(b"hello and goodbye")
            client.end()
            up = app.accept()
            assert up.read_to_end() == b"hello and goodbye"  # with close_notify, or it raises
            up.send(b"still talking")
            up.sock.unwrap()
            assert client.read_to_end() == b"still talking"
            assert not client.was_reset
        with dial(proxy.port("db")) as client:
            up = app.accept()
            up.send(b"no more from here")
            up.sock.shutdown(socket.SHUT_WR)  # FIN, and no word of TLS
            assert client.read_to_end() == b"no more from here"
            assert not client.was_reset
        with dial(proxy.port("db")) as client:
            up = app.accept()
            client.send(b"x")
            assert up.take(1) == b"x"
            up.abort()
            assert client.read_to_end() == b""
            assert client.was_reset


def test_tls_is_taken_off_and_put_on_again() -> None:
    door = f", tls: {{cert: {PKI.server.cert}, key: {PKI.server.key}, alpn: [imap]}}"
    context = PKI.server_context()
    context.set_alpn_protocols(["h2", "imap"])
    client_context = PKI.client_context()
    client_context.set_alpn_protocols(["imap"])
    with TlsOrigin(context) as app, running(config(with_name(app), door=door)) as proxy:
        for offer, agreed in ((client_context, "imap"), (PKI.client_context(), None)):
            sock = socket.create_connection(("127.0.0.1", proxy.port("db")), GUARD_SECONDS)
            with Wire(offer.wrap_socket(sock, server_hostname="localhost")) as client:
                up = app.accept()
                assert up.sock.selected_alpn_protocol() == agreed
                client.send(b"hello")
                assert up.take(5) == b"hello"
                up.send(b"world")
                assert client.take(5) == b"world"


@pytest.mark.parametrize(
    ("pair", "word"),
    [
        (PKI.expired, "certificate_expired"),
        (PKI.other, "certificate_name"),
        (PKI.untrusted, "certificate_unknown_ca"),
    ],
    ids=["expired", "another name", "another authority"],
)
def test_who_cannot_be_believed_gets_nothing(pair, word) -> None:
    with (
        TlsOrigin(PKI.server_context(pair)) as app,
        running(config(with_name(app), more=", retries: 0")) as proxy,
        dial(proxy.port("db")) as client,
    ):
        client.send(b"the password")
        app.refuse()
        assert client.read_to_end() == b""
        assert client.was_reset
        assert fault_of(proxy) == word
        metrics = proxy.metrics()
        assert metrics['pyproxy_upstream_tls_handshake_failures_total{upstream="pg"}'] == 1


def test_another_endpoint_is_tried() -> None:
    with TlsOrigin(PKI.server_context(PKI.other)) as bad, TlsOrigin() as good:
        text = config(with_name(bad), with_name(good), more=", balance: round_robin, retries: 1")
        with running(text) as proxy:
            for _ in range(2):  # one of them comes to the wrong one first
                with dial(proxy.port("db")) as client:
                    client.send(b"hello")
                    wait_until(lambda: bad.has_connection or good.has_connection, "an attempt")
                    if bad.has_connection:
                        bad.refuse()
                    up = good.accept()
                    assert up.take(5) == b"hello"
                    up.close()
            wait_until(lambda: proxy.stdout.count("\n") == 2, "both lines")
            lines = sorted(line.split() for line in proxy.stdout.splitlines())
            assert [line[1] for line in lines] == ["1", "2"]


def test_names_certificates_and_sessions_are_those_of_the_upstream() -> None:
    asked: list[str | None] = []
    context = PKI.server_context(PKI.other, client_ca=PKI.ca)
    context.sni_callback = lambda _sock, name, _context: asked.append(name)
    own = f"cert: {PKI.alice.cert}, key: {PKI.alice.key}"
    tls = f"{{ca: {PKI.ca.cert}, server_name: other.test, {own}}}"
    with TlsOrigin(context) as app, running(config(app.address, tls=tls)) as proxy:
        for resumed in (False, True, True):
            client = dial(proxy.port("db"))
            up = app.accept()
            up.send(b"hello")
            assert client.take(5) == b"hello"
            assert up.sock.session_reused == resumed
            subject = up.sock.getpeercert()["subject"]
            assert (("commonName", "alice"),) in subject
            client.close()
        assert asked == ["other.test"] * 3


def test_a_handshake_has_the_time_to_connect() -> None:
    more = ", retries: 0, timeouts: {connect: 300ms}"
    with TlsOrigin() as app, running(config(with_name(app), more=more)) as proxy:
        with dial(proxy.port("db")) as client:
            app.accept_plain()  # and it says nothing
            assert client.read_to_end() == b""
            assert client.was_reset
        assert fault_of(proxy) == "connect_timeout"


def test_authorities_that_change_on_disk_are_believed_at_once(tmp_path) -> None:
    ca = tmp_path / "ca.pem"
    shutil.copy(PKI.other_ca.cert, ca)

    def is_served() -> bool:
        with dial(proxy.port("db")) as client:
            try:
                app.accept().send(b"hello")
            except OSError:
                return False  # not by whom it believes
            return client.take(5) == b"hello"

    with (
        TlsOrigin() as app,
        running(config(with_name(app), tls=f"{{ca: {ca}}}", more=", retries: 0")) as proxy,
    ):
        assert not is_served()
        shutil.copy(PKI.ca.cert, ca)
        wait_until(is_served, "the new authority is believed")


def test_an_endpoint_without_tls_is_told_apart() -> None:
    with RawOrigin() as app, running(config(with_name(app), more=", retries: 0")) as proxy:
        with dial(proxy.port("db")) as client:
            app.accept().send(b"220 mail.test ESMTP\r\n")
            assert client.read_to_end() == b""
        assert fault_of(proxy) == "tls_handshake"


def test_the_server_of_openssl_is_spoken_to() -> None:
    files = ["-cert", str(PKI.server.cert), "-key", str(PKI.server.key)]
    with subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-naccept", "1", *files],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdin
        assert server.stdout
        place = next(line for line in server.stdout if line.startswith(b"ACCEPT"))
        port = int(place.rsplit(b":", 1)[1])
        with running(config(f"localhost:{port}")) as proxy, dial(proxy.port("db")) as client:
            client.send(b"who is there?\n")
            assert b"who is there?\n" in server.stdout  # behind what it says about the handshake
            server.stdin.write(b"me\n")
            server.stdin.flush()
            assert client.take(3) == b"me\n"
            client.end()
            assert client.read_to_end() == b""
        server.stdin.close()
        assert server.wait(GUARD_SECONDS) == 0
