"""The command line of the benchmarks, and the order in which a run does things."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from benchmarks import machine, micros, plot, report, rounds, singles, tools
from benchmarks.contender import Contender, raise_file_limit
from benchmarks.errors import Unavailable
from benchmarks.goals import judge
from benchmarks.peers import FLOOR, SUBJECT, everyone
from benchmarks.scenario import Scenario, load_all

RESULTS = Path(__file__).resolve().parent / "results"
COLD_RUNS = 9
BUSY = 0.5
Part = tuple[str, str, str, Callable[[], dict[str, Any]]]

_begun = time.monotonic()


def say(line: str) -> None:
    """Progress, with the time since the start."""
    gone = int(time.monotonic() - _begun)
    print(f"[{gone // 60:02d}:{gone % 60:02d}] {line}", file=sys.stderr, flush=True)


def options(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--list", action="store_true", help="list what can be measured")
    add("--only", default="", metavar="NAMES", help="only these, separated by commas")
    add("--rounds", type=int, default=5, help="interleaved rounds of each scenario (%(default)s)")
    add("--seconds", type=float, default=2.5, help="of one measurement (%(default)s)")
    add("--peers", default="", metavar="NAMES", help="only these beside pyproxy, by commas")
    add("--no-install", action="store_true", help="use what is installed, install nothing")
    add("--out", type=Path, default=None, help="path of the result without ending")
    found = parser.parse_args(argv)
    if found.rounds < 1 or found.seconds <= 0:
        parser.error("--rounds and --seconds must be positive")
    return found


def chosen(text: str, known: Sequence[str], what: str) -> list[str]:
    """The names in a list by commas, checked. SystemExit for one that is not known."""
    names = [n.strip() for n in text.split(",") if n.strip()]
    if unknown := [n for n in names if n not in known]:
        raise SystemExit(f"no such {what}: {', '.join(unknown)}; known: {', '.join(known)}")
    return names


def install(names: Sequence[str]) -> tuple[dict[str, Contender], dict[str, str], dict[str, str]]:
    """Make everybody runnable: (contenders, their versions, why others are missing)."""
    contenders: dict[str, Contender] = {}
    versions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for name, contender in everyone().items():
        if name not in names:
            continue
        say(f"installing {contender.label}")
        try:
            contender.install()
            versions[name] = contender.version()
            contenders[name] = contender
        except Unavailable as exc:
            missing[name] = str(exc)
            say(f"{contender.label} is missing: {exc}")
    return contenders, versions, missing


def parts(
    scenarios: Sequence[Scenario],
    contenders: Mapping[str, Contender],
    settings: rounds.Settings,
) -> list[Part]:
    """Everything that can be measured: (name, section of the result, title, how)."""
    proxies = {n: c for n, c in contenders.items() if n != FLOOR and "plain" in c.flavours}
    subject = {n: c for n, c in contenders.items() if n == SUBJECT}

    def scenario_part(s: Scenario) -> Part:
        return s.name, "scenarios", s.title, lambda: rounds.run(s, contenders, settings, say)

    def kill() -> dict[str, Any]:
        if not subject:
            raise Unavailable("pyproxy is missing")
        return singles.killed_workers(subject[SUBJECT], say)

    return [
        *(scenario_part(s) for s in scenarios),
        ("memory", "singles", "memory: at start, for each idle connection",
         lambda: singles.memory(proxies, say)),
        ("cold-start", "singles", "exec to the first 200",
         lambda: singles.cold_start(proxies, COLD_RUNS, say)),
        ("streaming", "singles", "peak memory of 1 GiB to a slow reader",
         lambda: singles.streaming(proxies, say)),
        ("kill", "singles", "kill -9 of each worker in turn under load", kill),
        ("micros", "", "parser against httptools; router", lambda: micros.run(say)),
    ]  # fmt: skip


def measure(todo: Sequence[Part], result: dict[str, Any]) -> None:
    """Run the parts one after the other; one that cannot run is recorded with its reason.

    Whatever goes wrong in one, a fault of its own code too, must not lose the others' figures.
    """
    for name, section, title, how in todo:
        say(f"{name}: {title}")
        try:
            found = how()
        except Unavailable as exc:
            result["failures"][name] = str(exc)
            say(f"{name} could not be measured: {exc}")
            continue
        except Exception as exc:
            result["failures"][name] = f"{exc!r}"
            say(f"{name} could not be measured:\n{traceback.format_exc()}")
            continue
        if wrong := complaints(found):
            result["failures"][name] = wrong
            say(f"{name}: {wrong}")
        if section:
            result[section][name] = found
        else:
            result[name] = found


def complaints(part: Mapping[str, Any]) -> str:
    """What went wrong with pyproxy itself in a part: columns without figures, wrong answers."""
    own = [(key, why) for key, why in part.get("left_out", {}).items() if is_subject(key)]
    for key, figures in part.get("figures", {}).items():
        failed = figures.get("failed") if isinstance(figures, Mapping) else None
        if failed and is_subject(key) and failed["high"]:
            own.append((key, f"{failed['high']:,.0f} requests of a round were not answered well"))
    return "; ".join(f"{key}: {why}" for key, why in own)


def is_subject(slot: str) -> bool:
    """Is that a column of ours, whatever its setting?"""
    return slot.partition(" ")[0] == SUBJECT


def write(result: Mapping[str, Any], out: Path | None) -> Path:
    """Write JSON, Markdown and SVG beside each other; returns the path of the JSON."""
    if out is None:
        RESULTS.mkdir(parents=True, exist_ok=True)
        stamp = str(result["date"]).replace(":", "").replace("-", "")
        out = RESULTS / f"{stamp}-{result['commit']}"
    out.parent.mkdir(parents=True, exist_ok=True)
    base = str(out)
    Path(base + ".json").write_text(json.dumps(result, indent=1) + "\n")
    Path(base + ".svg").write_text(plot.draw(result))
    picture = f"![CPU per request]({out.name}.svg)\n\n"
    text = report.render(result, markdown=True)
    top, _, rest = text.partition("\n## ")
    Path(base + ".md").write_text(f"{top}\n{picture}## {rest}")
    return Path(base + ".json")


def on_terminate(_number: int, _frame: FrameType | None) -> NoReturn:
    """End through the ordinary way out, so that every proxy is stopped."""
    raise SystemExit(143)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 0 when everything asked for was measured."""
    wanted = options(argv)
    scenarios = load_all()
    known = [s.name for s in scenarios]
    known += ["memory", "cold-start", "streaming", "kill", "micros"]
    if wanted.list:
        for name, _, title, _ in parts(scenarios, {}, rounds.Settings()):
            print(f"{name:16} {title}")
        return 0
    only = chosen(wanted.only, known, "benchmark")
    everybody = everyone()
    named = chosen(wanted.peers, list(everybody), "peer")
    names = [n for n in everybody if not named or n in named or n == SUBJECT]

    signal.signal(signal.SIGTERM, on_terminate)
    raise_file_limit()
    machine.BUILD.mkdir(parents=True, exist_ok=True)
    for own in ("load", "origin"):
        tools.program(own)
    contenders, versions, missing = (
        (
            {n: everybody[n] for n in names},
            {n: everybody[n].version() for n in names},
            {},
        )
        if wanted.no_install
        else install(names)
    )
    settings = rounds.Settings(wanted.rounds, wanted.seconds)
    load = machine.load_average()
    if load > BUSY:
        say(f"the machine is not quiet (load average {load:.2f}): figures will be noisy")
    result: dict[str, Any] = {
        "schema": 1,
        "date": machine.now(),
        **machine.commit(),
        "machine": machine.describe(),
        "load_average": load,
        "settings": {"rounds": settings.rounds, "seconds": settings.seconds},
        "versions": versions,
        "missing": missing,
        "scenarios": {},
        "singles": {},
        "failures": {},
    }
    todo = [p for p in parts(scenarios, contenders, settings) if not only or p[0] in only]
    try:
        measure(todo, result)
    finally:
        shutil.rmtree(machine.BUILD / "run", ignore_errors=True)
    result["goals"] = [v.as_json() for v in judge(result)]
    path = write(result, wanted.out)
    print(report.render(result, markdown=False))
    print(f"written: {path}, and .md and .svg beside it")
    return 1 if result["failures"] else 0
