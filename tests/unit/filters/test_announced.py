"""What a PROXY protocol header says, as filters read it."""

from pyproxy.filters.announced import AnnouncedTLS, ProxyProtocol, header_of


def header(*tlvs):
    return ProxyProtocol(2, ("192.0.2.1", 1), ("198.51.100.7", 443), tlvs)


def test_what_is_known_has_a_name():
    facts = header((1, b"h2"), (2, b"a.example"), (5, b"id"), (0x30, b"ns"), (0xE0, b"x"))
    assert (facts.alpn, facts.authority, facts.unique_id, facts.netns) == (
        *(b"h2", b"a.example"),
        *(b"id", b"ns"),
    )
    assert facts.get(0xE0) == b"x"


def test_what_was_not_said_is_none():
    facts = header()
    assert (facts.alpn, facts.authority, facts.unique_id, facts.netns, facts.ssl) == (None,) * 5
    assert facts.get(0xE0) is None


def test_the_first_of_several_counts():
    assert header((0xE0, b"a"), (0xE0, b"b")).get(0xE0) == b"a"


def test_tls_of_the_client():
    value = b"\x07\0\0\0\0" + b"\x21\0\x07TLSv1.3" + b"\x22\0\x02cn"
    assert header((0x20, value)).ssl == AnnouncedTLS(
        tls=True, certificate=True, verified=True, tlvs=((0x21, b"TLSv1.3"), (0x22, b"cn"))
    )
    assert header((0x20, b"\x01\0\0\0\0")).ssl == AnnouncedTLS(True, False, False, ())
    assert header((0x20, b"\x03\0\0\0\x01")).ssl == AnnouncedTLS(True, True, False, ())


def test_addresses_come_packed_and_tlvs_in_a_row():
    ends = (bytes((192, 0, 2, 1)), 7), (bytes(15) + b"\1", 8)
    facts = header_of(2, *ends, b"\xe0\0\2hi\xe1\0\0")
    assert facts == ProxyProtocol(2, ("192.0.2.1", 7), ("::1", 8), ((0xE0, b"hi"), (0xE1, b"")))
    assert header_of(1, None, None, b"") == ProxyProtocol(1, None, None, ())
    assert header_of(2, b"/a", b"/b", b"").source == b"/a"
