"""Ending a listening socket without losing a connection: the kernel's switches.

A connection belongs to one listening socket from its first packet on, and closing that socket
resets what has not been accepted. So first no new ones may come (`refuse_new`, `steer`), then
what is under way gets time to arrive, then the queue is emptied (`queue_length`), then it closes.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct

_SO_ATTACH_FILTER = 26
_SO_DETACH_FILTER = 27
_SO_ATTACH_REUSEPORT_CBPF = 51
_SO_DETACH_REUSEPORT_BPF = 68

# Classic BPF (linux/filter.h), as (code, jump if true, jump if false, constant).
_Program = list[tuple[int, int, int, int]]
_LD_BYTE_ABS, _LD_WORD_ABS = 0x30, 0x20
_AND, _MOD, _JEQ = 0x54, 0x94, 0x15
_RETURN, _RETURN_A = 0x06, 0x16
_TCP_FLAGS, _SYN, _ACK = 13, 0x02, 0x10
_LD_HALF_ABS, _MUL, _ADD_X, _SHIFT_RIGHT, _TAX = 0x28, 0x24, 0x0C, 0x74, 0x07
_NETWORK = 0xFFF00000  # SKF_NET_OFF
_AT_RANDOM: _Program = [(_LD_WORD_ABS, 0, 0, 0xFFFFF000 + 56)]  # SKF_AD_OFF + SKF_AD_RANDOM

# The offset of tcpi_unacked in struct tcp_info: of a listening socket, the length of its queue.
_TCPI_UNACKED = 24


def _attach(sock: socket.socket, option: int, program: _Program) -> bool:
    """Give <program> to the kernel. False when it does not want it."""
    import ctypes  # rarely needed, and slow to import

    code = b"".join(struct.pack("=HBBI", *step) for step in program)
    memory = ctypes.create_string_buffer(code, len(code))
    fprog = struct.pack("@HP", len(program), ctypes.addressof(memory))
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, option, fprog)
        return True
    return False


def refuse_new(sock: socket.socket) -> None:
    """Let <sock> see no further connection attempts; handshakes under way are completed.

    A client that tries meanwhile tries again a second later, and finds the port closed. Datagrams
    are dropped.
    """
    if sock.family == socket.AF_UNIX:
        return  # its file is gone: nobody can connect any more
    if sock.type == socket.SOCK_DGRAM:
        _attach(sock, _SO_ATTACH_FILTER, [(_RETURN, 0, 0, 0)])
        return
    _attach(
        sock,
        _SO_ATTACH_FILTER,
        [
            (_LD_BYTE_ABS, 0, 0, _TCP_FLAGS),
            (_AND, 0, 0, _SYN | _ACK),
            (_JEQ, 0, 1, _SYN),
            (_RETURN, 0, 0, 0),
            (_RETURN, 0, 0, 0xFFFFFFFF),
        ],
    )


def accept_new(sock: socket.socket) -> None:
    """Take `refuse_new` back."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)


def steer(sock: socket.socket, sockets: int) -> bool:
    """Let new connections of the SO_REUSEPORT group of <sock> go to its first <sockets> ones only.

    Datagrams by their client, so that each stays with one worker. False when the kernel cannot:
    then they go to all, as before.
    """
    choose = _by_client(sock.family) if sock.type == socket.SOCK_DGRAM else _AT_RANDOM
    return _attach(
        sock, _SO_ATTACH_REUSEPORT_CBPF, [*choose, (_MOD, 0, 0, sockets), (_RETURN_A, 0, 0, 0)]
    )


def _by_client(family: int) -> _Program:
    """A number from the last bytes of the source address, and the source port.

    The program sees a packet from its payload on: the UDP header lies in the 8 bytes before, which
    only offsets from the network header reach (IPv4 without options, IPv6 without extensions).
    """
    address, ports = (12, 20) if family == socket.AF_INET else (20, 40)
    return [
        (_LD_HALF_ABS, 0, 0, _NETWORK + ports),
        (_MUL, 0, 0, 40503),
        (_TAX, 0, 0, 0),
        (_LD_WORD_ABS, 0, 0, _NETWORK + address),
        (_ADD_X, 0, 0, 0),
        (_MUL, 0, 0, 2654435761),
        (_SHIFT_RIGHT, 0, 0, 16),
    ]


def steer_no_more(sock: socket.socket) -> None:
    """Back to the kernel's own choice among all sockets of the group."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_REUSEPORT_BPF, 0)


def queue_length(sock: socket.socket) -> int:
    """Connections that wait to be accepted; 0 for a unix socket, which does not tell.

    Of UDP, 1 when datagrams wait.
    """
    if sock.family == socket.AF_UNIX:
        return 0
    if sock.type == socket.SOCK_DGRAM:
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return len(poll.poll(0))
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(info[_TCPI_UNACKED : _TCPI_UNACKED + 4], "little")
