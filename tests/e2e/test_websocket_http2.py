"""WebSockets of clients that speak HTTP/2 (extended CONNECT, RFC 8441), and CONNECT, with real
processes.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import signal
import socket
import struct

import pytest
from websockets.exceptions import ConnectionClosed

from testenv import running, wait_until
from testenv.h2 import h2_dial
from testenv.raw import RawOrigin, fields_of, response, same_workers
from testenv.websocket import websocket_origin
from testenv.websocket_h2 import ASK, BINARY, CLOSE, PING, PONG, TEXT, StreamSocket

MIB = 1 << 20
CANCEL = 8


def config(
    address: str, more: str = ", upgrade: websocket", timeouts: str = "", top: str = ""
) -> str:
    return f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0", timeouts: {{{timeouts}}}}}}}
        upstreams: {{app: {{endpoints: ["{address}"]}}}}
        routes: [{{name: ws, upstream: app{more}}}]
        access_log: stdout
        admin: "127.0.0.1:0"
        {top}
    """


def accept(got: bytes) -> str:
    key = re.search(rb"(?i)sec-websocket-key: (\S+)", got)[1]
    assert len(base64.b64decode(key)) == 16
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return base64.b64encode(digest).decode()


def switch(got: bytes, *fields: str) -> bytes:
    head = ["HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"]
    return "\r\n".join([*head, f"Sec-WebSocket-Accept: {accept(got)}", *fields, "", ""]).encode()


@pytest.fixture(scope="module")
def proxy():
    """A proxy before an echoing origin."""
    with websocket_origin() as app, running(config(app)) as proxy, same_workers(proxy):
        yield proxy


@pytest.fixture
def wires():
    """A proxy, and an origin whose every byte the test says."""
    with RawOrigin() as app, running(config(app.address)) as proxy:
        yield proxy, app


def joined(client, app, *fields: tuple[str, str]):
    """A WebSocket, and the origin's end of it."""
    ws = StreamSocket(client, "/chat", *fields)
    end = app.accept()
    got = end.read_head()
    end.send(switch(got))
    return ws.open(), end, got


# ---- messages


def test_messages_come_as_they_were_sent(proxy) -> None:
    with h2_dial(proxy.port()) as client:
        ws = StreamSocket(client).open()
        assert client.conn.remote_settings.enable_connect_protocol == 1
        for message in (b"hello", b"", b"x" * 65_536, os.urandom(4 * MIB)):
            ws.send(BINARY, message)
            assert ws.recv() == (BINARY, message)
        ws.send(PING, b"are you there")
        assert ws.recv() == (PONG, b"are you there")


def test_closing_ends_both_directions(proxy) -> None:
    with h2_dial(proxy.port()) as client:
        ws = StreamSocket(client).open()
        ws.send(CLOSE, struct.pack(">H", 1000))
        assert ws.recv() == (CLOSE, struct.pack(">H", 1000))
        assert client.response(ws.number).ended  # the origin has closed
        again = StreamSocket(client).open()
        again.send(TEXT, b"the connection goes on")
        assert again.recv() == (TEXT, b"the connection goes on")


def test_the_end_of_the_client_reaches_the_origin() -> None:
    ended = []

    def wait(ws) -> None:
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv()
        ended.append(caught.value.rcvd.code)

    with (
        websocket_origin(wait) as app,
        running(config(app)) as proxy,
        h2_dial(proxy.port()) as client,
    ):
        ws = StreamSocket(client).open()
        ws.send(CLOSE, struct.pack(">H", 4001), end=True)
        assert client.response(ws.number).ended
        wait_until(lambda: ended == [4001], "the end at the origin")


def test_many_streams_of_one_connection(proxy) -> None:
    with h2_dial(proxy.port()) as client:
        many = [StreamSocket(client) for _ in range(100)]
        for ws in many:
            ws.open()
        for turn in range(5):
            for i, ws in enumerate(many):
                ws.send(TEXT, b"%d/%d " % (i, turn) * (1 + 40 * i))
            for i, ws in enumerate(many):
                assert ws.recv() == (TEXT, b"%d/%d " % (i, turn) * (1 + 40 * i))
        assert proxy.metrics()['pyproxy_tunnels_active{route="ws"}'] == 100
        assert proxy.metrics()['pyproxy_connections_active{listener="web"}'] == 1


