"""`pyproxy upstream`: see endpoints, and change their state or weight while they serve."""

from __future__ import annotations

import argparse
import time
from typing import Any

from pyproxy.cli import caller
from pyproxy.errors import StartError

EPILOG = """\
examples:
  pyproxy upstream                                    all endpoints
  pyproxy upstream app                                those of one upstream
  pyproxy upstream app 10.0.0.7:80 --state drain      it gets nothing new
  pyproxy upstream app 10.0.0.7:80 --state ready --weight 5
  pyproxy upstream app 10.0.0.7:80 --state configured --weight 0
                                                      as the file says again

All workers obey at once. It lasts until it is changed back, or the endpoint leaves the
configuration.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    caller.add_arguments(parser)
    parser.add_argument("upstream", nargs="?", default="", help="its name")
    parser.add_argument("endpoint", nargs="?", default="", help="its address, as the file has it")
    parser.add_argument(
        "--state", choices=("ready", "drain", "down", "configured"), help="what it should be"
    )
    parser.add_argument("--weight", type=int, help="its weight from now on; 0: the file's")


def main(args: argparse.Namespace) -> int:
    """Ask and print."""
    change = {k: v for k in ("state", "weight") if (v := getattr(args, k)) is not None}
    if change and not args.endpoint:
        raise StartError("say of which endpoint: pyproxy upstream NAME ADDRESS ...")
    if change:
        done = caller.ask(
            args, "endpoint", upstream=args.upstream, endpoint=args.endpoint, **change
        )
        print(_line(args.upstream, done["endpoint"]))
        return 0
    done = caller.ask(args, "upstreams")
    groups, discovery = done["upstreams"], done.get("discovery", {})
    pressure = done.get("groups", {})
    if args.upstream and args.upstream not in groups:
        raise StartError(f'there is no upstream "{args.upstream}"')
    for name, rows in groups.items():
        for row in rows:
            if args.upstream in ("", name) and args.endpoint in ("", row["address"]):
                print(_line(name, row))
        if args.upstream in ("", name) and not args.endpoint:
            for text in _notes(name, pressure.get(name, {})):
                print(text)
            if name in discovery:
                print(_source(name, discovery[name], time.time()))
    return 0


def _notes(upstream: str, row: dict[str, Any]) -> list[str]:
    """Lines about the upstream as a whole: what its limits and its breaker do."""
    lines = []
    if "limits" in row:
        most = row["limits"]["requests"]
        lines.append(
            f"{upstream}  {row['active']}{f' of {most}' if most else ''} in progress  "
            f"{row['queued']} of {row['limits']['pending']} waiting  "
            f"refused: {row['overflows']} at once, {row['timeouts']} too late"
        )
    if "breaker" in row:
        lines.append(f"{upstream}  breaker {_breaker(row['breaker'])}")
    return lines


def _breaker(row: dict[str, Any]) -> str:
    if row["state"] == "closed":
        return "closed"
    where = ", ".join(
        f"{state.replace('_', ' ')} in {n} worker{'' if n == 1 else 's'}"
        for state, n in row["workers"].items()
        if n
    )
    left = row["seconds_left"]
    return f"{where}: {row['reason']}" + ("" if left is None else f", {left:.0f} s left")


def _source(upstream: str, row: dict[str, Any], now: float) -> str:
    text = f"{upstream}  found by {row['source']}"
    if row["last_change"]:
        text += f"  changed {max(now - row['last_change'], 0):.0f} s ago"
    return text + (f"  error: {row['error']}" if row["error"] else "")


def _line(upstream: str, row: dict[str, Any]) -> str:
    reasons = "+".join(row["reasons"]) or row["state"]
    tier = f"  tier {row['tier']}" if row["tier"] else ""
    notes = [_health(row.get("health")), _ejection(row.get("ejection"))]
    return "  ".join([_numbers(upstream, row, reasons, tier), *filter(None, notes)])


def _numbers(upstream: str, row: dict[str, Any], reasons: str, tier: str) -> str:
    return (
        f"{upstream}  {row['address']}  {reasons}  weight {row['weight']}{tier}  "
        f"{row.get('active', 0)} active  {row.get('requests', 0)} requests"
    )


def _health(found: dict[str, Any] | None) -> str:
    """`checks: down for 12 s (status 500)`; empty without checks."""
    if not found:
        return ""
    age = f" for {max(int(time.time() - found['since']), 0)} s" if found["since"] else ""
    reason = f" ({found['reason']})" if found["reason"] else ""
    return f"checks: {found['state']}{age}{reason}"


def _ejection(found: dict[str, Any] | None) -> str:
    if not found:
        return ""
    return f"ejected: {found['reason']}, {found['seconds_left']:.0f} s left"
