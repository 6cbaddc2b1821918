"""`pyproxy status`: what runs, and how far drains are."""

from __future__ import annotations

import argparse
import json
import sys
import time
from typing import Any

from pyproxy.cli import caller

EPILOG = """\
examples:
  pyproxy status           generations, workers, listeners
  pyproxy status --json    the same for programs
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    caller.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def main(args: argparse.Namespace) -> int:
    """Ask and print."""
    status = caller.ask(args, "status")
    if args.json:
        sys.stdout.write(json.dumps(status, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(_lines(status, time.time())) + "\n")
    return 0


def _lines(status: dict[str, Any], now: float) -> list[str]:
    lines = []
    for tree in status["generations"]:
        age = _age(now - tree["started"])
        lines.append(
            f"generation {tree['generation']}  {tree['phase']}  pid {tree['pid']}  "
            f"pyproxy {tree['version']}  since {age}  configuration {tree['revision']}"
        )
        lines += [_worker(worker) for worker in tree["workers"]]
    width = max((len(row["name"]) for row in status["listeners"]), default=0)
    lines += [f"listener  {row['name']:<{width}}  {row['url']}" for row in status["listeners"]]
    for row in status.get("certificates", ()):
        lines += _certificate(row)
    if status.get("certificates_more"):
        lines.append(f"  and {status['certificates_more']} certificates that end later")
    for refused in status.get("certificates_refused", ()):
        lines.append(f"refused   {refused}")
    for what in ("reload", "upgrade"):
        if status[what]:
            lines.append(f"a{'n' if what == 'upgrade' else ''} {what} is in progress")
    return lines


def _certificate(row: dict[str, Any]) -> list[str]:
    names = ", ".join(row["names"]) or row["subject"]
    left = row["days_left"]
    lines = [f"certificate  {row['path']}  {names}  {row['key_kind']}  {left:.0f} days left"]
    return lines + [f"  {remark}" for remark in row["remarks"]]


def _worker(worker: dict[str, Any]) -> str:
    parts = [f"  worker {worker['slot']}  {worker['state']}  pid {worker['pid']}"]
    parts += [f"{worker[what]} {what}" for what in ("connections", "tunnels") if what in worker]
    parts += [f"{reason}: {level}" for reason, level in worker.get("overload", {}).items()]
    if worker["restarts"]:
        parts.append(f"{worker['restarts']} restarts")
    return "  ".join(parts)


def _age(seconds: float) -> str:
    """`4 s`, `12 min`, `3 h`, `2 d`."""
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.0f} d"
