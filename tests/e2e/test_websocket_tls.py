"""WebSockets where one side of the proxy, or both, speak TLS, with real processes."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import struct
import threading
from collections.abc import Iterator

import pytest
from websockets.sync.client import ClientConnection, connect

from testenv import GUARD_SECONDS, Proxy, running, wait_until
from testenv.certificates import certificates
from testenv.raw import same_workers
from testenv.websocket import websocket_origin

PKI = certificates()
MIB = 1 << 20
TLS = f"tls: {{cert: {PKI.server.cert}, key: {PKI.server.key}}}"
TLS_UP = f"tls: {{ca: {PKI.ca.cert}, server_name: app.test}}"
ASK = (
    b"GET /ws HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def config(address: str, *, down: bool, up: bool, protocol: str = "h1") -> str:
    return f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0", {TLS if down else ""}}}}}
        upstreams:
          app: {{endpoints: ["{address}"], protocol: {protocol}, {TLS_UP if up else ""}}}
        routes: [{{name: ws, upstream: app}}]
        access_log: stdout
        admin: "127.0.0.1:0"
    """


@contextlib.contextmanager
def dial(proxy: Proxy, *, down: bool) -> Iterator[ClientConnection]:
    url = f"{'wss' if down else 'ws'}://127.0.0.1:{proxy.port()}/ws"
    secret = {"ssl": PKI.client_context(), "server_hostname": "app.test"} if down else {}
    with connect(url, max_size=None, compression=None, **secret) as ws:
        yield ws


def only_line(proxy: Proxy) -> dict[str, object]:
    wait_until(lambda: proxy.stdout.endswith("\n"), "it is logged")
    (line,) = proxy.stdout.splitlines()
    return dict(json.loads(line))


@pytest.mark.parametrize(
    ("down", "up", "protocol", "offers"),
    [
        (True, False, "h1", None),
        (False, True, "h1", ["http/1.1"]),
        (True, True, "h1", None),
        (True, True, "auto", ["h2", "http/1.1"]),
        (False, True, "auto", ["http/1.1"]),
    ],
)
def test_messages_pass_and_an_ordinary_end_is_no_fault(down, up, protocol, offers) -> None:
    schemes = []

    def handle(ws) -> None:
        schemes.append(ws.request.headers["X-Forwarded-Proto"])
        for message in ws:
            ws.send(message)

    server = PKI.server_context()
    server.set_alpn_protocols(offers or ["http/1.1"])
    with (
        websocket_origin(handle, **({"ssl": server} if up else {})) as app,
        running(config(app, down=down, up=up, protocol=protocol)) as proxy,
        same_workers(proxy),
    ):
        with dial(proxy, down=down) as ws:
            for message in ["", "text \u2603", b"\0\1", os.urandom(4 * MIB), "x" * 65_536]:
                ws.send(message)
                assert ws.recv() == message
        line = only_line(proxy)
        assert (line["status"], line["fault"]) == (101, None)
        assert schemes == ["https" if down else "http"]
        resets = {k: v for k, v in proxy.metrics().items() if "upstream_resets" in k}
        assert set(resets.values()) == {0.0}


def serve_once(server: socket.socket, context: ssl.SSLContext, data: bytes) -> threading.Thread:
    """Take one connection, switch protocols, send <data>, and close without close_notify."""

    def run() -> None:
        raw, _ = server.accept()
        raw.settimeout(GUARD_SECONDS)
        with context.wrap_socket(raw, server_side=True) as sock:
            while not sock.recv(65_536).endswith(b"\r\n\r\n"):
                pass
            sock.sendall(SWITCH + data)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_what_was_said_before_an_end_without_a_word_arrives() -> None:
    data = os.urandom(4 * MIB)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with running(config(address, down=True, up=True)) as proxy, same_workers(proxy):
            thread = serve_once(server, PKI.server_context(), data)
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # it is slow to take bytes
            raw.settimeout(GUARD_SECONDS)
            raw.connect(("127.0.0.1", proxy.port()))
            with PKI.client_context().wrap_socket(raw, server_hostname="app.test") as sock:
                sock.sendall(ASK)
                got = b""
                while piece := sock.recv(65_536):
                    got += piece
            thread.join()
            assert got.endswith(data)
            assert only_line(proxy)["fault"] is None


def test_a_reset_under_tls_is_still_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with running(config(address, down=True, up=False)) as proxy, same_workers(proxy):
            raw = socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS)
            sock = PKI.client_context().wrap_socket(raw, server_hostname="app.test")
            sock.sendall(ASK)
            app, _ = server.accept()
            with app:
                app.settimeout(GUARD_SECONDS)
                while not app.recv(65_536).endswith(b"\r\n\r\n"):
                    pass
                app.sendall(SWITCH)
                assert sock.recv(65_536).startswith(b"HTTP/1.1 101 ")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
                with pytest.raises(ConnectionResetError):
                    app.recv(1)
            assert only_line(proxy)["fault"] == "client_abort"
