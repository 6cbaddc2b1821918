"""Where the functions of the TLS library are.

The library is OpenSSL as `cryptography` brings it along: linked into its extension, with no names
that a linker could see, but with a table of functions for pyOpenSSL. Their addresses are taken from
there, and those of a few that the table lacks from the file of the extension. It is the newest
OpenSSL in the process, whatever the system has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from .symbols import HiddenFunctions, table_of

# These are in the table, as functions of their own that call the library's.
_ANCHORS = ("SSL_CTX_new", "SSL_do_handshake", "SSL_CTX_set_timeout")


@contextlib.contextmanager
def finder() -> Iterator[Callable[[str], int]]:
    """A function that tells the address of a library function by its name, 0 when there is none.

    Takes 10 ms and 7 MB at first: not for processes that have nothing to do with TLS.
    """
    from cryptography.hazmat.bindings import _rust

    table: Any = _rust._openssl
    lib, ffi = table.lib, table.ffi

    def shown(name: str) -> int:
        return int(ffi.cast("uintptr_t", ffi.addressof(lib, name))) if hasattr(lib, name) else 0

    def memory(address: int, size: int) -> bytes:
        return bytes(ffi.buffer(ffi.cast("char *", address), size))

    known = {f"_cffi_d_{name}": shown(name) for name in _ANCHORS}
    with table_of(_rust.__file__ or "") as symbols:
        hidden = HiddenFunctions(symbols, known, memory)
        yield lambda name: shown(name) or hidden.address_of(name)
