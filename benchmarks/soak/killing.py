"""(c) kill -9 of every worker in turn, under load.

What a worker has accepted dies with it; nobody can give that back. What it has not accepted must
be served by its successor. To tell the two apart exactly, the worker is stopped (SIGSTOP) first:
then nothing changes any more while /proc says which connections it has accepted. New ones queue up
in its listening sockets meanwhile, which makes it harder for the successor. Then it is killed. A
client whose connection failed is told by its local address: was it in a dead worker's hands?
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from benchmarks.soak import load, session
from benchmarks.soak.line import Line
from benchmarks.soak.service import Service
from benchmarks.soak.setting import Setting, proxying

_STOP_SECONDS = 5.0
_QUEUE_SECONDS = 0.2
_REPLACED_SECONDS = 20.0


def kills(setting: Setting) -> list[Line]:
    """(c)"""
    size = setting.size
    hands: set[str] = set()
    killed = 0
    with (
        setting.origin() as origin,
        setting.service(proxying(origin, size.many_workers)) as service,
        load.new_connections(service.port("web"), size.clients) as clients,
    ):
        port = service.port("web")
        for round_ in range(size.kill_rounds):
            for pid in service.workers():
                clients.alive_for(0.2)
                os.kill(pid, signal.SIGSTOP)
                service.wait(partial(session.is_stopped, pid), "SIGSTOP", _STOP_SECONDS)
                time.sleep(_QUEUE_SECONDS)
                hands |= session.in_hand([pid], port)
                os.kill(pid, signal.SIGKILL)
                killed += 1
                service.wait(
                    partial(_is_replaced, service, pid),
                    "a killed worker is not replaced",
                    _REPLACED_SECONDS,
                )
            setting.step(round_ + 1, size.kill_rounds, "rounds of kills")
        report = clients.end()
    lost = [f for f in report["failures"] if f["from"] not in hands]
    counts = load.failed({"errors": tally(lost, report)})
    facts = {
        "kills": killed,
        "requests": report["requests"],
        "in hand": len(hands),
        "ms longest": report["latency_us"]["max"] / 1000,
    }
    notes = tuple(f"{f['kind']} from {f['from']}, accepted by nobody dead" for f in lost[:20])
    title = "kill -9 of every worker: lost though not accepted"
    return [Line("c", title, {**counts, **service.remains()}, facts, notes)]


def _is_replaced(service: Service, pid: int) -> bool:
    return service.is_settled() and pid not in service.workers()


def tally(lost: list[dict[str, str]], report: Mapping[str, Any]) -> dict[str, int]:
    """Errors by kind, of the <lost> ones only. What never ended has no address: all of it counts.

    So does what failed after the generator had stopped to write addresses down.
    """
    found = dict.fromkeys(report["errors"], 0)
    for failure in lost:
        found[failure["kind"]] += 1
    found["timeout"] = report["errors"]["timeout"]
    unnamed = sum(report["errors"].values()) - found["timeout"] - len(report["failures"])
    found["closed"] += unnamed
    return found
