"""(h) Hundreds of listeners across an upgrade: each must be the very socket that it was.

The identity of a listening socket is its inode: the kernel's tables (/proc/net) name it, and
/proc/PID/fd tells who holds it. A socket that was bound anew, or got lost, is another or no inode.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from benchmarks.soak import session
from benchmarks.soak.line import Line
from benchmarks.soak.service import Service
from benchmarks.soak.setting import Setting

_REQUEST = b"GET / HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n"


def listeners(setting: Setting) -> list[Line]:
    """(h)"""
    size = setting.size
    upgrades = 2
    with setting.service(_config(setting.folder, size.listeners, size.workers)) as service:
        rows = service.status()["listeners"]
        before = _held(service)
        for _ in range(upgrades):
            service.upgrade()
            service.settle()
        after = _held(service)
        counts, notes = compare(before, after)
        counts["changed addresses"] = int(service.status()["listeners"] != rows)
        wrong = [text for row in rows if (text := _probe(row))]
        counts["wrong answers"] = len(wrong)
    facts = {
        "listeners": len(rows),
        "sockets": sum(map(len, before.values())),
        "upgrades": upgrades,
    }
    line = Line(
        "h",
        "sockets of listeners over upgrades",
        {**counts, **service.remains()},
        facts,
        (*notes[:10], *wrong[:10]),
    )
    return [line]


def _config(folder: Path, number: int, workers: int) -> dict[str, Any]:
    kinds = ["0.0.0.0:0", "[::]:0", "127.0.0.1:0", f"unix:{folder}/s{{}}"]
    return {
        "workers": workers,
        "listeners": {
            # The Server field says through which listener an answer came.
            f"l{i}": {"bind": kinds[i % len(kinds)].format(i), "server_header": f"l{i}"}
            for i in range(number)
        },
        "routes": [{"respond": {"body": "here"}}],
    }


def _held(service: Service) -> dict[str, set[int]]:
    """The supervisor's listening sockets; the control socket is one of them."""
    return session.listening(service.supervisor())


def compare(
    before: dict[str, set[int]], after: dict[str, set[int]]
) -> tuple[dict[str, int], list[str]]:
    """What must be zero: sockets that are gone, and sockets that are new where none should be."""
    missing = {a: inodes - after.get(a, set()) for a, inodes in before.items()}
    strange = {a: inodes - before.get(a, set()) for a, inodes in after.items()}
    counts = {
        "missing sockets": sum(map(len, missing.values())),
        "wrong sockets": sum(map(len, strange.values())),
    }
    notes = [f"missing: {a} {sorted(i)}" for a, i in missing.items() if i]
    return counts, notes + [f"wrong: {a} {sorted(i)}" for a, i in strange.items() if i]


def _probe(row: dict[str, Any]) -> str:
    """Ask one listener; what was wrong, or nothing."""
    address = row["address"]
    try:
        with _connect(address) as end:
            end.sendall(_REQUEST)
            got = b""
            while piece := end.recv(65536):
                got += piece
    except OSError as error:
        return f"{row['name']} {address}: {error!r}"
    head = got.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    right = got.startswith(b"HTTP/1.1 200 ") and f"server: {row['name']}".encode() in head
    return "" if right else f"{row['name']} {address}: {got[:80]!r}"


def _connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        end = socket.socket(socket.AF_UNIX)
        end.settimeout(10)
        end.connect(address.removeprefix("unix:"))
        return end
    host, _, port = address.rpartition(":")
    own = {"0.0.0.0": "127.0.0.1", "[::]": "::1"}
    return socket.create_connection((own.get(host, host.strip("[]")), int(port)), 10)
