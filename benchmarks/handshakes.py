"""Full TLS 1.3 handshakes as a client of today begins them, by the OpenSSL of `cryptography`.

    python -m benchmarks.handshakes PORT SECONDS

It offers key shares for X25519MLKEM768 and for X25519; a server takes the first that it knows.
The system's OpenSSL may be too old for the former. One handshake at a time: connect, handshake,
close_notify, and reading until the server has closed too. Prints the report of macro/report.h.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from OpenSSL import SSL

from benchmarks.certificate import NAME, SUITE

SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}


def main(argv: Sequence[str]) -> int:
    """Do handshakes for so long."""
    port, seconds = int(argv[0]), float(argv[1])
    context = client_context()
    group = ""
    done = failed = 0
    start = time.monotonic()
    end = start + seconds
    taken = []
    while (now := time.monotonic()) < end:
        try:
            group = handshake(port, context, source=done % 64 + 1)
        except OSError:
            failed += 1
            continue
        done += 1
        taken.append(time.monotonic() - now)
    taken.sort()
    report = {
        "requests": done,
        "errors": {"failed": failed},
        "seconds": time.monotonic() - start,
        "bytes": 0,
        "resumed": 0,
        "latency_us": {
            name: taken[min(len(taken) - 1, int(share * len(taken)))] * 1e6 if taken else 0.0
            for name, share in SHARES.items()
        },
        "group": group,
    }
    print(json.dumps(report))
    return 0


def client_context() -> SSL.Context:
    """TLS 1.3 with the suite that all scenarios use; groups as OpenSSL offers them by default."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(SUITE.encode())
    return context


def handshake(port: int, context: SSL.Context, source: int) -> str:
    """One, from its own address so that ports never run out; the group. OSError when it fails."""
    with socket.socket() as sock:
        sock.settimeout(5)
        sock.bind((f"127.0.1.{source}", 0))
        sock.connect(("127.0.0.1", port))
        sock.settimeout(None)
        connection = SSL.Connection(context, sock)
        connection.set_tlsext_host_name(NAME.encode())
        connection.set_connect_state()
        try:
            connection.do_handshake()
            group = connection.get_group_name() or ""
            with suppress(SSL.Error):
                connection.shutdown()
            with suppress(SSL.Error):
                while connection.recv(1):
                    pass
        except SSL.Error as exc:
            raise OSError(f"no handshake: {exc!r}") from exc
    return group


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