# ---- the beginning


def test_the_origin_is_asked_as_over_http_1(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        ask = (("sec-websocket-protocol", "chat"), ("sec-websocket-extensions", "x-none"))
        ws, end, got = joined(client, app, *ask)
        fields = fields_of(got)
        assert got.startswith(b"GET /chat HTTP/1.1\r\n")
        assert fields["upgrade"] == "websocket"
        assert fields["connection"].lower() == "upgrade"
        assert fields["sec-websocket-version"] == "13"
        assert fields["sec-websocket-protocol"] == "chat"
        assert fields["sec-websocket-extensions"] == "x-none"
        for name in ("sec-websocket-accept", "upgrade", "connection", "content-length"):
            assert name not in ws.stream.headers
        end.send(b"bytes")
        assert ws.take(5) == b"bytes"
        end.close()
    (line,) = proxy.access_log()
    assert (line["status"], line["upstream_status"]) == (200, 101)


def test_each_key_is_fresh(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        keys = {fields_of(joined(client, app)[2])["sec-websocket-key"] for _ in range(3)}
        assert len(keys) == 3


def test_bytes_before_the_answer_are_kept(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        ws = StreamSocket(client)
        client.send(ws.number, b"early")
        end = app.accept()
        got = end.read_head()
        end.send(switch(got) + b"late")
        assert end.take(5) == b"early"
        assert ws.open().take(4) == b"late"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        (
            b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        ),
        response(b"an ordinary page"),
    ],
)
def test_what_is_no_answer_is_not_passed_on(wires, answer) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        ws = StreamSocket(client)
        end = app.accept()
        end.read_head()
        end.send(answer)
        assert client.response(ws.number).status == 502


def test_a_refusal_is_a_response(proxy) -> None:
    with h2_dial(proxy.port()) as client:
        refused = client.response(StreamSocket(client, "/refused").number)
        assert (refused.status, refused.body) == (403, b"not you\n")


def test_what_the_route_does_not_allow_is_refused(proxy) -> None:
    with (
        RawOrigin() as app,
        running(config(app.address, ", upgrade: []")) as other,
        h2_dial(other.port()) as client,
    ):
        assert client.response(StreamSocket(client).number).status == 501
    with h2_dial(proxy.port()) as client:
        number = client.request("CONNECT", "/", (":protocol", "chat"), end=False)
        assert client.response(number).status == 501
        number = client.request("CONNECT", "/", *ASK, ("content-length", "5"), end=False)
        assert client.response(number).status == 501


# ---- the end


def test_a_client_that_resets_resets_the_origin(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        ws, end, _ = joined(client, app)
        client.reset(ws.number)
        assert (end.read_to_end(), end.was_reset) == (b"", True)
        assert proxy.metrics()['pyproxy_tunnels_active{route="ws"}'] == 0


def test_a_client_that_vanishes_resets_the_origin(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        _, end, _ = joined(client, app)
    assert (end.read_to_end(), end.was_reset) == (b"", True)


def test_an_origin_that_resets_resets_the_stream(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        ws, end, _ = joined(client, app)
        end.abort()
        assert client.response(ws.number).reset == CANCEL


def test_each_direction_ends_by_itself(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        ws, end, _ = joined(client, app)
        client.send(ws.number, b"last", end=True)
        assert end.read_to_end() == b"last"
        end.send(b"more")
        assert ws.take(4) == b"more"
        end.close()
        assert client.response(ws.number).ended


def test_a_silent_one_ends() -> None:
    with (
        RawOrigin() as app,
        running(config(app.address, timeouts="tunnel_idle: 200ms")) as proxy,
        h2_dial(proxy.port()) as client,
    ):
        ws, _, _ = joined(client, app)
        assert client.response(ws.number).ended
        assert proxy.access_log()[0]["fault"] == "idle_timeout"


# ---- workers that change


def test_a_reload_does_not_touch_it(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        ws, end, _ = joined(client, app)
        asked = proxy.reload(config(app.address, ", upgrade: websocket, max_body: 1KiB"))
        assert asked.returncode == 0, asked.stderr
        client.send(ws.number, b"still there?")
        assert end.take(12) == b"still there?"
        end.send(b"yes")
        assert ws.take(3) == b"yes"


def test_a_drain_leaves_it_the_time_of_tunnels() -> None:
    top = "drain: {timeout: 100ms, tunnels: 20s}"
    with RawOrigin() as app, running(config(app.address, top=top)) as proxy:
        with h2_dial(proxy.port()) as client:
            ws, end, _ = joined(client, app)
            number = client.request("GET", "/")
            request = app.accept()
            request.read_head()
            proxy.signal(signal.SIGTERM)
            assert client.response(number).reset is not None  # its time was up
            for _ in range(3):
                client.send(ws.number, b"still there?")
                assert end.take(12) == b"still there?"
                end.send(b"yes")
                assert ws.take(3) == b"yes"
            client.send(ws.number, b"", end=True)
            end.close()
            assert client.response(ws.number).ended
        assert proxy.wait() == 0
        assert [line["fault"] for line in proxy.access_log(2)] == ["shutdown", None]


def test_one_that_outlasts_the_drain_is_reset() -> None:
    top = "drain: {timeout: 100ms, tunnels: 200ms}"
    with (
        RawOrigin() as app,
        running(config(app.address, top=top)) as proxy,
        h2_dial(proxy.port()) as client,
    ):
        ws, end, _ = joined(client, app)
        proxy.signal(signal.SIGTERM)
        assert client.response(ws.number).reset == CANCEL
        assert (end.read_to_end(), end.was_reset) == (b"", True)
        proxy.wait()


# ---- back-pressure


def fill(sock: socket.socket) -> int:
    """Send until nothing is taken for a while; how many bytes that was."""
    sent = 0
    sock.settimeout(1)
    while True:
        try:
            sent += sock.send(b"d" * 65_536)
        except TimeoutError:
            return sent


def test_a_client_that_takes_nothing_stops_the_origin(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        ws, end, _ = joined(client, app)
        client.takes = False
        sent = fill(end.sock)
        while len(ws.stream.body) < 65_535:  # the window, and no more
            client.hear()
        assert sent > 65_535
        client.takes = True
        client.conn.acknowledge_received_data(65_535, ws.number)
        client.flush()
        while len(ws.stream.body) < sent:
            client.hear()
        assert ws.stream.body == b"d" * sent


def test_an_origin_that_reads_nothing_stops_the_client(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        ws, end, _ = joined(client, app)
        sent = 0
        client.sock.settimeout(1)
        while sent < 64 * MIB:
            try:
                client.send(ws.number, b"d" * 16384)
            except TimeoutError:
                break
            sent += 16384
        assert sent < 64 * MIB
        end.take(sent)
        assert end.rest.count(b"d") <= 16384


# ---- CONNECT


def test_connect_on_a_stream_is_a_tunnel() -> None:
    with (
        RawOrigin() as app,
        running(f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
            routes: [{{upstream: app, match: {{host: db.example, methods: CONNECT}}}}]
            access_log: stdout
        """) as proxy,
    ):
        with h2_dial(proxy.port()) as client:
            head = [(":method", "CONNECT"), (":authority", "db.example:5432")]
            number = int(client.conn.get_next_available_stream_id())
            client.conn.send_headers(number, head)
            client.send(number, b"early")
            end = app.accept()
            assert end.take(5) == b"early"
            end.send(b"db speaks")
            stream = client.streams[number]
            while len(stream.body) < 9:
                client.hear()
            assert (stream.status, stream.body) == (200, b"db speaks")
            client.send(number, b"last words", end=True)
            assert end.read_to_end() == b"last words"
            end.close()
            assert client.response(number).ended
            refused = int(client.conn.get_next_available_stream_id())
            client.conn.send_headers(refused, [head[0], (":authority", "other.example:1")])
            client.flush()
            assert client.response(refused).status == 501
        statuses = {(line["status"], line["fault"]) for line in proxy.access_log(2)}
        assert statuses == {(200, None), (501, "not_implemented")}
