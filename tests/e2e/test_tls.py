"""TLS towards clients as they come: big, small, broken, slow, and back again."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testenv import GUARD_SECONDS, Proxy, origin, read_response, running, send, wait_until
from testenv.certificates import certificates
from testenv.origin import OriginRequest, Reply
from testenv.proxy import free_port
from testenv.tls_memory import TlsMemory

PKI = certificates()

CONFIG = """
workers: {workers}
admin: 127.0.0.1:0
listeners:
  web:
    bind: 127.0.0.1:0
    timeouts: {{header: {header}}}
    tls: {{cert: {cert}, key: {key}{more}}}
upstreams: {{app: {{endpoints: "{app}"}}}}
routes:
  - {{match: {{path: /hello}}, respond: {{body: "hello\\n"}}}}
  - {{upstream: app, max_body: unlimited{route}}}
"""


@contextlib.contextmanager
def serving(
    app: str = "127.0.0.1:1",
    *,
    workers: int = 1,
    header: str = "10s",
    more: str = "",
) -> Iterator[Proxy]:
    """A proxy with one TLS listener."""
    config = CONFIG.format(
        app=app,
        workers=workers,
        header=header,
        more=more,
        route="",
        cert=PKI.server.cert,
        key=PKI.server.key,
    )
    with running(config) as proxy:
        yield proxy


def dial(proxy: Proxy, client: ssl.SSLContext, **options: object) -> ssl.SSLSocket:
    sock = socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS)
    return client.wrap_socket(sock, server_hostname="app.test", **options)


def metric(proxy: Proxy, name: str) -> float:
    """The sum of a family over its labels that hold all of <name>'s parts."""
    family, _, label = name.partition(" ")
    found = proxy.metrics().items()
    return sum(v for k, v in found if k.startswith(f"pyproxy_{family}") and label in k)


def test_sessions_resume_at_every_worker() -> None:
    client = PKI.client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    newest = PKI.client_context()
    with serving(workers=2) as proxy:
        for context in (client, newest):
            kept, resumed = None, 0
            for _ in range(60):
                with dial(proxy, context, session=kept) as sock:
                    send(sock, "/hello", host="app.test")
                    assert read_response(sock).status == 200
                    resumed += sock.session_reused
                    kept = sock.session
            assert resumed == 59
        assert metric(proxy, 'tls_handshakes_total kind="resumed"') == 118


def has_tls_library(pid: int) -> bool:
    """Who does not speak TLS is spared the time and the memory that it takes."""
    return "cryptography/" in Path(f"/proc/{pid}/maps").read_text()


def test_sessions_resume_although_the_listener_came_by_a_reload() -> None:
    plain = 'workers: 2\nlisteners: {old: {bind: "127.0.0.1:0"}}\nroutes: [{respond: {body: hi}}]\n'
    port = free_port()
    tls = f"{{cert: {PKI.server.cert}, key: {PKI.server.key}}}"
    more = f'}}, web: {{bind: "127.0.0.1:{port}", tls: {tls}}}}}\nroutes'
    added = plain.replace("}}\nroutes", more)
    with running(plain) as proxy:
        assert not any(has_tls_library(pid) for pid in proxy.workers())
        assert proxy.reload(added).returncode == 0, proxy.stderr
        assert all(has_tls_library(pid) for pid in proxy.workers())
        client, kept, resumed = PKI.client_context(), None, 0
        for _ in range(40):
            raw = socket.create_connection(("127.0.0.1", port), GUARD_SECONDS)
            with client.wrap_socket(raw, server_hostname="app.test", session=kept) as sock:
                send(sock, "/", host="app.test")
                assert read_response(sock).status == 200
                resumed += sock.session_reused
                kept = sock.session
        assert resumed == 39


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_large_bodies_go_both_ways(version) -> None:
    body = bytes(range(256)) * 32768
    client = PKI.client_context(maximum_version=version, minimum_version=version)

    def mirror(request: OriginRequest) -> Reply:
        return Reply(body=request.body)

    with origin(mirror) as app, serving(app.address) as proxy, dial(proxy, client) as sock:
        head = f"POST /echo HTTP/1.1\r\nHost: app.test\r\nContent-Length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        assert read_response(sock).body == body
        assert app.requests[-1].body == body


def test_records_may_come_in_pieces() -> None:
    """The hello byte by byte, requests in halves, several in one record."""
    client = PKI.client_context()
    with serving() as proxy:
        raw = socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = client.wrap_bio(incoming, outgoing, server_hostname="app.test")
        request = b"GET /hello HTTP/1.1\r\nHost: app.test\r\n\r\n"

        def flush(step: int) -> None:
            data = outgoing.read()
            for i in range(0, len(data), step):
                raw.sendall(data[i : i + step])

        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                flush(1)
                incoming.write(raw.recv(65536))
        tls.write(request[:20])
        tls.write(request[20:] + request)
        flush(7)
        got = b""
        while got.count(b"hello\n") < 2:
            try:
                got += tls.read(65536)
            except ssl.SSLWantReadError:
                incoming.write(raw.recv(65536))
        raw.close()


