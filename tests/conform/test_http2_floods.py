"""HTTP/2 clients that cause work and do none, over real sockets.

Each flood ends its connection with GOAWAY ENHANCE_YOUR_CALM and is counted under its name; the
worker's memory stays where it was, and the next client is served. Frames are made by hand
(hyperframe, hpack), for no library would send them.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import hpack
import pytest

from testenv import GUARD_SECONDS, Proxy, running, wait_until

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, _, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
PRIORITY_UPDATE, UNKNOWN = 0x10, 0x77
END_STREAM, END_HEADERS = 1, 4
ENHANCE_YOUR_CALM = 11

ATTACK_BYTES = 32 << 20  # an attack that got so far was not stopped
# A sanitizer keeps freed memory in quarantine, 256 MiB of it: there growth shows only beyond.
MEMORY_MOST_KIB = (512 if os.environ.get("PYPROXY_SANITIZED") else 8) * 1024

STALLED = 100  # requests whose answers have no window

CONFIG = """
    listeners: {web: {bind: "127.0.0.1:0", timeouts: {send: 500ms}}}
    routes: [{respond: {body: "%s"}}]
    admin: "127.0.0.1:0"
    workers: 1
""" % ("x" * 20_000)


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """One frame."""
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes((kind, flags))
        + struct.pack(">I", stream)
        + payload
    )


def head(method: str = "GET") -> bytes:
    """The field section of a request; uses no table, so it fits any stream."""
    fields = [(":method", method), (":scheme", "http"), (":path", "/"), (":authority", "a")]
    return b"".join(
        b"\x00"
        + bytes((len(part[0]),))
        + part[0].encode()
        + bytes((len(part[1]),))
        + part[1].encode()
        for part in fields
    )


def streams() -> Iterator[int]:
    """The ids that a client may use."""
    return iter(range(1, 2**31, 2))


# ---- the attacks: what each sends, again and again


def rapid_reset() -> Iterator[bytes]:
    for stream in streams():
        yield frame(HEADERS, END_HEADERS, stream, head("POST")) + frame(
            RST, 0, stream, b"\0\0\0\x08"
        )


def made_you_reset() -> Iterator[bytes]:
    for stream in streams():
        request = frame(HEADERS, END_HEADERS, stream, head("POST"))
        yield request + frame(WINDOW, 0, stream, b"\x7f\xff\xff\xff")


def continuation() -> Iterator[bytes]:
    yield frame(HEADERS, END_STREAM, 1, head())
    while True:
        yield frame(CONTINUATION, 0, 1, b"\x00\x01a\x01b")


def empty_continuation() -> Iterator[bytes]:
    yield frame(HEADERS, END_STREAM, 1, head())
    while True:
        yield frame(CONTINUATION, 0, 1)


def settings() -> Iterator[bytes]:
    while True:
        yield frame(SETTINGS, payload=b"\0\3\0\0\0\x64")


def ping() -> Iterator[bytes]:
    while True:
        yield frame(PING, payload=b"12345678")


def empty_frames() -> Iterator[bytes]:
    yield frame(HEADERS, END_HEADERS, 1, head("POST"))
    while True:
        yield frame(DATA, 0, 1)


def body_for_nobody() -> Iterator[bytes]:
    yield frame(HEADERS, END_HEADERS, 1, head("POST"))  # answered at once, and then reset
    while True:
        yield frame(DATA, 0, 1, b"x" * 10)


def header_list() -> Iterator[bytes]:
    bomb = hpack.Encoder().encode([("a", "b" * 4000)], huffman=False) + b"\xbe" * 12_000
    for stream in streams():
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, head() + bomb)


def priority() -> Iterator[bytes]:
    for stream in streams():
        yield frame(PRIORITY, 0, stream, b"\0\0\0\0\x10")


def priority_update() -> Iterator[bytes]:
    while True:
        yield frame(PRIORITY_UPDATE, payload=struct.pack(">I", 1) + b"u=1")


def unknown() -> Iterator[bytes]:
    while True:
        yield frame(UNKNOWN, payload=b"x")


def window_update() -> Iterator[bytes]:
    for _ in count():
        yield frame(WINDOW, payload=b"\0\0\0\1")


def tiny_window() -> Iterator[bytes]:
    yield frame(SETTINGS, payload=b"\0\4\0\0\0\1")
    yield frame(HEADERS, END_HEADERS | END_STREAM, 1, head())
    while True:
        yield frame(WINDOW, 0, 1, b"\0\0\0\1")


ATTACKS: list[tuple[Callable[[], Iterator[bytes]], set[str]]] = [
    (rapid_reset, {"rapid_reset"}),
    (made_you_reset, {"made_you_reset"}),
    (continuation, {"continuation"}),
    (empty_continuation, {"continuation"}),
    (settings, {"settings"}),
    (ping, {"ping"}),
    (empty_frames, {"empty_frames"}),
    (body_for_nobody, {"empty_frames"}),
    (header_list, {"header_list"}),
    (priority, {"priority"}),
    (priority_update, {"priority"}),
    (unknown, {"unknown_frames"}),
    (window_update, {"window_update"}),
    # As many small windows as small frames: either limit may be the first.
    (tiny_window, {"tiny_window", "window_update"}),
]


class Client:
    """A connection whose frames are read all the time, by another thread."""

    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), GUARD_SECONDS)
        self.sock.sendall(PREFACE + frame(SETTINGS))
        self.goaway: int | None = None
        self.ended = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        with suppress(OSError), self.sock.makefile("rb") as stream:
            while len(start := stream.read(9)) == 9:
                payload = stream.read(int.from_bytes(start[:3], "big"))
                if start[3] == GOAWAY:
                    self.goaway = int.from_bytes(payload[4:8], "big")
        self.ended.set()

    def send_until_ended(self, pieces: Iterator[bytes]) -> int:
        """Send until the proxy ends the connection; how many bytes it let us send."""
        sent = 0
        with suppress(OSError):
            while not self.ended.is_set() and sent < ATTACK_BYTES:
                batch = b"".join(next(pieces) for _ in range(16))
                self.sock.sendall(batch)
                sent += len(batch)
        assert self.ended.wait(GUARD_SECONDS), "the connection goes on"
        return sent

    def close(self) -> None:
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes the reader
        self.sock.close()
        self.reader.join(GUARD_SECONDS)


@contextmanager
def connected(proxy: Proxy) -> Iterator[Client]:
    client = Client(proxy.port())
    try:
        yield client
    finally:
        client.close()


def peak_kib(pid: int) -> int:
    """The most memory that a process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def floods(proxy: Proxy) -> dict[str, float]:
    """The counters of floods that are not zero, by kind."""
    return {
        name.partition('kind="')[2].partition('"')[0]: value
        for name, value in proxy.metrics().items()
        if "http2_floods_total" in name and value > 0
    }


