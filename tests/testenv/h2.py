"""A client that speaks HTTP/2 frame by frame, with the `h2` library: the test decides when.

with h2_dial(proxy.port()) as client:
    one = client.request("GET", "/")
    assert client.response(one).status == 200
"""

from __future__ import annotations

import contextlib
import socket
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

from .client import GUARD_SECONDS, Place, connect

GOAWAY = 7


@dataclass
class Stream:
    """What has come on a stream so far."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    interim: list[int] = field(default_factory=list)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    reset: int | None = None  # the error code

    @property
    def over(self) -> bool:
        return self.ended or self.reset is not None


class H2Client:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(GUARD_SECONDS)
        settings = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.conn = h2.connection.H2Connection(settings)
        self.conn.initiate_connection()
        self.streams: dict[int, Stream] = defaultdict(Stream)
        self.goaways: list[int] = []  # last stream of each
        self.closed = False
        self._raw = bytearray()
        self.takes = True  # gives windows back
        self.flush()

    def flush(self) -> None:
        """Send what the library has to say."""
        self.sock.sendall(self.conn.data_to_send())

    def request(self, method: str, path: str, *fields: tuple[str, str], end: bool = True) -> int:
        """Begin a stream; its number."""
        number = int(self.conn.get_next_available_stream_id())
        head = [(":method", method), (":scheme", "http"), (":authority", "a.test"), (":path", path)]
        self.conn.send_headers(number, [*head, *fields], end_stream=end)
        self.flush()
        return number

    def send(self, number: int, data: bytes, *, end: bool = False) -> None:
        """Send a body, as the windows allow."""
        while data or end:
            size = min(
                self.conn.local_flow_control_window(number), self.conn.max_outbound_frame_size
            )
            piece, data = data[:size], data[size:]
            if piece or not data:
                self.conn.send_data(number, piece, end_stream=end and not data)
                self.flush()
            if not data:
                return
            if self.conn.local_flow_control_window(number) == 0:
                self.hear()

    def hear(self) -> None:
        """Wait for bytes, and take what they say."""
        data = self.sock.recv(65536)
        if not data:
            self.closed = True
            return
        self._raw += data
        for event in self.conn.receive_data(self._frames()):
            self._note(event)
        self.flush()

    def _frames(self) -> bytes:
        """Whole frames, but for GOAWAY: after one the library would take nothing more, although
        streams in progress go on (RFC 9113 section 6.8).
        """
        known = bytearray()
        while len(self._raw) >= 9:
            end = 9 + int.from_bytes(self._raw[:3], "big")
            if len(self._raw) < end:
                break
            if self._raw[3] == GOAWAY:
                self.goaways.append(int.from_bytes(self._raw[9:13], "big"))
            else:
                known += self._raw[:end]
            del self._raw[:end]
        return bytes(known)

    def _note(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.InformationalResponseReceived():
                stream = self.streams[event.stream_id]
                stream.interim.append(int(dict(event.headers)[":status"]))
            case h2.events.ResponseReceived():
                stream = self.streams[event.stream_id]
                stream.headers = dict(event.headers)
                stream.status = int(stream.headers[":status"])
            case h2.events.DataReceived():
                self.streams[event.stream_id].body += event.data
                if self.takes:
                    self.conn.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
            case h2.events.TrailersReceived():
                self.streams[event.stream_id].trailers = dict(event.headers)
            case h2.events.StreamEnded():
                self.streams[event.stream_id].ended = True
            case h2.events.StreamReset():
                self.streams[event.stream_id].reset = int(event.error_code)

    def response(self, number: int) -> Stream:
        """Wait until the stream is over, or the connection."""
        stream = self.streams[number]
        while not stream.over and not self.closed:
            self.hear()
        return stream

    def reset(self, number: int, code: int = 8) -> None:
        """Reset a stream."""
        self.conn.reset_stream(number, error_code=code)
        self.flush()

    def wait_closed(self) -> None:
        """Wait for the end of the connection."""
        while not self.closed:
            self.hear()


@contextlib.contextmanager
def h2_dial(place: Place) -> Iterator[H2Client]:
    """A connection that begins with the preface."""
    with connect(place) as sock:
        yield H2Client(sock)
