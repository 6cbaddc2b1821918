"""The PROXY protocol with others who speak it: curl, nginx and HAProxy, before us and behind us."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testenv import connect, foreign_environment, free_port, get, origin, running, wait_until
from testenv.raw import RawOrigin, dial, same_workers

LINE = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def need(program: str, package: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/bin")
    if path is None:
        pytest.fail(f"{program} is missing: apt-get install -y {package}", pytrace=False)
    return path


@contextlib.contextmanager
def program(words: list[str], folder: Path, port: int) -> Iterator[None]:
    """A server that listens on <port> while the block runs."""
    process = subprocess.Popen(
        words,
        cwd=folder,
        env=foreign_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def listens() -> bool:
        assert process.poll() is None, f"{words[0]} ended with {process.returncode}"
        with contextlib.suppress(ConnectionRefusedError):
            connect(port).close()
            return True
        return False

    try:
        wait_until(listens, f"{words[0]} listens")
        yield
    finally:
        process.terminate()
        process.wait(30)


def nginx(folder: Path, port: int, text: str) -> contextlib.AbstractContextManager[None]:
    path = need("nginx", "nginx-light libnginx-mod-stream")
    modules = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
    if not modules.exists():
        pytest.fail("apt-get install -y libnginx-mod-stream", pytrace=False)
    (folder / "nginx.conf").write_text(
        f"load_module {modules};\ndaemon off;\nmaster_process off;\npid {folder}/nginx.pid;\n"
        f"error_log {folder}/error.log;\nevents {{ worker_connections 64; }}\n{text}"
    )
    words = [path, "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    return program(words, folder, port)


def nginx_http(folder: Path, port: int, inside: str) -> contextlib.AbstractContextManager[None]:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    return nginx(folder, port, f"http {{\naccess_log off;\n{paths}{inside}\n}}\n")


def haproxy(folder: Path, port: int, text: str) -> contextlib.AbstractContextManager[None]:
    path = need("haproxy", "haproxy")
    times = "timeout connect 30s\ntimeout client 30s\ntimeout server 30s\n"
    (folder / "haproxy.cfg").write_text(f"defaults\n{times}{text}\n")
    return program([path, "-db", "-q", "-f", f"{folder}/haproxy.cfg"], folder, port)


def http(address: str, more: str = "", upstream: str = "") -> str:
    """An HTTP listener whose origin tells whom it takes for the client."""
    return f"""
        workers: 1
        listeners:
          web:
            bind: "127.0.0.1:0"
            proxy_protocol: {{trusted: 127.0.0.0/8}}
            {more}
        upstreams: {{app: {{endpoints: ["{address}"]{upstream}}}}}
        routes: [{{upstream: app}}]
        access_log: stdout
        admin: "127.0.0.1:0"
    """


def seen_by(app) -> str:
    return app.requests[-1].headers["x-forwarded-for"]


def test_curl_announces_a_client_of_its_own():
    path = need("curl", "curl")
    with origin() as app, running(http(app.address)) as proxy, same_workers(proxy):
        url = f"http://127.0.0.1:{proxy.port()}/"
        words = [path, "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--haproxy-protocol", url]
        done = subprocess.run(
            words, capture_output=True, text=True, env=foreign_environment(), timeout=60
        )
        assert (done.returncode, done.stdout) == (0, "200"), done.stderr
        assert seen_by(app) == "127.0.0.1"


@pytest.mark.parametrize("kind", ["send-proxy", "send-proxy-v2"])
def test_a_client_of_haproxy_is_the_client(kind: str, tmp_path: Path):
    port = free_port()
    with origin() as app, running(http(app.address)) as proxy, same_workers(proxy):
        front = f"""
            listen front
                mode tcp
                bind 127.0.0.1:{port}
                server us 127.0.0.1:{proxy.port()} {kind}
        """
        with (
            haproxy(tmp_path, port, front),
            socket.create_connection(("127.0.0.1", port), 30, ("127.0.0.2", 0)) as client,
        ):
            client.sendall(REQUEST)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert seen_by(app) == "127.0.0.2"
            wait_until(lambda: "127.0.0.2" in proxy.stdout, "the log line")


def test_a_client_of_nginx_is_the_client(tmp_path: Path):
    port = free_port()
    with origin() as app, running(http(app.address)) as proxy, same_workers(proxy):
        front = f"""
            stream {{ server {{
                listen 127.0.0.1:{port};
                proxy_pass 127.0.0.1:{proxy.port()};
                proxy_protocol on;
            }} }}
        """
        with (
            nginx(tmp_path, port, front),
            socket.create_connection(("127.0.0.1", port), 30, ("127.0.0.2", 0)) as client,
        ):
            client.sendall(REQUEST)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert seen_by(app) == "127.0.0.2"


BEHIND = "return 200 '$proxy_protocol_addr $proxy_protocol_server_port'"


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_behind_us_learns_the_client(version: str, tmp_path: Path):
    port = free_port()
    inside = f"server {{ listen 127.0.0.1:{port} proxy_protocol; location / {{ {BEHIND}; }} }}"
    config = http(f"127.0.0.1:{port}", upstream=f", proxy_protocol: {version}")
    with nginx_http(tmp_path, port, inside), running(config) as proxy, same_workers(proxy):
        with dial(proxy.port()) as client:
            client.send(LINE + REQUEST)
            assert b"\r\n\r\n192.0.2.1 443" in client.take_until(b"443")
            client.send(REQUEST)  # of the same client: announced again, on another connection
            assert b"\r\n\r\n192.0.2.1 443" in client.take_until(b"443")
        with dial(proxy.port()) as client:
            client.send(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n" + REQUEST)
            assert b"\r\n\r\n2001:db8::1 2" in client.take_until(b"::1 2")


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_haproxy_behind_a_tunnel_learns_the_client(version: str, tmp_path: Path):
    port = free_port()
    back = f"""
        listen back
            mode http
            bind 127.0.0.1:{port} accept-proxy
            http-request return status 200 content-type text/plain lf-string "%[src] %[dst_port]\\n"
    """
    config = f"""
        workers: 1
        listeners:
          db: {{bind: "127.0.0.1:0", protocol: tcp, upstream: app, proxy_protocol: 127.0.0.1}}
        upstreams: {{app: {{endpoints: ["127.0.0.1:{port}"], proxy_protocol: {version}}}}}
    """
    with (
        haproxy(tmp_path, port, back),
        running(config) as proxy,
        same_workers(proxy),
        dial(proxy.port("db")) as client,
    ):
        client.send(LINE, REQUEST)
        assert b"\r\n\r\n192.0.2.1 443\n" in client.take_until(b"443\n")


FILTER = """
    from pyproxy import Filter, Reply

    class Tell(Filter):
        def request(self, exchange):
            header = exchange.proxy_protocol
            if header is None:
                return Reply(200, body="none")
            facts = [header.version, header.source, header.destination, header.authority,
                     header.alpn, header.unique_id, header.netns, header.get(0xE0), header.ssl]
            return Reply(200, body=repr(facts))
