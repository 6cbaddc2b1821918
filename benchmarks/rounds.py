"""Run one load scenario: everybody up at once, checked, then measured in interleaved rounds."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks import certificate, echo, proc, tools
from benchmarks.contender import Contender, Running, Setup, free_ports, route_paths
from benchmarks.drives import DRIVES, Drive, fields
from benchmarks.errors import Unavailable
from benchmarks.machine import BUILD
from benchmarks.peers import native
from benchmarks.scenario import AGAIN, Scenario, Slot, slots, turn
from benchmarks.stats import figure, noise, ratio

WARM_UP_S = 0.4
SATURATION_S = 1.0
OVERLOAD_MARGIN = 1.2
LEAST_LOGGED = 0.9
LATE = "x-late: 1"
SUBJECT = "pyproxy"
PERCENTILES = ("p50", "p90", "p99", "p999", "max")
FIGURES = (
    "cpu_us", "user_us", "system_us", "rps", "busy", "failed", "resumed_share", "late_share",
    *(f"{p}_us" for p in PERCENTILES),
)  # fmt: skip

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """How long and how often."""

    rounds: int = 5
    seconds: float = 2.5


@dataclass(slots=True)
class Stage:
    """What is up for one scenario, and what was left out with its reason."""

    running: dict[str, Running] = field(default_factory=dict)
    work: dict[str, tools.Work] = field(default_factory=dict)
    order: list[Slot] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    drive: Drive = field(kw_only=True)


def run(
    scenario: Scenario, contenders: Mapping[str, Contender], settings: Settings, say: Say
) -> dict[str, Any]:
    """Measure a scenario; returns its part of the result file."""
    with ExitStack() as ends:
        stage = prepare(scenario, contenders, ends, say)
        if scenario.rate_of:
            set_rate(stage, scenario, say)
        rounds: list[dict[str, dict[str, float]]] = []
        for number in range(settings.rounds):
            measured: dict[str, dict[str, float]] = {}
            for slot in turn(stage.order, number):
                seconds = settings.seconds * scenario.seconds
                running, work = stage.running[slot.key], stage.work[slot.key]
                sample = measure(stage.drive, running, work, seconds)
                if sample is not None:
                    measured[slot.key] = sample
            rounds.append(measured)
            say(progress(scenario, number, settings.rounds, measured))
        if scenario.flavour == "log":
            check_logs(stage, contenders, rounds)
    return {
        "title": scenario.title,
        "unit": scenario.unit,
        "slots": [s.key for s in stage.order if not s.again],
        "left_out": stage.left_out,
        "rate": next(iter(stage.work.values())).rate if stage.work else 0.0,
        "rounds": rounds,
        **summary(stage.order, rounds),
    }


def prepare(
    scenario: Scenario, contenders: Mapping[str, Contender], ends: ExitStack, say: Say
) -> Stage:
    """Start the origin and everybody; check each one's answers. Who fails is left out, with why."""
    folder = BUILD / "run" / scenario.name
    shutil.rmtree(folder, ignore_errors=True)
    order = slots(scenario, contenders, SUBJECT)
    ports = free_ports(len(order) + scenario.endpoints)
    others = tuple(ports[len(order) + 1 :])
    stage = Stage(drive=DRIVES[scenario.load](scenario, others))
    origin = stage.drive.origin(ports[0], folder / "origin")
    ends.callback(origin.stop)
    pair = certificate.pair(folder / "certificate") if scenario.flavour == "tls" else None
    for slot, port in zip(order, ports[1 : len(order) + 1], strict=True):
        if slot.again:
            twin = slot.key.removesuffix(AGAIN)
            if twin in stage.running:
                stage.order.append(slot)
                stage.running[slot.key] = stage.running[twin]
                stage.work[slot.key] = stage.work[twin]
            continue
        setup = Setup(
            folder=folder / slot.key.replace(" ", "-"),
            port=port,
            origin=ports[0],
            flavour=scenario.flavour,
            routes=slot.routes,
            set=slot.set,
            workers=scenario.workers,
            pair=pair,
            others=others,
        )
        work = work_of(scenario, slot, folder)
        try:
            if scenario.reaches:
                found = echo.seen(contenders[slot.contender], setup, fields(scenario))
                echo.require(found, scenario.reaches)
            running = contenders[slot.contender].start(setup)
            ends.callback(running.stop)
            stage.drive.check(port, work)
            native.prove(port, slot.set, fields(scenario))
        except Unavailable as exc:
            stage.left_out[slot.key] = str(exc)
            say(f"{scenario.name}: {slot.key} is left out: {exc}")
            continue
        stage.order.append(slot)
        stage.running[slot.key] = running
        stage.work[slot.key] = work
    return stage


