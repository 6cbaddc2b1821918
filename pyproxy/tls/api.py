"""Where the functions of the TLS library are.

The library is OpenSSL as `cryptography` brings it along: linked into its extension, with no names
that a linker could see, but with a table of functions for pyOpenSSL. Their addresses are taken from
there. It is the newest OpenSSL in the process, whatever the system has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def finder() -> Callable[[str], int]:
    """A function that tells the address of a library function by its name, 0 when there is none.

    Takes 10 ms and 7 MB at first: not for processes that have nothing to do with TLS.
    """
    from cryptography.hazmat.bindings import _rust

    table: Any = _rust._openssl
    lib, ffi = table.lib, table.ffi

    def address_of(name: str) -> int:
        if not hasattr(lib, name):
            return 0
        return int(ffi.cast("uintptr_t", ffi.addressof(lib, name)))

    return address_of