"""


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def binary(family: int, addresses: bytes, tlvs: bytes = b"", command: int = 0x21) -> bytes:
    length = (len(addresses) + len(tlvs)).to_bytes(2, "big")
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([command, family]) + length + addresses + tlvs


IP4 = bytes([192, 0, 2, 1, 198, 51, 100, 7]) + (56324).to_bytes(2, "big") + (443).to_bytes(2, "big")


def test_filters_see_what_was_announced():
    config = """
        workers: 1
        listeners:
          web: {bind: "127.0.0.1:0", proxy_protocol: 127.0.0.1}
          open: {bind: "127.0.0.1:0", proxy_protocol: {trusted: 192.0.2.0/24, others: direct}}
        routes: [{filters: [{python: {use: "tell:Tell"}}]}]
    """

    def told(data: bytes, listener: str = "web") -> str:
        with dial(proxy.port(listener)) as client:
            client.send(data + REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            return client.read_to_end().partition(b"\r\n\r\n")[2].decode()

    with running(config, files={"tell.py": FILTER}) as proxy, same_workers(proxy):
        ssl = tlv(0x20, b"\x05\0\0\0\0" + tlv(0x21, b"TLSv1.3"))
        facts = tlv(1, b"h2") + tlv(2, b"a.example") + tlv(5, b"id") + tlv(0x30, b"ns")
        assert told(binary(0x11, IP4, facts + tlv(0xE0, b"\0x") + ssl)) == (
            "[2, ('192.0.2.1', 56324), ('198.51.100.7', 443), b'a.example', b'h2', b'id', b'ns', "
            "b'\\x00x', AnnouncedTLS(tls=True, certificate=True, verified=True, "
            "tlvs=((33, b'TLSv1.3'),))]"
        )
        assert told(LINE).startswith("[1, ('192.0.2.1', 56324), ('198.51.100.7', 443), None,")
        assert told(b"PROXY UNKNOWN\r\n").startswith("[1, None, None, None")
        unix = b"/run/app".ljust(108, b"\0") + b"\0x".ljust(108, b"\0")
        assert told(binary(0x31, unix)).startswith("[2, b'/run/app', b'\\x00x', None")
        assert told(b"", "open") == "none"


def test_what_is_wrong_closes_and_is_counted():
    with origin() as app, running(http(app.address)) as proxy, same_workers(proxy):
        for wrong in (REQUEST, b"PROXY TCP4 1.2.3.4\r\n", binary(0x11, IP4, b"\x02\0\x09x")):
            with dial(proxy.port()) as client:
                client.send(wrong)
                assert client.read_to_end() == b""
        name = 'pyproxy_connections_refused_total{listener="web",reason="proxy_header"}'
        wait_until(lambda: proxy.metrics()[name] == 3, "the counter")
        assert app.requests == []


def test_only_proxies_may_announce_clients():
    config = http("demo:").replace("127.0.0.0/8", "192.0.2.0/24")
    with running(config) as proxy, same_workers(proxy):
        with dial(proxy.port()) as client:
            assert client.read_to_end() == b""
        name = 'pyproxy_connections_refused_total{listener="web",reason="untrusted_proxy"}'
        wait_until(lambda: proxy.metrics()[name] == 1, "the counter")
        assert proxy.reload(config.replace("192.0.2.0/24}", "192.0.2.0/24, others: direct}"))
        assert get(proxy.port(), "/").status == 200


def test_unix_sockets_can_be_proxies(tmp_path: Path):
    path = tmp_path / "in.sock"
    config = http("demo:").replace('"127.0.0.1:0"\n', f'"unix:{path}"\n', 1)
    config = config.replace("127.0.0.0/8", "unix")
    with running(config) as proxy, same_workers(proxy):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(LINE + REQUEST)
            assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert proxy.access_log()[0]["client_address"] == "192.0.2.1"


def test_slow_headers_end_in_time():
    config = http("demo:", "timeouts: {header: 200ms}")
    with running(config) as proxy, same_workers(proxy), dial(proxy.port()) as client:
        client.send(LINE[:10])
        assert client.read_to_end() == b""


def test_a_drain_waits_for_what_has_not_begun():
    import signal

    with RawOrigin() as app, running(http(app.address)) as proxy:
        with dial(proxy.port()) as client:
            client.send(LINE[:10])
            name = 'pyproxy_connections_active{listener="web"}'
            wait_until(lambda: proxy.metrics()[name] == 1, "the connection is there")
            proxy.signal(signal.SIGTERM)
            proxy.wait_for("drain")
            client.send(LINE[10:] + REQUEST)
            with app.accept() as up:
                assert b"X-Forwarded-For: 192.0.2.1\r\n" in up.read_head()
                up.send(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert b"Connection: close\r\n" in client.read_to_end()
        assert proxy.wait() == 0


# ---- server names ----


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate for everything, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "tls.crt", folder / "tls.key"
    words = [need("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
    words += ["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=test"]
    subprocess.run(
        [*words, "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
        env=foreign_environment(),
    )
    return cert, key


@contextlib.contextmanager
def tls_server(pair: tuple[Path, Path], text: bytes) -> Iterator[str]:
    """The address of a TLS server that says <text>, echoes, and ends when its client does."""
    import ssl

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*pair)
    listener = socket.create_server(("127.0.0.1", 0))

    def answer(plain: socket.socket) -> None:
        with contextlib.suppress(OSError), tls.wrap_socket(plain, server_side=True) as sock:
            sock.sendall(text)
            while data := sock.recv(65536):
                sock.sendall(data)

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(sock,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(30)


def names(one: str, two: str, default: str = "") -> str:
    return f"""
        workers: 1
        listeners:
          tls:
            bind: "127.0.0.1:0"
            protocol: tcp
            sni: {{"a.example": one, "*.b.example": two}}
            {default}
        upstreams: {{one: {{endpoints: ["{one}"]}}, two: {{endpoints: ["{two}"]}}}}
        access_log: stdout
        admin: "127.0.0.1:0"
    """


def speak(port: int, name: str | None, more: bytes = b"") -> bytes:
    """What the server says to a TLS client that asks for <name>."""
    import ssl

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    tls.set_alpn_protocols(["h2", "http/1.1"])
    with tls.wrap_socket(connect(port), server_hostname=name) as sock:
        said = sock.recv(3)
        sock.sendall(more)
        got = b""
        while len(got) < len(more):
            got += sock.recv(65536)
        assert got == more
        return said


def test_the_server_name_chooses_the_upstream(pair):
    import ssl

    big = bytes(range(256)) * 4096
    with (
        tls_server(pair, b"one") as one,
        tls_server(pair, b"two") as two,
        running(names(one, two)) as proxy,
        same_workers(proxy),
    ):
        port = proxy.port("tls")
        assert speak(port, "a.example", big) == b"one"
        assert speak(port, "x.y.b.example", big) == b"two"
        for name in ("c.example", None):
            with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
                speak(port, name)
        counter = 'pyproxy_connections_refused_total{listener="tls",reason="server_name"}'
        wait_until(lambda: proxy.metrics()[counter] == 2, "the counter")
        # The client may end before its tunnel does.
        lines = proxy.access_log(4)
        assert [line["fault"] for line in lines].count("no_route") == 2
        sent = [line["request_bytes"] for line in lines if line["upstream"] == "two"]
        assert sent[0] > len(big)
        assert proxy.reload(names(one, two, "upstream: two")).returncode == 0
        assert speak(port, "c.example") == b"two"
        assert speak(port, None) == b"two"


def test_openssl_is_routed_too(pair):
    with (
        tls_server(pair, b"one\n") as one,
        tls_server(pair, b"two\n") as two,
        running(names(one, two)) as proxy,
        same_workers(proxy),
    ):
        words = [need("openssl", "openssl"), "s_client", "-connect"]
        words += [f"127.0.0.1:{proxy.port('tls')}", "-servername", "x.b.example", "-quiet"]
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=foreign_environment(),
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"two\n"
        process.kill()
        process.communicate()
