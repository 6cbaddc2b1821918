"""WebSockets to endpoints that speak HTTP/2: extended CONNECT (RFC 8441), with real processes."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading

import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from testenv import running, wait_until
from testenv.certificates import certificates
from testenv.h2 import h2_dial
from testenv.raw import dial, fields_of, same_workers
from testenv.websocket_h2 import BINARY, CLOSE, PING, PONG, TEXT, StreamSocket
from testenv.websocket_h2_origin import StreamOrigin, stream_origin

MIB = 1 << 20
CANCEL = 8


def config(address: str, protocol: str = "h2c", more: str = "", timeouts: str = "") -> str:
    return f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0", timeouts: {{{timeouts}}}}}}}
        upstreams: {{app: {{endpoints: ["{address}"], protocol: {protocol}, retries: 0{more}}}}}
        routes: [{{name: ws, upstream: app}}]
        access_log: stdout
        admin: "127.0.0.1:0"
    """


def ws_dial(proxy, path: str = "/", **more) -> ClientConnection:
    url = f"ws://127.0.0.1:{proxy.port()}{path}"
    return connect(url, max_size=None, compression=None, **more)


def idle(proxy) -> float:
    return proxy.metrics()['pyproxy_upstream_connections_idle{upstream="app"}']


def connects(proxy) -> float:
    return proxy.metrics()['pyproxy_upstream_connects_total{upstream="app"}']


@pytest.fixture(scope="module")
def pair():
    """A proxy before an echoing origin."""
    with stream_origin() as app, running(config(app.address)) as proxy, same_workers(proxy):
        yield proxy, app


@pytest.fixture
def fresh():
    with stream_origin() as app, running(config(app.address)) as proxy:
        yield proxy, app


# ---- messages


def test_messages_of_a_client_of_http_1(pair) -> None:
    proxy, app = pair
    with ws_dial(proxy, "/chat?q", additional_headers={"X-A": "b"}) as ws:
        for message in ["text \u2603", b"", b"x" * 65_536, os.urandom(4 * MIB)]:
            ws.send(message)
            assert ws.recv() == message
        ws.send(iter(["one, ", "two, ", "three"]))  # in fragments
        assert [piece for piece in ws.recv_streaming() if piece] == ["one, ", "two, ", "three"]
        assert ws.ping(b"there?").wait(30)
        asked = app.asked[-1]
        assert (asked[":method"], asked[":protocol"]) == ("CONNECT", "websocket")
        assert (asked[":path"], asked["x-a"]) == ("/chat?q", "b")
        assert asked["sec-websocket-version"] == "13"
        assert asked.keys().isdisjoint({"sec-websocket-key", "upgrade", "connection"})


def test_messages_of_a_client_of_http_2(pair) -> None:
    proxy, _ = pair
    with h2_dial(proxy.port()) as client:
        ws = StreamSocket(client).open()
        for message in (b"hello", b"", os.urandom(4 * MIB)):
            ws.send(BINARY, message)
            assert ws.recv() == (BINARY, message)
        ws.send(PING, b"are you there")
        assert ws.recv() == (PONG, b"are you there")
        ws.send(CLOSE, struct.pack(">H", 1000))
        assert ws.recv() == (CLOSE, struct.pack(">H", 1000))
        assert client.response(ws.number).ended


def test_all_share_one_connection_with_requests(fresh) -> None:
    proxy, app = fresh
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(ws_dial(proxy)) for _ in range(20)]
        for i, ws in enumerate(sockets):
            ws.send(f"{i} " * 1000)
        assert proxy.get("/page").body == b"/page"
        for i, ws in enumerate(sockets):
            assert ws.recv() == f"{i} " * 1000
        assert connects(proxy) == 1
        assert proxy.metrics()['pyproxy_tunnels_active{route="ws"}'] == 20
    lines = [line for line in proxy.access_log(21) if line["target"] == "/"]
    assert {(line["status"], line["fault"]) for line in lines} == {(101, None)}
    assert len(app.connections) == 1
    assert len(app.connections[0].ended) == 21
    assert app.connections[0].reset == {}


def test_a_refusal_is_a_response(pair) -> None:
    proxy, _ = pair
    with pytest.raises(InvalidStatus) as refused:
        ws_dial(proxy, "/refused")
    assert (refused.value.response.status_code, refused.value.response.body) == (403, b"not you\n")


# ---- endpoints that do not take it


def refusing() -> StreamOrigin:
    app = StreamOrigin()
    app.welcomes = False
    return app


def test_where_it_is_not_welcome_clients_of_http_2_are_told() -> None:
    app = refusing()
    try:
        with running(config(app.address)) as proxy:
            for _ in range(2):
                with h2_dial(proxy.port()) as client:
                    answer = client.response(StreamSocket(client).number)
                    assert answer.status == 502
                    assert b"upstream_no_upgrade" in answer.body
            assert connects(proxy) == 1
            assert [line["fault"] for line in proxy.access_log(2)] == ["upstream_no_upgrade"] * 2
    finally:
        app.close()


def test_where_it_is_not_welcome_an_upgrade_is_an_ordinary_request() -> None:
    app = refusing()
    try:
        with running(config(app.address)) as proxy:
            with pytest.raises(InvalidStatus) as answered:
                ws_dial(proxy, "/page")
            assert answered.value.response.body == b"/page"
            assert app.asked[0][":method"] == "GET"
    finally:
        app.close()


