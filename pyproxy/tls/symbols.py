"""Functions that a library has but does not show: found by its symbol table, which is in the file.

The OpenSSL inside `cryptography` is linked into an extension that shows the linker nothing but its
init function, and the table that it gives to pyOpenSSL lacks some functions. The wheels of the
package are not stripped, however: the file tells where every function is. Where it does not, there
is simply nothing to be found.

A wrong address would be a crash at best. So the file must be the one that is loaded: several
functions whose addresses are known must all lie at the same distance from where the file says, and
in memory must stand, byte for byte, what stands in the file.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

_ELF64_LITTLE = b"\x7fELF\x02\x01"
_SYMTAB, _FUNC = 2, 2
_PAGE = mmap.PAGESIZE
_HEAD_BYTES = 0x40
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


class _Section(NamedTuple):
    kind: int
    address: int
    offset: int
    size: int
    link: int


class Symbol(NamedTuple):
    """A function: its place in memory relative to that of the library, and its bytes."""

    value: int
    code: bytes


class SymbolTable:
    """The functions of a library, by name. Empty for a file without symbols.

    read(offset, size) gives bytes of the file.
    """

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._sections = _sections(read)
        table = next((s for s in self._sections if s.kind == _SYMTAB), None)
        self._rows = self._texts = b""
        if table is not None and table.link < len(self._sections):
            texts = self._sections[table.link]
            self._rows = read(table.offset, table.size // _SYMBOL.size * _SYMBOL.size)
            self._texts = read(texts.offset, texts.size)
        # The low byte of each row's name alone: a search in whole rows takes fifty times as long.
        self._column = self._rows[:: _SYMBOL.size]

    def find(self, name: str) -> Symbol | None:
        """The one function of that name; None when there is none, or more than one."""
        # It may be the end of another name, too.
        places = _places(self._texts, name.encode() + b"\0")
        found = {symbol for place in places for symbol in self._named(place)}
        return found.pop() if len(found) == 1 else None

    def _named(self, place: int) -> Iterator[Symbol]:
        """The functions whose name begins at <place> of the texts."""
        for row in _places(self._column, bytes((place & 0xFF,))):
            name, kind, _, section, value, size = _SYMBOL.unpack_from(
                self._rows, row * _SYMBOL.size
            )
            if name != place:
                continue
            if kind & 0xF == _FUNC and 0 < section < len(self._sections):
                home = self._sections[section]
                yield Symbol(value, self._read(home.offset + value - home.address, size))


def _sections(read: Callable[[int, int], bytes]) -> list[_Section]:
    head = read(0, _HEAD_BYTES)
    if len(head) < _HEAD_BYTES or not head.startswith(_ELF64_LITTLE):
        return []
    start = int.from_bytes(head[0x28:0x30], "little")
    count = int.from_bytes(head[0x3C:0x3E], "little")
    rows = read(start, count * _SECTION.size)
    if len(rows) < count * _SECTION.size:
        return []
    return [_Section(row[1], *row[3:7]) for row in _SECTION.iter_unpack(rows)]


def _places(data: bytes, word: bytes) -> Iterator[int]:
    at = data.find(word)
    while at >= 0:
        yield at
        at = data.find(word, at + 1)


@contextlib.contextmanager
def table_of(path: str) -> Iterator[SymbolTable]:
    """The symbol table of a file, while it is open; an empty one if there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield SymbolTable(lambda _offset, _size: b"")
        return
    try:
        yield SymbolTable(lambda offset, size: os.pread(fd, size, offset))
    finally:
        os.close(fd)


class HiddenFunctions:
    """The functions of a library that is loaded, by the table of its file.

    <known> has the addresses of some that are certain, and memory(address, size) reads.
    """

    def __init__(
        self, table: SymbolTable, known: dict[str, int], memory: Callable[[int, int], bytes]
    ) -> None:
        self._table = table
        self._memory = memory
        symbols = {name: table.find(name) for name in known}
        distances = {known[name] - symbol.value for name, symbol in symbols.items() if symbol}
        sure = None not in symbols.values() and len(distances) == 1
        self._distance = distances.pop() if sure else -1

    def address_of(self, name: str) -> int:
        """Where a function is; 0: not to be found, or not certain."""
        if self._distance < 0 or self._distance % _PAGE:
            return 0
        symbol = self._table.find(name)
        if symbol is None:
            return 0
        address = self._distance + symbol.value
        return address if self._memory(address, len(symbol.code)) == symbol.code else 0