def test_a_client_that_says_its_end_behind_a_body_is_answered() -> None:
    """close_notify and FIN, and then it reads on."""
    body = b"x" * 300_000
    head = f"POST /half HTTP/1.1\r\nHost: app.test\r\nContent-Length: {len(body)}\r\n\r\n"

    def slow(request: OriginRequest) -> Reply:
        time.sleep(0.3)
        return Reply(body=str(len(request.body)).encode())

    with origin(slow) as app, serving(app.address) as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS) as raw:
            client = TlsMemory(raw, PKI.client_context(), server_hostname="app.test")
            client.shake()
            answer = client.talk(head.encode() + body, fin=True)
        assert answer.endswith(b"\r\n\r\n300000")


def test_who_speaks_no_tls_is_told_and_counted() -> None:
    with serving() as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = b"".join(iter(lambda: raw.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 400 ")
        with socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS) as raw:
            raw.sendall(b"\x16\x03\x01\x00\x10" + bytes(16))
            alert = b"".join(iter(lambda: raw.recv(4096), b""))
        assert alert[:1] == b"\x15"
        assert metric(proxy, "tls_handshake_failures_total") == 2
        with dial(proxy, PKI.client_context()) as sock:
            send(sock, "/hello", host="app.test")
            assert read_response(sock).status == 200


def test_a_slow_handshake_is_ended_like_a_slow_head() -> None:
    with serving(header="300ms") as proxy:
        with socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS) as raw:
            raw.sendall(b"\x16\x03\x01\x02")
            assert raw.recv(1) == b""
        assert metric(proxy, "client_timeouts_total") == 1


def test_abrupt_ends_leave_nothing_behind() -> None:
    client = PKI.client_context()
    with origin() as app, serving(app.address) as proxy:
        for k in range(12):
            raw = socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", k % 2, 0))
            if k % 3 == 0:
                raw.sendall(b"\x16\x03\x01")
                raw.close()
                continue
            sock = client.wrap_socket(raw, server_hostname="app.test")
            if k % 3 == 1:
                sock.sendall(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\nx")
            sock.close()
        wait_until(lambda: metric(proxy, "connections_active") == 0, "no connection")
        with dial(proxy, client) as sock:
            send(sock, "/hello", host="app.test")
            assert read_response(sock).status == 200


FILTER = """
import json

from pyproxy import Filter

class Facts(Filter):
    def request(self, exchange):
        tls = exchange.tls
        who = tls.client
        facts = [tls.version, tls.cipher, tls.sni, tls.alpn, tls.resumed,
                 who and [who.subject, list(who.dns), who.fingerprint], exchange.request.scheme]
        exchange.request.headers["X-Facts"] = json.dumps(facts)
"""


def test_filters_and_origins_know_the_client() -> None:
    ask = f", client_certificates: {{ca: {PKI.ca.cert}, mode: optional}}"
    known = PKI.client_context(PKI.alice)
    with (
        origin() as app,
        running(
            CONFIG.format(
                app=app.address,
                workers=1,
                header="10s",
                cert=PKI.server.cert,
                key=PKI.server.key,
                more=ask,
                route=', filters: [{python: {use: "facts:Facts"}}]',
            ),
            files={"facts.py": FILTER},
        ) as proxy,
    ):
        lie = 'X-Forwarded-Client-Cert: Hash=0;Subject="CN=root"\r\n'
        for context, fingerprint in ((known, PKI.alice.fingerprint), (PKI.client_context(), None)):
            with dial(proxy, context) as sock:
                sock.sendall(f"GET /who HTTP/1.1\r\nHost: app.test\r\n{lie}\r\n".encode())
                assert read_response(sock).status == 200
            headers = app.requests[-1].headers
            version, cipher, sni, _, resumed, who, scheme = json.loads(headers["x-facts"])
            assert (version, sni, resumed, scheme) == ("TLSv1.3", "app.test", False, "https")
            assert cipher == "TLS_AES_128_GCM_SHA256"
            told = headers.get("x-forwarded-client-cert")
            if fingerprint is None:
                assert who is None
                assert told is None
            else:
                assert who[2] == fingerprint
                assert told.startswith(f"Hash={fingerprint};Subject=")


def test_curl_and_openssl_agree_with_us() -> None:
    with serving() as proxy:
        curl = ["curl", "-sS", "--max-time", "20", "--cacert", str(PKI.ca.cert)]
        url = f"https://app.test:{proxy.port()}/hello"
        resolve = ["--resolve", f"app.test:{proxy.port()}:127.0.0.1"]
        done = subprocess.run([*curl, *resolve, url, url], capture_output=True, timeout=60)
        assert (done.stdout, done.returncode) == (b"hello\nhello\n", 0), done.stderr
        tool = ["openssl", "s_client", "-connect", f"127.0.0.1:{proxy.port()}", "-alpn", "http/1.1"]
        said = subprocess.run(
            [*tool, "-servername", "app.test", "-CAfile", str(PKI.ca.cert)],
            input=b"",
            capture_output=True,
            timeout=60,
        ).stdout.decode()
        assert "Verification: OK" in said
        assert re.search(r"ALPN protocol: http/1\.1", said)
