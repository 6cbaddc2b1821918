"""An origin whose WebSockets are streams of HTTP/2 (RFC 8441), with `h2` and `websockets`.

with stream_origin() as app:
    running(f"... upstreams: {{app: {{endpoints: ['{app.address}'], protocol: h2c}}}}")
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol

ECHOED = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)


class StreamOrigin:
    """Sends every frame back as it came. A WebSocket to `/refused` is answered with 403; a request
    with its path. What tests set holds for connections that come afterwards.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.welcomes = True  # says so in its SETTINGS
        self.takes = True  # reads what comes on streams
        self.connections: list[Connection] = []
        self.asked: list[dict[str, str]] = []
        self.plain: list[bytes] = []  # heads of HTTP/1
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listening.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listening.accept()
                thread = threading.Thread(target=self._serve, args=(sock,))
                self._threads.append(thread)
                thread.start()

    def _serve(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            connection = Connection(self, sock)
            self.connections.append(connection)
            if isinstance(sock, ssl.SSLSocket) and sock.selected_alpn_protocol() != "h2":
                connection.serve_http_1()
            else:
                connection.serve()

    def close(self) -> None:
        """End every connection."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for connection in self.connections:
            connection.close()
        for thread in self._threads:
            thread.join()


class Connection:
    """One connection of a `StreamOrigin`."""

    def __init__(self, origin: StreamOrigin, sock: socket.socket) -> None:
        self.origin = origin
        self.sock = sock
        self.sockets: dict[int, Protocol] = {}
        self.ended: list[int] = []  # streams whose client has ended in order
        self.reset: dict[int, int] = {}  # those that it has reset, with the code
        self._waiting: dict[int, bytes] = {}
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)

    def serve(self) -> None:
        """Until the other side closes."""
        self.h2.initiate_connection()
        welcome = {h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
        if self.origin.welcomes:
            self.h2.update_settings(welcome)
        try:
            self.sock.sendall(self.h2.data_to_send())
            while data := self.sock.recv(65_536):
                for event in self.h2.receive_data(data):
                    self._take(event)
                self.flush()
        finally:
            self.sock.close()

    def serve_http_1(self) -> None:
        """WebSockets as they are over HTTP/1: one for a connection."""
        ws: Protocol = ServerProtocol()
        with self.sock:
            while data := self.sock.recv(65_536):
                ws.receive_data(data)
                for event in ws.events_received():
                    if isinstance(event, Frame):
                        self._echo(ws, event)
                    else:
                        self.origin.plain.append(event.path.encode())
                        assert isinstance(ws, ServerProtocol)
                        ws.send_response(ws.accept(event))
                for piece in ws.data_to_send():
                    self.sock.sendall(piece)

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._begin(event.stream_id, dict(event.headers))
            case h2.events.DataReceived():
                ws = self.sockets.get(event.stream_id)
                if ws is not None and self.origin.takes:
                    ws.receive_data(event.data)
                if self.origin.takes and event.flow_controlled_length:
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self.ended.append(event.stream_id)
                ws = self.sockets.get(event.stream_id)
                if ws is not None and ws.state is not State.CLOSED:
                    with contextlib.suppress(ProtocolError, EOFError):
                        ws.receive_eof()
            case h2.events.StreamReset():
                self.reset[event.stream_id] = int(event.error_code)
                self.sockets.pop(event.stream_id, None)

    def _begin(self, number: int, head: dict[str, str]) -> None:
        self.origin.asked.append(head)
        if head[":method"] != "CONNECT":
            self.h2.send_headers(number, [(":status", "200")])
            self.h2.send_data(number, head[":path"].encode(), end_stream=True)
        elif head[":path"] == "/refused":
            self.h2.send_headers(number, [(":status", "403")])
            self.h2.send_data(number, b"not you\n", end_stream=True)
        else:
            self.h2.send_headers(number, [(":status", "200")])
            self.sockets[number] = Protocol(Side.SERVER, state=State.OPEN, max_size=None)

    def _echo(self, ws: Protocol, frame: Frame) -> None:
        if frame.opcode not in ECHOED:
            return
        send = {
            Opcode.TEXT: ws.send_text,
            Opcode.BINARY: ws.send_binary,
            Opcode.CONT: ws.send_continuation,
        }[frame.opcode]
        send(bytes(frame.data), fin=frame.fin)

    def flush(self) -> None:
        """Send what the WebSockets have to say, as the windows allow."""
        for number, ws in list(self.sockets.items()):
            for event in ws.events_received():
                assert isinstance(event, Frame)
                self._echo(ws, event)
            said = ws.data_to_send()
            self._waiting[number] = self._waiting.get(number, b"") + b"".join(said)
            self._send(number, ends=b"" in said or ws.state is State.CLOSED)
        self.sock.sendall(self.h2.data_to_send())

    def _send(self, number: int, *, ends: bool) -> None:
        data = self._waiting[number]
        try:
            while data and (room := self.h2.local_flow_control_window(number)) > 0:
                size = min(room, self.h2.max_outbound_frame_size)
                self.h2.send_data(number, data[:size])
                data = data[size:]
            if ends and not data:
                self.h2.end_stream(number)
                del self.sockets[number]
        except h2.exceptions.ProtocolError:  # it has been reset
            self.sockets.pop(number, None)
        self._waiting[number] = data

    def break_off(self, number: int) -> None:
        """Reset a stream, from another thread, which nothing else happens in."""
        self.h2.reset_stream(number, h2.errors.ErrorCodes.INTERNAL_ERROR)
        self.sock.sendall(self.h2.data_to_send())

    def close(self) -> None:
        """End it, whatever runs on it."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def stream_origin(tls: ssl.SSLContext | None = None) -> Iterator[StreamOrigin]:
    """An origin that runs until the block ends."""
    origin = StreamOrigin(tls)
    try:
        yield origin
    finally:
        origin.close()
