"""Runs the micro-benchmarks: router and head parser in C, head parser against httptools.

Every figure is a spread over rounds. Programs are built with the flags of a release and the pure
sources of csrc; they run on the core that the proxies have in the load scenarios.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from benchmarks import install
from benchmarks.errors import Unavailable
from benchmarks.machine import BUILD, PROXY_CPU, ROOT
from benchmarks.stats import Spread

Say = Callable[[str], None]

CSRC = ROOT / "csrc"
MICRO = Path(__file__).resolve().parent / "micro"
ROUNDS = 9
FLAGS = ("-fvisibility=hidden", f"-I{CSRC}")
NO_GOAL_SETS = ("host",)
CONDITIONS_SET = "hosts and headers"
_HEAD_ROW = re.compile(r"^(.+?)\s+(\d+)\s+(\S+)\s+([\d.]+)\s+(\d+)$")


def run(say: Say) -> dict[str, Any]:
    """Everything; a part that fails is told and left out. Unavailable when all fail."""
    found: dict[str, Spread] = {}
    failed = []
    for name, part in (("router", router), ("parser", parser)):
        try:
            figures = part()
        except (Unavailable, OSError, ValueError, subprocess.SubprocessError) as exc:
            failed.append(f"{name}: {exc}")
            say(f"micros: {name} could not be measured: {exc}")
            continue
        found.update(figures)
        shown = ", ".join(f"{key} {s.median:,.3g}" for key, s in figures.items())
        say(f"micros: {shown}")
    if failed and not found:
        raise Unavailable("; ".join(failed))
    return {name: s.as_json() for name, s in found.items()}


def program(name: str, folders: Sequence[str]) -> Path:
    """Build micro/<name>.c with all sources of some csrc folders, anew every time: it is quick."""
    own = MICRO / f"{name}.c"
    if not own.exists():
        raise Unavailable(f"{own.name} is missing")
    # What setup.py leaves out of the pure parts: those that need libraries of their own.
    sources = [
        path
        for folder in folders
        for path in sorted((CSRC / folder).glob("*.c*"))
        if not path.name.startswith(("http2", "compress"))
    ]
    built = BUILD / "bin" / name
    built.parent.mkdir(parents=True, exist_ok=True)
    command = ["cc", "-std=gnu11", "-O2", "-g", *FLAGS, "-o", str(built), str(own)]
    command += [*map(str, sources), "-lre2", "-lstdc++"]
    install.run(command, f"{own.name} does not build")
    return built


def pinned(*command: str) -> str:
    """Standard output of a command on the proxies' core."""
    done = subprocess.run(
        ["taskset", "-c", str(PROXY_CPU), *command],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise Unavailable(last[0])
    return done.stdout


def router() -> dict[str, Spread]:
    """Nanoseconds of a random lookup, by route set."""
    text = pinned(str(program("bench_router", ("base", "wire", "route"))), str(ROUNDS))
    return router_figures(text)


def router_figures(text: str) -> dict[str, Spread]:
    """Read what bench_router.c prints: a JSON object a line.

    The figures with goals are the slowest set without hosts of 100 and of 100,000 routes, and the
    set with conditions.
    """
    found: dict[str, Spread] = {}
    slowest: dict[int, Spread] = {}
    for line in text.splitlines():
        row = json.loads(line)
        routes = int(row["routes"])
        s = Spread(row["ns"], row["ns_min"], row["ns_max"], ROUNDS)
        found[f"router, {routes:,} routes, {row['set']}, ns"] = s
        if row["set"] == CONDITIONS_SET:
            found["router_conditions_ns"] = s
        hosts = any(word in row["set"] for word in NO_GOAL_SETS)
        if not hosts and (routes not in slowest or s.median > slowest[routes].median):
            slowest[routes] = s
    for routes in (100, 100_000):
        if routes in slowest:
            found[f"router_{routes}_ns"] = slowest[routes]
    return found


def parser() -> dict[str, Spread]:
    """MB/s of our head parser and httptools, and their ratios."""
    built = str(program("bench_http1_head", ("base", "wire")))
    in_c = [head_rates(pinned(built, "50000")) for _ in range(ROUNDS)]
    from_python = json.loads(pinned(sys.executable, "-m", "benchmarks.parsers", str(ROUNDS)))
    return parser_figures(in_c, from_python)


def head_rates(text: str) -> dict[tuple[str, str], float]:
    """Read what bench_http1_head.c prints: (head, step) to bytes per second."""
    found = {}
    for line in text.splitlines():
        if match := _HEAD_ROW.match(line):
            name, size, step, ns, _ = match.groups()
            found[name.strip(), step] = int(size) / float(ns) * 1e9
    return found


def parser_figures(
    in_c: Sequence[dict[tuple[str, str], float]],
    from_python: dict[str, dict[str, list[float]]],
) -> dict[str, Spread]:
    """Figures of all heads, and the two ratios as geometric means over the heads of each round."""
    found: dict[str, Spread] = {}
    for name, ways in from_python.items():
        steps = [r[name, "parse+rules"] for r in in_c if (name, "parse+rules") in r]
        if steps:
            found[f"parser, {name}, in C with framing rules, MB/s"] = mega(steps)
        for way, values in ways.items():
            found[f"parser, {name}, {way} from Python, MB/s"] = mega(values)
    ways_used = list(from_python.values())
    rounds = range(min(len(w["pyproxy"]) for w in ways_used))
    found["parser_ratio"] = Spread.of(
        geometric_mean([w["pyproxy"][i] / w["httptools"][i] for w in ways_used]) for i in rounds
    )
    pairs = [
        [
            r[name, "parse+rules"] / w["httptools bare"][i]
            for name, w in from_python.items()
            if (name, "parse+rules") in r
        ]
        for i, r in enumerate(in_c[: len(rounds)])
    ]
    if pairs and all(pairs):
        found["parser_c_ratio"] = Spread.of(geometric_mean(p) for p in pairs)
    return found


def mega(values: Sequence[float]) -> Spread:
    """Bytes per second as MB/s."""
    return Spread.of(v / 1e6 for v in values)