def resets(proxy: Proxy) -> float:
    """Streams that the proxy has reset."""
    return proxy.metrics()['pyproxy_http2_resets_total{listener="web",by="proxy"}']


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """One proxy for all attacks, warm: its memory must not grow any more."""
    with running(CONFIG) as process:
        assert process.get().status == 200
        with connected(process) as client:
            client.sock.sendall(frame(HEADERS, END_HEADERS | END_STREAM, 1, head()))
            wait_until(lambda: "http2_streams_total" in str(process.metrics()), "a first request")
        yield process


@pytest.mark.parametrize(
    ("attack", "kinds"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS]
)
def test_a_flood_ends_the_connection(
    proxy: Proxy, attack: Callable[[], Iterator[bytes]], kinds: set[str]
) -> None:
    (worker,) = proxy.workers()
    before, memory = floods(proxy), peak_kib(worker)
    with connected(proxy) as client:
        sent = client.send_until_ended(attack())
        assert client.goaway in (ENHANCE_YOUR_CALM, None)  # None: our own bytes reset it
    assert sent < ATTACK_BYTES
    wait_until(lambda: floods(proxy) != before, "the flood is counted")
    grown = {kind for kind, value in floods(proxy).items() if value != before.get(kind, 0)}
    assert len(grown) == 1
    assert grown <= kinds
    assert peak_kib(worker) - memory < MEMORY_MOST_KIB
    assert proxy.workers() == [worker]
    assert proxy.get().status == 200


def requests() -> Iterator[bytes]:
    for stream in streams():
        yield frame(HEADERS, END_HEADERS | END_STREAM, stream, head())


def test_a_client_that_reads_nothing_is_not_read(proxy: Proxy) -> None:
    (worker,) = proxy.workers()
    memory, sent = peak_kib(worker), 0
    with socket.create_connection(("127.0.0.1", proxy.port()), GUARD_SECONDS) as sock:
        sock.sendall(PREFACE + frame(SETTINGS, payload=b"\0\4\x7f\xff\xff\xff"))
        sock.sendall(frame(WINDOW, payload=b"\x7f\xff\0\0"))
        pieces = requests()
        with suppress(OSError):
            while sent < ATTACK_BYTES:
                sock.sendall(batch := b"".join(next(pieces) for _ in range(64)))
                sent += len(batch)
    assert 0 < sent < ATTACK_BYTES
    assert peak_kib(worker) - memory < MEMORY_MOST_KIB
    assert proxy.get().status == 200


def test_a_client_that_opens_no_window_is_given_up(proxy: Proxy) -> None:
    (worker,) = proxy.workers()
    memory, before = peak_kib(worker), resets(proxy)
    with connected(proxy) as client:
        client.sock.sendall(frame(SETTINGS, payload=b"\0\4\0\0\0\0"))
        pieces = requests()
        client.sock.sendall(b"".join(next(pieces) for _ in range(STALLED)))
        wait_until(lambda: resets(proxy) >= before + STALLED, "its requests are given up")
    assert peak_kib(worker) - memory < MEMORY_MOST_KIB
    assert proxy.get().status == 200
