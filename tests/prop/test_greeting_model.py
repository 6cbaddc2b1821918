"""PROXY protocol headers and ClientHellos: what was put in comes out, and nothing breaks either."""

from __future__ import annotations

import socket
import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyproxy._wire import WireError, decode_client_hello, decode_proxy_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ports = st.integers(0, 65_535)
# No types that have rules of their own: ALPN to UNIQUE_ID, SSL, NETNS.
tlvs = st.lists(st.tuples(st.integers(0x40, 0xFF), st.binary(max_size=40)), max_size=5).map(
    lambda rows: b"".join(bytes([t]) + len(v).to_bytes(2, "big") + v for t, v in rows)
)


def verdict(data: bytes) -> str:
    """The word for what the decoder says of some bytes; "ok" when they are a header."""
    try:
        decode_proxy_header(data)
    except WireError as error:
        return error.name
    return "ok"


@settings(deadline=None)
@given(st.sampled_from([4, 6]), st.data(), ports, ports, st.binary(max_size=20))
def test_a_line_says_what_was_written(
    family: int, data: st.DataObject, port: int, other: int, rest: bytes
) -> None:
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    raw = st.binary(min_size=4 if family == 4 else 16, max_size=4 if family == 4 else 16)
    source, destination = data.draw(raw), data.draw(raw)
    texts = [socket.inet_ntop(kind, ip) for ip in (source, destination)]
    line = f"PROXY TCP{family} {texts[0]} {texts[1]} {port} {other}\r\n".encode()
    want = (len(line), 1, family, False, (source, port), (destination, other), b"")
    assert decode_proxy_header(line + rest) == want
    assert {verdict(line[:n]) for n in range(len(line))} == {"more"}


@settings(deadline=None)
@given(st.data(), ports, ports, tlvs, st.binary(max_size=20))
def test_a_binary_header_says_what_was_written(
    data: st.DataObject, port: int, other: int, more: bytes, rest: bytes
) -> None:
    family, size = data.draw(st.sampled_from([(4, 4), (6, 16)]))
    raw = st.binary(min_size=size, max_size=size)
    source, destination = data.draw(raw), data.draw(raw)
    body = source + destination + port.to_bytes(2, "big") + other.to_bytes(2, "big") + more
    head = SIGNATURE + bytes([0x21, 0x11 if family == 4 else 0x21]) + len(body).to_bytes(2, "big")
    header = head + body
    want = (len(header), 2, family, False, (source, port), (destination, other), more)
    assert decode_proxy_header(header + rest) == want
    assert {verdict(header[:n]) for n in range(len(header))} == {"more"}


@settings(deadline=None)
@given(
    st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\0\x20"]),
    st.binary(max_size=200),
)
def test_more_bytes_never_change_a_verdict(start: bytes, rest: bytes) -> None:
    data = start + rest
    words = [verdict(data[:n]) for n in range(len(data) + 1)]
    last = words[-1]
    assert set(words) <= {"more", last}
    assert words == sorted(words, key=lambda word: word != "more")


def hello(name: str | None, protocols: list[str]) -> bytes:
    """What OpenSSL sends first."""
    tls = ssl.create_default_context()
    tls.check_hostname = False
    tls.verify_mode = ssl.CERT_NONE
    if protocols:
        tls.set_alpn_protocols(protocols)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    side = tls.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        side.do_handshake()
    return outgoing.read()


def cut(data: bytes, sizes: list[int]) -> bytes:
    """The message of one record in records of those sizes, and of one byte where they end."""
    body, records = data[5:], b""
    while body:
        n = min(sizes.pop(0) if sizes else len(body), len(body))
        records += data[:3] + n.to_bytes(2, "big") + body[:n]
        body = body[n:]
    return records


@settings(deadline=None)
@given(
    st.none() | st.from_regex(r"\A[a-z][a-z0-9-]{0,20}[a-z](\.[a-z]{2,10}){1,3}\Z"),
    st.lists(st.text("abc/12", min_size=1, max_size=10), max_size=3),
    st.lists(st.integers(1, 200), max_size=10),
)
def test_a_clients_first_message_is_read(
    name: str | None, protocols: list[str], sizes: list[int]
) -> None:
    data = cut(hello(name, protocols), sizes)
    want = (name or "", [protocol.encode() for protocol in protocols])
    assert decode_client_hello(data) == want
    for n in range(0, len(data), 1 + len(data) // 50):
        with pytest.raises(WireError, match="more"):
            decode_client_hello(data[:n])
