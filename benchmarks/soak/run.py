"""The command line of the soak, and the order in which it does things."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple, NoReturn

from benchmarks import machine, tools
from benchmarks.contender import raise_file_limit
from benchmarks.errors import Unavailable
from benchmarks.soak import (
    binding,
    draining,
    failing,
    growing,
    keeping,
    killing,
    report,
    tunnelling,
    upgrading,
)
from benchmarks.soak.line import Line, merge
from benchmarks.soak.setting import Setting
from benchmarks.soak.size import FULL, QUICK, Size

EPILOG = """\
lines:
{lines}

examples:
  make soak                          everything; about four minutes on two cores
  make soak ARGS="--quick"           the same things, fewer times; under a minute
  make soak ARGS="--only d,e"        keep-alive clients and tunnels
  make soak ARGS="--json soak.json"  also write the result for programs

Every line counts things that must not happen. exit status: 0 when every count is zero, 1 when one
is not or a line could not be run
"""


class Part(NamedTuple):
    """A line of the soak: what it proves, and which scenarios prove it."""

    title: str
    scenarios: tuple[Callable[[Setting], list[Line]], ...]


PARTS: Mapping[str, Part] = {
    "a": Part("upgrades under new connections at full rate", (upgrading.upgrades,)),
    "b": Part("the same while the number of workers changes", (upgrading.resizes,)),
    "c": Part("kill -9 of every worker in turn, under load", (killing.kills,)),
    "d": Part("keep-alive POSTs over upgrades and reloads", (keeping.posts,)),
    "e": Part("TCP tunnels over upgrades, byte by byte", (tunnelling.tunnels,)),
    "f": Part("every bad new program, under load", (failing.bad_programs,)),
    "g": Part("counters that fall; seen during (a) and (d)", (upgrading.upgrades, keeping.posts)),
    "h": Part("hundreds of listening sockets over upgrades", (binding.listeners,)),
    "i": Part("descriptors and memory after many upgrades", (growing.leftovers,)),
    "j": Part("TLS and HTTP/2 clients over upgrades and reloads", (draining.secure,)),
}

_begun = time.monotonic()


def say(text: str) -> None:
    """Progress, with the time since the start."""
    gone = int(time.monotonic() - _begun)
    print(f"[{gone // 60:02d}:{gone % 60:02d}] {text}", file=sys.stderr, flush=True)


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    lines = "\n".join(f"  {key}  {part.title}" for key, part in PARTS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.soak",
        description="Prove that reloads, worker changes and hot upgrades lose nothing.",
        epilog=EPILOG.format(lines=lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", default="", metavar="LINES", help="only these lines, such as a,d")
    add("--quick", action="store_true", help="fewer upgrades, fewer connections")
    add("--json", type=Path, metavar="FILE", help="write the result to FILE as JSON, too")
    add("--keep", action="store_true", help="keep the folders: configurations and logs")
    found = parser.parse_args(argv)
    found.only = [key.strip().lower() for key in found.only.split(",") if key.strip()]
    if unknown := [key for key in found.only if key not in PARTS]:
        parser.error(f"no such line: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return found


def run(
    keys: Sequence[str], size: Size, folder: Path, parts: Mapping[str, Part]
) -> tuple[list[Line], dict[str, str]]:
    """Run the scenarios of these lines, each once: (their lines, why others could not be run)."""
    lines: list[Line] = []
    failures: dict[str, str] = {}
    scenarios = list(dict.fromkeys(s for key in keys for s in parts[key].scenarios))
    for scenario in scenarios:
        here = folder / scenario.__name__
        here.mkdir()
        say(f"{scenario.__name__.replace('_', ' ')} …")
        try:
            found = scenario(Setting(size, here, say))
        except (Unavailable, OSError, RuntimeError, KeyError, ValueError) as error:
            name = "".join(k for k in keys if scenario in parts[k].scenarios)
            failures[name] = str(error) if isinstance(error, Unavailable) else repr(error)
            say(f"could not be run: {failures[name]}")
            continue
        for line in found:
            if line.key in keys:
                say(report.one_line(line))
                lines.append(line)
    return merge(lines), failures


def on_terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """End through the ordinary way out, so that every service is stopped. Once is enough."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(143)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 0 when every count is zero."""
    wanted = options(argv)
    signal.signal(signal.SIGTERM, on_terminate)
    raise_file_limit()
    for own in ("load", "origin"):
        tools.program(own)
    # Short: the path of a unix socket has 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="pyproxy-soak-"))
    size = QUICK if wanted.quick else FULL
    ok = False
    try:
        lines, failures = run(wanted.only or list(PARTS), size, folder, PARTS)
        about = {"date": machine.now(), **machine.commit(), "quick": wanted.quick}
        result = report.as_json(lines, about, failures)
        if wanted.json:
            wanted.json.write_text(json.dumps(result, indent=1) + "\n")
        print(report.table(lines, failures))
        ok = bool(result["ok"])
    finally:
        if ok and not wanted.keep:
            shutil.rmtree(folder)
        else:
            say(f"configurations and logs are in {folder}")
    return 0 if ok else 1
