"""HTTP/2 towards real servers: nghttpd, and one on python-h2 that plays tricks."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest

from testenv import Proxy, foreign_environment, free_port, running, wait_until
from testenv.certificates import certificates
from testenv.client import connect, exchange
from testenv.raw import same_workers

CONFIG = """
workers: 1
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
upstreams:
  app: {{endpoints: "127.0.0.1:{port}", protocol: h2c{more}}}
routes: [{{upstream: app, max_body: 64MiB}}]
admin: "127.0.0.1:0"
"""
BIG = hashlib.sha512(b"big").digest() * (1 << 18)


def listens(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return False
    return True


# ---- nghttpd


@pytest.fixture(scope="module")
def nghttpd(tmp_path_factory) -> Iterator[Proxy]:
    """A proxy in front of nghttpd, which serves a folder and echoes uploads."""
    program = shutil.which("nghttpd") or shutil.which("nghttpd", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.fail("nghttpd is missing: apt-get install -y nghttp2-server", pytrace=False)
    html = tmp_path_factory.mktemp("html")
    (html / "small.txt").write_text("small\n")
    (html / "big.bin").write_bytes(BIG)
    port = free_port()
    words = [program, "--no-tls", "-a", "127.0.0.1", "-d", str(html), "--echo-upload"]
    process = subprocess.Popen(
        [*words, str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=foreign_environment(),
    )
    try:
        wait_until(lambda: listens(port), "nghttpd listens")
        with running(CONFIG.format(port=port, more="")) as proxy, same_workers(proxy):
            yield proxy
    finally:
        process.terminate()
        process.wait(10)


def test_files_and_errors_come_through(nghttpd):
    assert nghttpd.get("/small.txt").body == b"small\n"
    assert nghttpd.get("/nothing").status == 404
    head = nghttpd.get("/small.txt", method="HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, "6", b"")


def test_large_bodies_are_whole(nghttpd):
    assert nghttpd.get("/big.bin").body == BIG
    assert nghttpd.get("/up", method="POST", body=BIG).body == BIG


def test_many_clients_share_one_connection(nghttpd):
    before = nghttpd.metrics()['pyproxy_upstream_connects_total{upstream="app"}']
    with ThreadPoolExecutor(16) as pool:
        bodies = set(pool.map(lambda _: nghttpd.get("/small.txt").body, range(200)))
    assert bodies == {b"small\n"}
    assert nghttpd.metrics()['pyproxy_upstream_connects_total{upstream="app"}'] - before <= 1


def test_curl_downloads_in_parallel(nghttpd, tmp_path):
    url = f"http://127.0.0.1:{nghttpd.port()}/big.bin"
    words = ["curl", "-sSZ", "--parallel-max", "4"]
    for i in range(4):
        words += ["-o", str(tmp_path / str(i)), url]
    subprocess.run(words, check=True, timeout=60, env=foreign_environment())
    assert all((tmp_path / str(i)).read_bytes() == BIG for i in range(4))


# ---- a server that a test plays by hand


class Trickster:
    """A server on python-h2: what it does about an event is up to the test."""

    def __init__(
        self, act: Callable[[Peer, h2.events.Event], None], tls: ssl.SSLContext | None = None
    ) -> None:
        self.act = act
        self.tls = tls
        self.max_streams = 100
        self.plain = 0  # connections without HTTP/2
        self.connections: list[Peer] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        if self.tls is not None:
            sock = self.tls.wrap_socket(sock, server_side=True)
        if isinstance(sock, ssl.SSLSocket) and sock.selected_alpn_protocol() != "h2":
            self.answer_http_1(sock)
            return
        peer = Peer(self, sock)
        self.connections.append(peer)
        peer.serve()

    def answer_http_1(self, sock: socket.socket) -> None:
        """One answer after the other, to whatever is asked."""
        self.plain += 1
        with contextlib.suppress(OSError), sock:
            while sock.recv(65536):
                sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nold\n")

    def close(self) -> None:
        self._listening.close()
        for peer in self.connections:
            peer.close()


class Peer:
    """One connection of a `Trickster`."""

    def __init__(self, server: Trickster, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.requests: list[int] = []
        self.leaving = False
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))

    def serve(self) -> None:
        try:
            self.h2.initiate_connection()
            limit = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
            self.h2.update_settings({limit: self.server.max_streams})
            self.send()
            while data := self.sock.recv(65536):
                for event in self.h2.receive_data(data):
                    if isinstance(event, h2.events.RequestReceived):
                        self.requests.append(event.stream_id)
                    self.server.act(self, event)
                    if self.leaving:
                        self.leave()
                        return
                self.send()
        except OSError:
            pass
        finally:
            self.close()

    def leave(self) -> None:
        """Say what is left to say, and hear the other side out."""
        self.send()
        self.sock.shutdown(socket.SHUT_WR)
        while self.sock.recv(65536):
            pass

    def send(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def answer(self, stream: int, body: bytes = b"") -> None:
        self.h2.send_headers(stream, [(":status", "200")], end_stream=not body)
        if body:
            self.h2.send_data(stream, body, end_stream=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


@contextlib.contextmanager
def tricked(act, more: str = "", max_streams: int = 100) -> Iterator[tuple[Trickster, Proxy]]:
    server = Trickster(act)
    server.max_streams = max_streams
    try:
        with running(CONFIG.format(port=server.port, more=more)) as proxy, same_workers(proxy):
            yield server, proxy
    finally:
        server.close()


def test_trailers_go_both_ways():
    seen = []

    def act(peer, event):
        if isinstance(event, h2.events.TrailersReceived):
            seen.extend(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            peer.h2.send_headers(event.stream_id, [(":status", "200")])
            peer.h2.send_data(event.stream_id, b"body")
            peer.h2.send_headers(event.stream_id, [("x-end", "yes")], end_stream=True)

    with tricked(act) as (_, proxy):
        raw = b"POST /up HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close, TE\r\n"
        raw += b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n"
        answer = exchange(proxy.port(), raw)
        assert answer.endswith(b"4\r\nbody\r\n0\r\nx-end: yes\r\n\r\n")
        assert (b"x-sum", b"1") in seen


def test_a_goaway_moves_requests_without_a_loss():
    """A server that restarts after every fifth request: its clients notice nothing."""

    def act(peer, event):
        if isinstance(event, h2.events.StreamEnded):
            peer.answer(event.stream_id, b"fine")
            if len(peer.requests) == 5:
                peer.h2.close_connection(last_stream_id=event.stream_id)
                peer.leaving = True

    with tricked(act) as (server, proxy), ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: proxy.get("/"), range(100)))
        assert {(a.status, a.body) for a in answers} == {(200, b"fine")}
        assert len(server.connections) >= 20


def test_refused_streams_are_sent_again_elsewhere_or_later():
    refused = []

    def act(peer, event):
        if isinstance(event, h2.events.RequestReceived) and len(refused) < 3:
            refused.append(event.stream_id)
            peer.h2.reset_stream(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
        elif isinstance(event, h2.events.StreamEnded) and event.stream_id not in refused:
            peer.answer(event.stream_id, b"at last")

    with tricked(act) as (_, proxy):
        answer = proxy.get("/", method="POST")
        assert (answer.status, answer.body) == (200, b"at last")
        assert len(refused) == 3
        assert proxy.metrics()['pyproxy_upstream_refused_total{upstream="app"}'] == 3


def test_the_limit_of_streams_is_obeyed():
    open_now, most = set(), []

    def act(peer, event):
        if isinstance(event, h2.events.RequestReceived):
            open_now.add((peer, event.stream_id))
            most.append(sum(1 for p, _ in open_now if p is peer))
        elif isinstance(event, h2.events.StreamEnded):
            open_now.discard((peer, event.stream_id))
            peer.answer(event.stream_id, b"x" * 100)

    with tricked(act, max_streams=3) as (_, proxy), ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: proxy.get("/").status, range(200)))
        assert set(answers) == {200}
        assert max(most) <= 3


def test_a_reset_is_a_502_and_the_others_go_on():
    def act(peer, event):
        if isinstance(event, h2.events.StreamEnded):
            if len(peer.requests) % 2:
                peer.h2.reset_stream(event.stream_id, h2.errors.ErrorCodes.ENHANCE_YOUR_CALM)
            else:
                peer.answer(event.stream_id, b"fine")

    with tricked(act, ", retries: 0") as (server, proxy):
        assert [proxy.get("/").status for _ in range(6)] == [502, 200] * 3
        assert len(server.connections) == 1


def test_pings_are_answered_and_an_idle_connection_is_kept():
    acked = threading.Event()

    def act(peer, event):
        if isinstance(event, h2.events.StreamEnded):
            peer.answer(event.stream_id)
            peer.h2.ping(b"12345678")
        elif isinstance(event, h2.events.PingAckReceived):
            acked.set()

    with tricked(act) as (server, proxy):
        assert proxy.get("/").status == 200
        assert acked.wait(10)
        assert proxy.get("/").status == 200
        assert len(server.connections) == 1


def test_a_server_that_speaks_http_1_is_a_502():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def speak() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sock, _ = server.accept()
                    sock.sendall(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

        threading.Thread(target=speak, daemon=True).start()
        with running(CONFIG.format(port=server.getsockname()[1], more="")) as proxy:
            answer = proxy.get("/")
            assert (answer.status, answer.body.count(b"upstream_bad_response")) == (502, 1)


# ---- over TLS

TLS_CONFIG = """
workers: 1
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
upstreams:
  app: {{endpoints: "localhost:{port}", protocol: {protocol}, retries: 0, tls: {{ca: "{ca}"}}}}
