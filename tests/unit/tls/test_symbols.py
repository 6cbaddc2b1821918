"""Functions that a library does not show, found in its file."""

from __future__ import annotations

import pytest

from pyproxy.tls.api import finder
from pyproxy.tls.symbols import HiddenFunctions, SymbolTable, table_of

BASE = 0x7F0000000000


def library(names: list[tuple[str, int]], texts: bytes = b"") -> bytes:
    """An ELF file of which memory has the first page: <names> are functions of 8 bytes each."""
    code = bytes(range(256)) * 16
    strings, symbols = b"\0" + texts, bytes(24)
    for name, value in names:
        at = strings.find(name.encode() + b"\0")
        if at < 0:
            at = len(strings)
            strings += name.encode() + b"\0"
        symbols += at.to_bytes(4, "little") + bytes((2, 0)) + (1).to_bytes(2, "little")
        symbols += value.to_bytes(8, "little") + (8).to_bytes(8, "little")
    text_at, table_at = 0x40, 0x40 + len(code)
    strings_at = table_at + len(symbols)
    sections = [
        (0, 0, 0, 0, 0),
        (1, text_at, text_at, len(code), 0),  # PROGBITS at address = offset
        (2, 0, table_at, len(symbols), 3),
        (3, 0, strings_at, len(strings), 0),
    ]
    headers = b"".join(
        bytes(4)
        + kind.to_bytes(4, "little")
        + bytes(8)
        + b"".join(n.to_bytes(8, "little") for n in (address, offset, size))
        + link.to_bytes(4, "little")
        + bytes(20)
        for kind, address, offset, size, link in sections
    )
    head = bytearray(0x40)
    head[:6] = b"\x7fELF\x02\x01"
    head[0x28:0x30] = (strings_at + len(strings)).to_bytes(8, "little")
    head[0x3C:0x3E] = len(sections).to_bytes(2, "little")
    return bytes(head) + code + symbols + strings + headers


FILE = library([("known_a", 0x40), ("known_b", 0x80), ("wanted", 0x100)])
KNOWN = {"known_a": BASE + 0x40, "known_b": BASE + 0x80}


def table(data: bytes) -> SymbolTable:
    return SymbolTable(lambda offset, size: data[offset : offset + size])


def reads(data: bytes):
    return lambda address, size: data[address - BASE : address - BASE + size]


def test_a_hidden_function_is_where_the_known_ones_are_from_it():
    hidden = HiddenFunctions(table(FILE), KNOWN, reads(FILE))
    assert hidden.address_of("wanted") == BASE + 0x100
    assert hidden.address_of("other") == 0


def test_another_file_than_the_loaded_one_tells_nothing():
    loaded = bytearray(FILE)
    loaded[0x100] ^= 1
    hidden = HiddenFunctions(table(FILE), KNOWN, reads(bytes(loaded)))
    assert hidden.address_of("wanted") == 0


@pytest.mark.parametrize(
    "known",
    [
        {"known_a": BASE + 0x40, "known_b": BASE + 0x81},
        {"known_a": BASE + 0x40, "gone": BASE + 0x80},
        {"known_a": BASE + 0x41, "known_b": BASE + 0x81},
        {},
    ],
)
def test_known_functions_that_lie_elsewhere_make_all_uncertain(known):
    hidden = HiddenFunctions(table(FILE), known, reads(FILE))
    assert hidden.address_of("wanted") == 0


def test_a_name_may_be_the_end_of_another_and_must_be_the_only_one():
    inside = table(library([("wanted", 0x100)], b"un_wanted\0"))
    assert inside.find("wanted").value == 0x100
    assert inside.find("want") is None
    assert inside.find("nted") is None
    other = table(library([("wanted", 0x100), ("x_wanted", 0x200)], b"wanted\0x_wanted\0"))
    assert other.find("wanted").value == 0x100
    assert table(library([("wanted", 0x100), ("wanted", 0x200)])).find("wanted") is None


def test_files_without_symbols_are_empty_tables(tmp_path):
    for name, data in (("none", None), ("empty", b""), ("text", b"hello" * 99), ("cut", FILE[:80])):
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with table_of(str(path)) as symbols:
            assert symbols.find("wanted") is None
    whole = tmp_path / "whole"
    whole.write_bytes(FILE)
    with table_of(str(whole)) as symbols:
        assert symbols.find("wanted").value == 0x100


def test_the_functions_for_session_tickets_are_found():
    """With the wheels of `cryptography` as they are; without, tickets have the library's keys."""
    with finder() as address_of:
        assert address_of("SSL_CTX_set_tlsext_ticket_key_evp_cb")
        assert address_of("no_such_function") == 0
