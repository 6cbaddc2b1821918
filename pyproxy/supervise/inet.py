"""TCP and UDP sockets of one address, as many as there are worker slots: a SO_REUSEPORT group."""

from __future__ import annotations

import socket

# An address as `bind` takes it: host and port, and for IPv6 flow and scope.
Address = tuple[str, int] | tuple[str, int, int, int]

_DATAGRAM_BUFFER = 4 << 20


def bind_group(
    kind: socket.SocketKind, family: int, address: Address, count: int, *, probe: bool
) -> list[socket.socket]:
    """<count> bound sockets: of TCP, which do not listen yet, or of UDP, where datagrams arrive
    from now on. Raises `OSError`.

    With <probe> nobody else may have the address: SO_REUSEPORT would let a second proxy of the same
    user join the group unnoticed, and take half of the connections. A socket without the option
    cannot: one is bound first, and let go.
    """
    if probe:
        _bound(kind, family, address, False).close()
    socks: list[socket.socket] = []
    try:
        for _ in range(count):
            socks.append(_bound(kind, family, address, True))
            # Port 0: the kernel chose for the first socket, and its siblings follow.
            address = socks[0].getsockname()
    except OSError:
        for sock in socks:
            sock.close()
        raise
    return socks


def further_socket(first: socket.socket) -> socket.socket:
    """One more for the group of <first>, that gets nothing yet: of UDP, it is not even bound."""
    if first.type == socket.SOCK_DGRAM:
        return _unbound(socket.SOCK_DGRAM, first.family, True)
    return _bound(socket.SOCK_STREAM, first.family, first.getsockname(), True)


def _bound(
    kind: socket.SocketKind, family: int, address: Address, reuse_port: bool
) -> socket.socket:
    sock = _unbound(kind, family, reuse_port)
    try:
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def _unbound(kind: socket.SocketKind, family: int, reuse_port: bool) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        if kind == socket.SOCK_STREAM:
            # Not of UDP: that would let others have the address too.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            # A burst waits here until the worker comes round to it; the kernel cuts this to
            # net.core.rmem_max.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _DATAGRAM_BUFFER)
        _set_group(sock, reuse_port)
    except OSError:
        sock.close()
        raise
    return sock


def _set_group(sock: socket.socket, reuse_port: bool) -> None:
    if reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if sock.family == socket.AF_INET6:
        # So that [::]:80 and 0.0.0.0:80 can stand side by side, whatever the sysctl says.
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