routes: [{{upstream: app}}]
admin: "127.0.0.1:0"
"""


Act = Callable[[Peer, h2.events.Event], None]


def answer_new(peer: Peer, event: h2.events.Event) -> None:
    if isinstance(event, h2.events.RequestReceived):
        assert (b":scheme", b"https") in event.headers
    elif isinstance(event, h2.events.StreamEnded):
        peer.answer(event.stream_id, b"new\n")


@contextlib.contextmanager
def over_tls(
    protocol: str, offers: list[str], act: Act = answer_new
) -> Iterator[tuple[Trickster, Proxy]]:
    """A proxy in front of a server that offers some protocols by ALPN."""
    context = certificates().server_context()
    context.set_alpn_protocols(offers)
    server = Trickster(act, context)
    config = TLS_CONFIG.format(port=server.port, protocol=protocol, ca=certificates().ca.cert)
    try:
        with running(config) as proxy, same_workers(proxy):
            yield server, proxy
    finally:
        server.close()


@pytest.mark.parametrize("protocol", ["auto", "h2"])
def test_http_2_is_agreed_by_alpn(protocol):
    with over_tls(protocol, ["h2", "http/1.1"]) as (server, proxy):
        with ThreadPoolExecutor(8) as pool:
            bodies = set(pool.map(lambda _: proxy.get("/").body, range(50)))
        assert bodies == {b"new\n"}
        assert (len(server.connections), server.plain) == (1, 0)


@pytest.mark.parametrize(
    ("protocol", "offers"), [("auto", ["http/1.1"]), ("h1", ["h2", "http/1.1"])]
)
def test_http_1_is_spoken_where_that_is_agreed(protocol, offers):
    with over_tls(protocol, offers) as (server, proxy):
        with ThreadPoolExecutor(8) as pool:
            bodies = set(pool.map(lambda _: proxy.get("/").body, range(50)))
        assert bodies == {b"old\n"}
        assert not server.connections
        name = f'pyproxy_endpoint_requests_total{{endpoint="app/localhost:{server.port}"}}'
        assert proxy.metrics()[name] == 50


@pytest.mark.parametrize("how", ["stream", "connection"])
def test_an_endpoint_that_wants_http_1_gets_it(how):
    """It agrees to HTTP/2, and then takes back what it has agreed to."""
    wanted = h2.errors.ErrorCodes.HTTP_1_1_REQUIRED
    asked = []

    def act(peer, event):
        if not isinstance(event, h2.events.RequestReceived):
            return
        asked.append(event.stream_id)
        if how == "stream":
            peer.h2.reset_stream(event.stream_id, wanted)
        else:
            peer.h2.close_connection(wanted, last_stream_id=0)
            peer.leaving = True

    with over_tls("auto", ["h2", "http/1.1"], act) as (server, proxy):
        answers = [proxy.get("/", method="POST", body=b"body") for _ in range(5)]
        assert {(a.status, a.body) for a in answers} == {(200, b"old\n")}
        assert len(asked) == len(server.connections) == 1
        assert proxy.metrics()['pyproxy_upstream_refused_total{upstream="app"}'] == 1


def test_an_endpoint_that_wants_http_1_and_may_not_have_it_is_a_502():
    def act(peer, event):
        if isinstance(event, h2.events.StreamEnded):
            peer.h2.reset_stream(event.stream_id, h2.errors.ErrorCodes.HTTP_1_1_REQUIRED)

    with over_tls("h2", ["h2", "http/1.1"], act) as (server, proxy):
        for _ in range(2):
            answer = proxy.get("/")
            assert (answer.status, answer.body.count(b"http_1_1_required")) == (502, 1)
        assert (len(server.connections), server.plain) == (1, 0)


def test_an_endpoint_that_cannot_do_http_2_is_a_502():
    with over_tls("h2", ["http/1.1"]) as (_, proxy):
        answer = proxy.get("/")
        assert (answer.status, answer.body.count(b"upstream_tls")) == (502, 1)
