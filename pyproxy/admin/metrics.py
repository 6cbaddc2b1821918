"""The shared counter segment as Prometheus text (format 0.0.4), summed over its columns."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pyproxy import _counters
from pyproxy._version import __version__
from pyproxy.config.compile import SHARED_RECORD
from pyproxy.tls.held import Held, title_of

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "pyproxy_"

# Families of the latency histograms, by record kind: what is timed is said in base/metric.h.
_HISTOGRAMS = {
    "route": (
        "request_duration_seconds",
        "Time from the first byte of a request to the end of its response.",
    ),
    "upstream": (
        "upstream_first_byte_seconds",
        "Time from sending a request to the head of the response.",
    ),
}


class Segment(Protocol):
    """What is read of a `_counters.StatSegment`."""

    def records(self) -> Iterable[tuple[str, str, int, int]]:
        """(kind, name, base, words) of every record."""

    def sum(self, index: int) -> int:
        """One word, added up over the columns."""


class Table(Protocol):
    """What is read of a `_counters.SharedTable`."""

    def look(self, now_ns: int) -> tuple[int, int, int, int]:
        """(cells, looked at, alive of those, evictions ever)."""


@dataclass(slots=True)
class Family:
    """One metric family: its lines are labels (already rendered, without braces).

    Name suffix and value.
    """

    name: str
    type: str
    help: str
    lines: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, labels: str, value: float, suffix: str = "") -> None:
        """Append one sample."""
        self.lines.append((suffix, labels, format_value(value)))

    def render(self) -> Iterator[str]:
        """The lines of the family, HELP and TYPE first."""
        name = _PREFIX + self.name
        yield f"# HELP {name} {_escape_help(self.help)}\n"
        yield f"# TYPE {name} {self.type}\n"
        for suffix, labels, value in self.lines:
            braces = f"{{{labels}}}" if labels else ""
            yield f"{name}{suffix}{braces} {value}\n"


def format_value(value: float) -> str:
    """Integers without a point, floats in their shortest exact form."""
    return repr(value) if isinstance(value, float) else str(value)


def escape_label(value: str) -> str:
    """A label value as it stands between the quotes."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def labels_text(pairs: Mapping[str, str]) -> str:
    """`a="1",b="2"`."""
    return ",".join(f'{name}="{escape_label(value)}"' for name, value in pairs.items())


def render(segment: Segment, process: Iterable[Family] = ()) -> str:
    """The whole page: the families of `process` first, then everything in the segment."""
    families = [*process, *_segment_families(segment)]
    return "".join(line for family in families for line in family.render())


def _segment_families(segment: Segment) -> list[Family]:
    by_kind: dict[str, list[tuple[str, int]]] = {}
    for kind, name, base, words in segment.records():
        # The shared record of a kind is news only when something was counted in it.
        if name == SHARED_RECORD and not any(segment.sum(base + i) for i in range(words)):
            continue
        by_kind.setdefault(kind, []).append((name, base))
    families: dict[str, Family] = {}
    labels_of: dict[str, str] = {}
    for kind, kind_label, word, metric_type, name, labels, text in _counters.metric_rows():
        if name.startswith("_"):  # a word in which processes remember something
            continue
        labels_of[kind] = kind_label
        family = families.setdefault(name, Family(name, metric_type.lower(), text))
        for record, base in by_kind.get(kind, ()):
            family.add(_join(kind_label, record, labels), segment.sum(base + word))
    for kind, (name, text) in _HISTOGRAMS.items():
        first = _counters.metric_histogram(kind)
        if first is not None:
            records = by_kind.get(kind, ())
            families[name] = _histogram(
                segment, name, text, labels_of.get(kind, kind), first, records
            )
    return [family for family in families.values() if family.lines]


def _histogram(
    segment: Segment,
    name: str,
    text: str,
    kind_label: str,
    first: int,
    records: Iterable[tuple[str, int]],
) -> Family:
    """Stored per bucket and in microseconds; shown cumulative and in seconds."""
    family = Family(name, "histogram", text)
    bounds = [format_value(us / 1e6) for us in _counters.metric_buckets()] + ["+Inf"]
    for record, base in records:
        total = 0
        for i, bound in enumerate(bounds):
            total += segment.sum(base + first + i)
            family.add(_join(kind_label, record, f'le="{bound}"'), total, "_bucket")
        own = _join(kind_label, record, "")
        family.add(own, segment.sum(base + first + len(bounds)) / 1e6, "_sum")
        family.add(own, total, "_count")
    return family


def _join(kind_label: str, record: str, labels: str) -> str:
    """The record's own label, if its kind has one, and the fixed ones of the row."""
    own = f'{kind_label}="{escape_label(record)}"' if kind_label else ""
    return ",".join(part for part in (own, labels) if part)


def process_families(
    workers: Iterable[Mapping[str, object]], uptime_seconds: float, start_time: float
) -> list[Family]:
    """What the supervisor knows: workers by state, age, build.

    `workers` as in its STATE message.
    """
    workers = list(workers)
    states = Family("workers", "gauge", "Worker slots, by state of their process.")
    for state in ("ready", "starting", "draining", "down"):
        states.add(f'state="{state}"', sum(worker["state"] == state for worker in workers))
    uptime = Family("uptime_seconds", "gauge", "Age of the supervisor.")
    uptime.add("", round(uptime_seconds, 3))
    started = Family("start_time_seconds", "gauge", "Unix time at which the supervisor started.")
    started.add("", round(start_time, 3))
    build = Family("build_info", "gauge", "Constant 1; the labels say what is running.")
    build.add(labels_text({"version": __version__, "python": platform.python_version()}), 1)
    return [family for family in (states, uptime, started, build) if family.lines]


def shared_families(table: Table, now_ns: int) -> list[Family]:
    """How full the table is that workers share, and whether it is too small."""
    cells, seen, alive, evictions = table.look(now_ns)
    size = Family("shared_memory_cells", "gauge", "Values that the workers' shared table can hold.")
    size.add("", cells)
    used = Family(
        "shared_memory_cells_used", "gauge", "Values that it holds; reckoned from a part of it."
    )
    used.add("", cells * alive // max(seen, 1))
    lost = Family(
        "shared_memory_evictions_total",
        "counter",
        "Values in use that made room for others: with many, limits forget what they count.",
    )
    lost.add("", evictions)
    return [size, used, lost]


def certificate_family(certificates: Iterable[Held], now: float) -> Family:
    """How long each certificate lasts."""
    family = Family(
        "certificate_expiry_seconds", "gauge", "Time until a certificate expires; then negative."
    )
    # One that stands twice in a file of authorities is one sample all the same.
    left = {
        labels_text(
            {
                held.owner: held.name,
                "use": held.use,
                "subject": title_of(held.facts),
                "serial": held.facts.serial,
            }
        ): round(held.facts.not_after - now, 3)
        for held in certificates
    }
    for labels, seconds in left.items():
        family.add(labels, seconds)
    return family
