"""WebSockets and other protocols that begin as a request, and CONNECT, with real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import threading

import pytest
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.sync.client import connect

from testenv import wait_until
from testenv.proxy import running
from testenv.raw import RawOrigin, dial, fields_of, request, response, same_workers
from testenv.websocket import echo, websocket_origin

MIB = 1 << 20

ASK = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def config(
    address: str, more: str = "", workers: int = 1, timeouts: str = "", top: str = ""
) -> str:
    return f"""
        workers: {workers}
        listeners: {{web: {{bind: "127.0.0.1:0", timeouts: {{{timeouts}}}}}}}
        upstreams: {{app: {{endpoints: ["{address}"]}}}}
        routes: [{{name: ws, upstream: app{more}}}]
        access_log: stdout
        admin: "127.0.0.1:0"
        {top}
    """


def url(proxy, path: str = "/") -> str:
    return f"ws://127.0.0.1:{proxy.port()}{path}"


@pytest.fixture(scope="module")
def proxy():
    """A proxy before an echoing origin."""
    with websocket_origin() as app, running(config(app)) as proxy, same_workers(proxy):
        yield proxy


# ---- messages


def test_messages_come_as_they_were_sent(proxy) -> None:
    sent = ["text \u2603", b"\0\1binary", "", b"", "x" * 65_536, os.urandom(8 * MIB)]
    with connect(url(proxy), max_size=None, compression=None) as ws:
        for message in sent:
            ws.send(message)
            assert ws.recv() == message


def test_fragmented_messages(proxy) -> None:
    pieces = ["one ", "two ", "", "three " * 100_000]
    with connect(url(proxy), max_size=None) as ws:
        ws.send(pieces)
        assert ws.recv() == "".join(pieces)
        ws.send([b"a" * MIB, b"b" * MIB])
        assert ws.recv() == b"a" * MIB + b"b" * MIB


def test_compression_is_agreed_on_end_to_end(proxy) -> None:
    with connect(url(proxy), max_size=None) as ws:
        assert [type(one) for one in ws.protocol.extensions] == [PerMessageDeflate]
        text = "the same again " * 100_000
        ws.send(text)
        assert ws.recv() == text


def test_subprotocols_are_agreed_on() -> None:
    with (
        websocket_origin(subprotocols=["chat"]) as app,
        running(config(app)) as proxy,
        connect(url(proxy), subprotocols=["other", "chat"]) as ws,
    ):
        assert ws.subprotocol == "chat"


def test_pings_of_both_sides_are_answered() -> None:
    answered = threading.Event()

    def pinging(ws) -> None:
        ws.ping(b"origin").wait()
        answered.set()
        echo(ws)

    with websocket_origin(pinging) as app, running(config(app)) as proxy, connect(url(proxy)) as ws:
        assert ws.ping(b"client").wait(30)
        assert answered.wait(30)


def test_the_close_code_of_the_client_reaches_the_origin() -> None:
    ended = []

    def wait(ws) -> None:
        with pytest.raises(ConnectionClosed) as caught:
            ws.recv()
        ended.append(caught.value.rcvd)

    with websocket_origin(wait) as app, running(config(app)) as proxy:
        with connect(url(proxy)) as ws:
            ws.close(4001, "enough")
        wait_until(lambda: ended, "the origin sees the end")
        assert (ended[0].code, ended[0].reason) == (4001, "enough")


def test_the_close_code_of_the_origin_reaches_the_client() -> None:
    with websocket_origin(lambda ws: ws.close(1013, "later")) as app, running(config(app)) as proxy:
        with connect(url(proxy)) as ws, pytest.raises(ConnectionClosedError) as caught:
            ws.recv()
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1013, "later")


def test_many_at_once(proxy) -> None:
    async def one(n: int) -> None:
        # On a busy machine the turn of this one may come late: no pings, no bound of its own.
        async with connect_async(
            url(proxy), compression=None, open_timeout=None, ping_interval=None
        ) as ws:
            for i in range(20):
                text = f"{n}/{i} " * (1 + n * i)
                await ws.send(text)
                assert await ws.recv() == text

    async def all_of_them() -> None:
        await asyncio.gather(*(one(n) for n in range(150)))

    asyncio.run(all_of_them())


# ---- the beginning


def test_a_refusal_comes_whole_and_the_connection_goes_on(proxy) -> None:
    with pytest.raises(InvalidStatus) as caught:
        connect(url(proxy, "/refused"))
    assert caught.value.response.status_code == 403
    assert caught.value.response.body == b"not you\n"


@pytest.fixture
def raw():
    """(proxy, origin) on the bare wire."""
    more = ", upgrade: [websocket, my-protocol]"
    with RawOrigin() as app, running(config(app.address, more)) as proxy, same_workers(proxy):
        yield proxy, app


def test_a_connection_goes_on_after_a_refusal(raw) -> None:
    proxy, app = raw
    with dial(proxy.port()) as client:
        client.send(request("/one", *ASK))
        up = app.accept()
        assert fields_of(up.read_head())["upgrade"] == "websocket"
        up.send(response(b"no", 403, "Forbidden"))
        assert client.read_head().startswith(b"HTTP/1.1 403 ")
        assert client.take(2) == b"no"
        client.send(request("/two"))
        assert up.read_head().startswith(b"GET /two ")
        up.send(response(b"yes"))
        assert client.take_until(b"yes").startswith(b"HTTP/1.1 200 ")


def test_early_bytes_of_both_sides_come_in_order(raw) -> None:
    proxy, app = raw
    with dial(proxy.port()) as client:
        client.send(request("/", *ASK) + b"early frames ")
        up = app.accept()
        up.read_head()
        up.send(SWITCH + b"greeting ")
        assert client.read_head().startswith(b"HTTP/1.1 101 ")
        assert client.take(9) == b"greeting "
        client.send(b"late frames")
        assert up.take(24) == b"early frames late frames"


def test_other_protocols_are_as_good(raw) -> None:
    proxy, app = raw
    with dial(proxy.port()) as client:
        client.send(request("/", "Connection: upgrade", "Upgrade: h2c, my-protocol/7"))
        up = app.accept()
        assert fields_of(up.read_head())["upgrade"] == "my-protocol/7"
        up.send(SWITCH.replace(b"websocket", b"my-protocol/7"))
        assert fields_of(client.read_head())["upgrade"] == "my-protocol/7"
        client.send(b"\0\1\2")
        assert up.take(3) == b"\0\1\2"


# ---- smuggling


def test_what_follows_a_refused_upgrade_is_a_request_like_any_other(raw) -> None:
    """A proxy that took 426 for a success would pass the second request on unseen."""
    proxy, app = raw
    with dial(proxy.port()) as client:
        client.send(request("/", *ASK[:2], "Sec-WebSocket-Version: 1777") + request("/%zz"))
        up = app.accept()
        up.read_head()
        up.send(response(b"", 426, "Upgrade Required"))
        assert client.read_head().startswith(b"HTTP/1.1 426 ")
        assert client.read_head().startswith(b"HTTP/1.1 400 ")
        client.read_to_end()
    assert not app.has_connection


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        SWITCH.replace(b"websocket", b"my-protocol"),
        SWITCH.replace(b"\r\n\r\n", b"\r\nContent-Length: 4\r\n\r\n"),
    ],
)
def test_a_101_that_does_not_answer_opens_no_tunnel(raw, head) -> None:
    proxy, app = raw
    with dial(proxy.port()) as client:
        client.send(request("/", *ASK) + b"early")
        up = app.accept()
        up.read_head()
        up.send(head)
        assert client.read_head().startswith(b"HTTP/1.1 502 ")
        assert up.read_to_end() == b""


def test_an_upgrade_with_content_is_an_ordinary_request(raw) -> None:
    proxy, app = raw
    with dial(proxy.port()) as client:
        client.send(request("/", *ASK, method="POST", body=b"GET / HTTP/1.1\r\n"))
        up = app.accept()
        head = fields_of(up.read_head())
        assert head.keys().isdisjoint({"upgrade", "connection"})
        assert up.take(16) == b"GET / HTTP/1.1\r\n"
        up.send(response(b"ok"))
        assert client.take_until(b"ok").startswith(b"HTTP/1.1 200 ")


# ---- the end


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def open_tunnel(proxy, app):
    client = dial(proxy.port())
    client.send(request("/chat", *ASK))
    up = app.accept()
    up.read_head()
    up.send(SWITCH)
    client.read_head()
    return client, up


def test_an_end_that_is_abrupt_stays_abrupt(raw) -> None:
    proxy, app = raw
    client, up = open_tunnel(proxy, app)
    reset(client.sock)
    with pytest.raises(ConnectionResetError):
        up.sock.recv(1)
    client, up = open_tunnel(proxy, app)
    reset(up.sock)
    with pytest.raises(ConnectionResetError):
        client.sock.recv(1)
    client.sock.close()
    assert [line["fault"] for line in proxy.access_log(2)] == ["client_abort", "upstream_reset"]


def test_the_log_line_has_all_that_passed_and_open_ones_are_counted(raw) -> None:
    proxy, app = raw
    client, up = open_tunnel(proxy, app)
    gauge = 'pyproxy_tunnels_active{route="ws"}'
    assert proxy.metrics()[gauge] == 1
    client.send(b"12345")
    assert up.take(5) == b"12345"
    up.send(b"1234567")
    assert client.take(7) == b"1234567"
    assert proxy.access_log(0) == []
    client.close()
    up.close()
    (line,) = proxy.access_log()
    assert (line["status"], line["request_bytes"], line["response_bytes"]) == (101, 5, 7)
    assert (line["target"], line["route"], line["fault"]) == ("/chat", "ws", None)
    assert proxy.metrics()[gauge] == 0


def test_an_idle_tunnel_ends() -> None:
    with (
        RawOrigin() as app,
        running(config(app.address, timeouts="tunnel_idle: 100ms")) as proxy,
    ):
        client, up = open_tunnel(proxy, app)
        assert client.read_to_end() == b""
        assert up.read_to_end() == b""
        assert proxy.access_log()[0]["fault"] == "idle_timeout"


# ---- CONNECT


def test_connect_leads_to_the_upstream_of_its_route() -> None:
    text = "match: {host: db.example, methods: CONNECT}"
    with RawOrigin() as app, running(config(app.address, f", {text}")) as proxy:
        with dial(proxy.port()) as client:
            client.send(b"CONNECT db.example:1 HTTP/1.1\r\nHost: db.example:1\r\n\r\nearly ")
            head = client.read_head()
            assert head.startswith(b"HTTP/1.1 200 ")
            assert fields_of(head).keys().isdisjoint({"content-length", "transfer-encoding"})
            client.send(b"late")
            up = app.accept()
            assert up.take(10) == b"early late"
            up.send(b"answer")
            assert client.take(6) == b"answer"
        up.read_to_end()
        with dial(proxy.port()) as client:
            client.send(b"CONNECT other.example:1 HTTP/1.1\r\nHost: other.example:1\r\n\r\n")
            assert client.read_head().startswith(b"HTTP/1.1 501 ")


# ---- while the proxy changes


@contextlib.contextmanager
def talking(proxy, sockets: int = 8):
    """WebSockets that send numbered messages and check every echo, until the block ends."""
    over = threading.Event()
    wrong: list[str] = []
    counts = [0] * sockets

    def talk(n: int) -> None:
        try:
            with connect(url(proxy), compression=None) as ws:
                while not over.is_set():
                    for i in range(4):  # several on the way at once
                        ws.send(f"{n}/{counts[n] + i} ".ljust(5_000, "x"))
                    for _ in range(4):
                        got = ws.recv(30)
                        if not got.startswith(f"{n}/{counts[n]} ") or len(got) != 5_000:
                            wrong.append(got[:20])
                        counts[n] += 1
                ws.close()
        except (OSError, ConnectionClosed, TimeoutError) as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=talk, args=(n,)) for n in range(sockets)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: all(counts) or wrong, "all of them talk")
        yield counts
        after = list(counts)
        wait_until(
            lambda: wrong or all(now > then for now, then in zip(counts, after, strict=True)),
            "all of them talk afterwards",
        )
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    assert wrong == []


def test_a_reload_disturbs_no_message() -> None:
    with websocket_origin() as app, running(config(app, workers=2)) as proxy:
        with talking(proxy) as counts:
            for i in range(3):
                before = sum(counts)
                asked = proxy.reload(config(app, f", max_body: {i + 1}KiB", workers=2))
                assert asked.returncode == 0, asked.stderr
                wait_until(lambda before=before: sum(counts) > before, "messages go on")
        assert {line["status"] for line in proxy.access_log(8)} == {101}


def test_a_hot_upgrade_disturbs_no_message(tmp_path) -> None:
    """Open WebSockets go on in the next program, and are logged once, there."""
    top = f"control_socket: {tmp_path}/control.sock"
    with (
        websocket_origin() as app,
        running(config(app, workers=2, top=top), folder=tmp_path) as proxy,
    ):
        with talking(proxy):
            asked = proxy.ask("upgrade")
            assert asked.returncode == 0, asked.stderr
            wait_until(lambda: not proxy.running, "the old program has ended")
        for line in proxy.access_log(8):
            assert (line["status"], line["target"], line["route"]) == (101, "/", "ws")
            assert line["request_bytes"] > 20_000
            assert line["response_bytes"] > 20_000
            assert line["duration_ms"] > 0


def test_a_drain_leaves_tunnels_their_own_time() -> None:
    top = "drain: {timeout: 100ms, tunnels: 20s}"
    with RawOrigin() as app, running(config(app.address, top=top)) as proxy:
        client, up = open_tunnel(proxy, app)
        ends, other = open_tunnel(proxy, app)
        proxy.signal(signal.SIGTERM)
        wait_until(lambda: "drain" in proxy.stderr, "the drain has begun")
        ends.close()
        other.close()
        for _ in range(3):
            client.send(b"still there?")
            assert up.take(12) == b"still there?"
        client.close()
        up.close()
        assert proxy.wait() == 0
        assert [line["fault"] for line in proxy.access_log(2)] == [None, None]


def test_a_tunnel_that_outlasts_the_drain_is_reset() -> None:
    top = "drain: {timeout: 10s, tunnels: 100ms}"
    with RawOrigin() as app, running(config(app.address, top=top)) as proxy:
        client, up = open_tunnel(proxy, app)
        proxy.signal(signal.SIGTERM)
        client.read_to_end()
        up.read_to_end()
        assert client.was_reset
        assert up.was_reset
        proxy.wait()
        assert [line["fault"] for line in proxy.access_log()] == ["shutdown"]
