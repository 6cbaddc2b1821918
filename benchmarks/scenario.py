"""Load scenarios as read from scenarios/*.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "scenarios"
SMALL = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One load scenario; scenarios/http1.toml explains the fields."""

    name: str
    title: str
    contenders: tuple[str, ...]
    connections: int
    flavour: str = "plain"
    size: int = SMALL
    upload: int = 0
    close: bool = False
    headers: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    reaches: tuple[str, ...] = ()
    routes: tuple[int, ...] = (1,)
    sets: tuple[str, ...] = ("",)
    again: bool = False
    seconds: float = 1.0
    rate_of: str = ""
    rate_share: float = 0.5
    load: str = "http1"
    unit: str = "request"
    streams: int = 1
    workers: int = 1
    endpoints: int = 1
    late_ms: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """One column of a scenario: a contender in one setting. `again`: the second of an A/A pair."""

    key: str
    contender: str
    routes: int
    again: bool = False
    set: str = ""


AGAIN = " (again)"


def parse(text: str, where: str) -> list[Scenario]:
    """Read one scenario file. ValueError, with the place, for unknown and missing keys."""
    known = {f.name for f in fields(Scenario)}
    found = []
    for number, table in enumerate(tomllib.loads(text).get("scenario", []), 1):
        label = f"{where}: scenario {number} ({table.get('name', 'without a name')})"
        if unknown := sorted(table.keys() - known):
            raise ValueError(f"{label}: unknown keys: {', '.join(unknown)}")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
        }
        try:
            found.append(Scenario(**values))
        except TypeError as exc:
            raise ValueError(f"{label}: {exc}") from exc
    return found


def load_all(folder: Path = FOLDER) -> list[Scenario]:
    """Every scenario of the folder, in file and table order."""
    return [s for path in sorted(folder.glob("*.toml")) for s in parse(path.read_text(), path.name)]


def slots(scenario: Scenario, present: Iterable[str], subject: str) -> list[Slot]:
    """The columns of a scenario for the contenders that are `present`, in their order."""
    there = set(present)
    found = []
    for name in scenario.contenders:
        if name not in there:
            continue
        for i, routes in enumerate(scenario.routes):
            key = name if i == 0 else f"{name} ({routes:,} routes)"
            for of_filters in scenario.sets:
                own = f"{key} ({of_filters})" if of_filters else key
                found.append(Slot(own, name, routes, set=of_filters))
            if scenario.again and name == subject and i == 0:
                found.append(Slot(key + AGAIN, name, routes, again=True))
    return found


def turn(order: list[Slot], number: int) -> list[Slot]:
    """The order of round `number`: each begins one slot later, so that none is always first."""
    if not order:
        return []
    at = number % len(order)
    return order[at:] + order[:at]
