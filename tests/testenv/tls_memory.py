"""TLS over a socket by memory: Python's sockets of TLS cannot be read and written at once."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any


class TlsMemory:
    """One end of a connection; `side` is what `SSLContext.wrap_bio` takes."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, **side: Any) -> None:
        self.sock = sock
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, **side)

    def shake(self) -> None:
        """The handshake."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.sock.sendall(self._outgoing.read())
                self._incoming.write(self.sock.recv(65536))
        self.sock.sendall(self._outgoing.read())

    def talk(self, said: bytes, *jobs: Callable[[], object], fin: bool = False) -> bytes:
        """Send that and the end, with FIN or without, while jobs run and the other side talks.

        What it has said, up to its end, which must have been said, too.
        """
        self.tls.write(said)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()  # says the end, and wants the other one

        def send() -> None:
            self.sock.sendall(self._outgoing.read())
            if fin:
                self.sock.shutdown(socket.SHUT_WR)

        threads = [threading.Thread(target=job) for job in (send, *jobs)]
        for thread in threads:
            thread.start()
        while piece := self.sock.recv(1 << 20):
            self._incoming.write(piece)
        for thread in threads:
            thread.join()
        heard = bytearray()
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while piece := self.tls.read(1 << 20):
                heard += piece
        self.tls.unwrap()
        return bytes(heard)