def work_of(scenario: Scenario, slot: Slot, folder: Path) -> tools.Work:
    """The load of one slot."""
    paths = None
    if scenario.flavour == "routes":
        paths = folder / f"paths-{slot.routes}.txt"
        # A stride that is prime to the count visits all routes, far apart one after the other.
        every = route_paths(slot.routes)
        order = [every[i * 7919 % len(every)] for i in range(len(every))]
        paths.write_text("\n".join(order) + "\n")
    return tools.Work(
        connections=scenario.connections,
        size=scenario.size,
        upload=scenario.upload,
        close=scenario.close,
        headers=scenario.headers,
        paths=paths,
        mark=LATE if scenario.late_ms else "",
    )


def check_logs(
    stage: Stage,
    contenders: Mapping[str, Contender],
    rounds: list[dict[str, dict[str, float]]],
) -> None:
    """Leave out who did not write its log: a line for each request, but for what is in buffers."""
    for slot in [s for s in stage.order if not s.again]:
        running = stage.running[slot.key]
        path = running.log.parent / contenders[slot.contender].access_log
        lines = count_lines(path)
        served = sum(r[slot.key]["requests"] for r in rounds if slot.key in r)
        if lines < served * LEAST_LOGGED:
            stage.left_out[slot.key] = f"logged only {lines:,} of {served:,.0f} requests"
            stage.order = [s for s in stage.order if s.contender != slot.contender]


def count_lines(path: Path) -> int:
    """Lines of a file that may be large; 0 when it is not there."""
    try:
        with path.open("rb") as f:
            return sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))
    except OSError:
        return 0


def set_rate(stage: Stage, scenario: Scenario, say: Say) -> None:
    """Give every slot the same open-loop rate; leave out those that it would overload."""
    saturation = {}
    for slot in stage.order:
        if not slot.again:
            running, work = stage.running[slot.key], stage.work[slot.key]
            report = stage.drive.load(running.port, work, SATURATION_S)
            saturation[slot.key] = report["requests"] / report["seconds"]
    if not saturation:
        return
    rate = scenario.rate_share * saturation.get(scenario.rate_of, min(saturation.values()))
    for key, limit in saturation.items():
        if limit < rate * OVERLOAD_MARGIN:
            why = f"saturates at {limit:,.0f}/s, too near to the offered {rate:,.0f}/s"
            stage.left_out[key] = why
            stage.order = [s for s in stage.order if s.key != key]
            say(f"{scenario.name}: {key} is left out: {why}")
    for slot in stage.order:
        stage.work[slot.key] = replace(stage.work[slot.key], rate=rate)


def measure(
    drive: Drive, running: Running, work: tools.Work, seconds: float
) -> dict[str, float] | None:
    """Warm up, then load one proxy alone; None when not one request succeeded."""
    drive.load(running.port, work, WARM_UP_S)
    clocks: list[proc.Cpu] = []
    report = drive.load(
        running.port, work, seconds, lambda: clocks.append(proc.cpu(running.pids()))
    )
    if not clocks:
        return None
    total, user, system = proc.cpu(running.pids()).since(clocks[0])
    requests = report["requests"]
    if not requests:
        return None
    sample = {
        "requests": requests,
        "failed": sum(report["errors"].values()),
        "rps": requests / report["seconds"],
        "busy": total / report["seconds"],
        "cpu_us": total * 1e6 / requests,
        "user_us": user * 1e6 / requests,
        "system_us": system * 1e6 / requests,
    }
    for clock, before_name in (("latency_us", ""), ("service_us", "service_")):
        for name, value in report.get(clock, {}).items():
            sample[f"{before_name}{name}_us"] = value
    if "resumed" in report:
        sample["resumed_share"] = report["resumed"] / requests
    if "marked" in report:
        sample["late_share"] = report["marked"] / requests
    return sample


def summary(order: list[Slot], rounds: list[dict[str, dict[str, float]]]) -> dict[str, Any]:
    """Medians of every figure, pyproxy's ratio to everybody, and the A/A noise."""
    plain = [s.key for s in order if not s.again]
    medians: dict[str, dict[str, Any]] = {}
    for key in plain:
        spreads = {name: figure(rounds, key, name) for name in FIGURES}
        medians[key] = {name: s.as_json() for name, s in spreads.items() if s is not None}
    ratios: dict[str, dict[str, Any]] = {}
    for key in plain:
        if key == SUBJECT or SUBJECT not in plain:
            continue
        found = {name: ratio(rounds, SUBJECT, key, name) for name in ("cpu_us", "p99_us", "rps")}
        ratios[key] = {name: s.as_json() for name, s in found.items() if s is not None}
    twins = [s.key for s in order if s.again]
    noises = {}
    for name in ("cpu_us", "p99_us", "rps"):
        apart = noise(rounds, SUBJECT, twins[0], name) if twins else None
        if apart is not None:
            noises[name] = apart
    return {"figures": medians, "ratios": ratios, "noise": noises}


def progress(
    scenario: Scenario, number: int, rounds: int, measured: dict[str, dict[str, float]]
) -> str:
    """One line about a finished round."""
    shown = "  ".join(f"{key} {sample['cpu_us']:.1f}" for key, sample in measured.items())
    return f"{scenario.name}: round {number + 1} of {rounds}: CPU µs/{scenario.unit}: {shown}"
