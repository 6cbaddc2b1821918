"""A configuration in a piece of memory that is passed from process to process.

It has keys in it, so it is of no file system, sealed once it is written, and no longer there when
nobody holds its descriptor.

The loader writes it, the supervisor and the workers read it: they are of one version and trust each
other, so it is pickled; nothing from outside ever comes this way. Routes and certificates are cut
into small pieces, because a worker unpacks them between requests. The places of the sections in
their files, most of the bytes, stay with the loader, which has told all faults.
"""

from __future__ import annotations

import fcntl
import gc
import os
from collections.abc import Iterator, Sequence
from io import BytesIO
from typing import Any

import msgspec

from pyproxy.config.model import Config, Listener
from pyproxy.config.nodes import NOWHERE, Node

# A fifth of a millisecond each.
_IN_A_PIECE = 16
_SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def _nowhere() -> Node:
    return NOWHERE


def pack(config: Config) -> int:
    """A memfd with <config>; the caller closes it. Raises `OSError`."""
    import pickle  # for reloads only; 3 ms of a start otherwise

    fd = os.memfd_create("pyproxy-config", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        with os.fdopen(os.dup(fd), "wb") as stream:
            for piece in _pieces(config):
                pickler = pickle.Pickler(stream, 5)
                pickler.dispatch_table = {Node: lambda node: (_nowhere, ())}
                pickler.dump(piece)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _pieces(config: Config) -> Iterator[object]:
    bare = {name: _with_certificates(each, ()) for name, each in config.listeners.items()}
    yield msgspec.structs.replace(config, routes=(), listeners=bare)
    for name, listener in config.listeners.items():
        certificates = listener.tls.certificates if listener.tls else ()
        for start in range(0, len(certificates), _IN_A_PIECE):
            yield name, certificates[start : start + _IN_A_PIECE]
    for start in range(0, len(config.routes), _IN_A_PIECE):
        yield None, config.routes[start : start + _IN_A_PIECE]


def _with_certificates(listener: Listener, certificates: Sequence[Any]) -> Listener:
    if listener.tls is None:
        return listener
    tls = msgspec.structs.replace(listener.tls, certificates=tuple(certificates))
    return msgspec.structs.replace(listener, tls=tls)


def unpack_steps(fd: int) -> Iterator[Config | None]:
    """Unpack piece by piece: None after each, at last the configuration. Leaves <fd> open."""
    import pickle

    stream = BytesIO(os.pread(fd, os.fstat(fd).st_size, 0))
    head: Config = pickle.load(stream)
    routes: list[Any] = []
    certificates: dict[str, list[Any]] = {}
    end = stream.getbuffer().nbytes
    while stream.tell() < end:
        listener, piece = pickle.load(stream)
        (routes if listener is None else certificates.setdefault(listener, [])).extend(piece)
        yield None
    listeners = {
        name: _with_certificates(listener, certificates.get(name, ()))
        for name, listener in head.listeners.items()
    }
    yield msgspec.structs.replace(head, routes=tuple(routes), listeners=listeners)


def unpack(fd: int) -> Config:
    """Unpack at once. Leaves <fd> open."""
    # Nothing of it is garbage, and looking for some takes three times as long as all the rest.
    gc.disable()
    try:
        for config in unpack_steps(fd):
            if config is not None:
                return config
    finally:
        gc.enable()
    raise AssertionError("a configuration ends with itself")