@pytest.mark.parametrize("welcomes", [True, False])
def test_what_is_agreed_over_tls_decides(welcomes) -> None:
    """`auto`: on a stream when the endpoint is known to take it, else over HTTP/1."""
    pki = certificates()
    context = pki.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    tls = f", tls: {{ca: {pki.ca.cert}, server_name: app.test}}"
    with stream_origin(context) as app, running(config(app.address, "auto", tls)) as proxy:
        app.welcomes = welcomes
        for i in range(2):
            with ws_dial(proxy, f"/{i}") as ws:
                ws.send("hello")
                assert ws.recv() == "hello"
            assert proxy.get("/page").body == b"/page"  # over HTTP/2, which tells
        on_streams = [head[":path"] for head in app.asked if head[":method"] == "CONNECT"]
        assert app.plain == ([b"/0"] if welcomes else [b"/0", b"/1"])
        assert on_streams == (["/1"] if welcomes else [])


def test_an_endpoint_that_takes_it_no_more_is_asked_over_http_1() -> None:
    pki = certificates()
    context = pki.server_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    tls = f", tls: {{ca: {pki.ca.cert}, server_name: app.test}}"
    with stream_origin(context) as app, running(config(app.address, "auto", tls)) as proxy:
        assert proxy.get("/page").body == b"/page"
        app.welcomes = False
        app.connections[0].close()
        wait_until(lambda: idle(proxy) == 0, "the connection is gone")
        for i in range(2):
            with ws_dial(proxy, f"/{i}") as ws:
                ws.send("hello")
                assert ws.recv() == "hello"
        assert app.plain == [b"/0", b"/1"]
        assert [line["upstream_attempts"] for line in proxy.access_log(3)] == [1, 1, 1]


# ---- the end


def test_a_client_that_vanishes_resets_the_stream(fresh) -> None:
    proxy, app = fresh
    with ws_dial(proxy) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
        ws.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ws.close_socket()
    wait_until(lambda: app.connections[0].reset, "the stream is reset")
    assert app.connections[0].reset == {1: CANCEL}
    assert proxy.get("/page").body == b"/page"
    assert connects(proxy) == 1


def test_an_endpoint_that_resets_resets_the_client(fresh) -> None:
    proxy, app = fresh
    with h2_dial(proxy.port()) as client:
        with ws_dial(proxy) as ws:
            ws.send("hello")
            assert ws.recv() == "hello"
            other = StreamSocket(client).open()
            other.send(TEXT, b"hello")
            assert other.recv() == (TEXT, b"hello")
            for number in (1, 3):
                app.connections[0].break_off(number)
            with pytest.raises(ConnectionClosedError):
                ws.recv(30)
        assert client.response(other.number).reset == CANCEL
    assert {line["fault"] for line in proxy.access_log(2)} == {"upstream_reset"}


def test_an_endpoint_that_dies_resets_its_clients(fresh) -> None:
    proxy, app = fresh
    with ws_dial(proxy) as ws:
        ws.send("hello")
        assert ws.recv() == "hello"
        app.connections[0].close()
        with pytest.raises(ConnectionClosedError):
            ws.recv(30)
    with ws_dial(proxy) as ws:  # on another connection
        ws.send("again")
        assert ws.recv() == "again"


def test_a_reload_that_drops_the_upstream_lets_it_go_on(fresh) -> None:
    proxy, app = fresh
    with ws_dial(proxy) as ws, stream_origin() as other:
        ws.send("hello")
        assert ws.recv() == "hello"
        asked = proxy.reload(config(other.address).replace("app", "another"))
        assert asked.returncode == 0, asked.stderr
        for _ in range(3):
            ws.send("still there?")
            assert ws.recv() == "still there?"
        assert proxy.get("/page").body == b"/page"
        assert len(other.connections) == 1
    wait_until(lambda: app.connections[0].sock.fileno() < 0, "its connection has ended with it")


def test_a_hot_upgrade_leaves_it_where_it_is(tmp_path) -> None:
    with stream_origin() as app:
        text = config(app.address) + f"\n        control_socket: {tmp_path}/control.sock\n"
        with running(text, folder=tmp_path) as proxy:
            with ws_dial(proxy) as ws:
                ws.send("hello")
                assert ws.recv() == "hello"
                asked = proxy.ask("upgrade")
                assert asked.returncode == 0, asked.stderr
                for _ in range(3):
                    ws.send("still there?")
                    assert ws.recv() == "still there?"
                assert proxy.get("/page").body == b"/page"
            wait_until(lambda: not proxy.running, "the old program has ended with it")
            assert len(app.connections) == 2


# ---- back-pressure


def memory(proxy) -> int:
    """Bytes that the worker has in memory."""
    (pid,) = proxy.workers()
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_endpoint_that_reads_nothing_stops_the_client(fresh) -> None:
    proxy, app = fresh
    app.takes = False
    with ws_dial(proxy) as ws:
        before = memory(proxy)
        gone = threading.Event()

        def flood() -> None:
            try:
                for _ in range(64):
                    ws.send(b"d" * MIB)
            except (OSError, ConnectionClosedError):
                gone.set()

        thread = threading.Thread(target=flood)
        thread.start()
        thread.join(2)
        assert thread.is_alive()  # it is stopped, long before the end
        assert memory(proxy) - before < 4 * MIB
        app.connections[0].close()
        thread.join(30)
        assert gone.is_set()


def test_a_client_that_reads_nothing_stops_the_endpoint(fresh) -> None:
    proxy, _ = fresh
    with dial(proxy.port()) as client:
        client.send(
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        head = fields_of(client.read_head())
        assert head["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        before = memory(proxy)
        frame = bytes([0x82, 0xFF]) + (MIB).to_bytes(8, "big") + b"\0\0\0\0" + b"d" * MIB
        for _ in range(32):
            client.sock.sendall(frame)
        assert memory(proxy) - before < 4 * MIB  # its answers are where they come from
        answer = bytes([0x82, 0x7F]) + frame[2:10] + frame[14:]
        for _ in range(32):
            assert client.take(len(answer)) == answer
