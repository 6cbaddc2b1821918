"""A result as tables, for a terminal and as Markdown. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.goals import Result, Verdict, judge, number
from benchmarks.stats import Spread

LABELS = {
    "relay": "bare relay",
    "pyproxy": "pyproxy",
    "nginx": "nginx",
    "haproxy": "HAProxy",
    "envoy": "Envoy",
    "pingora": "Pingora",
    "h2o": "h2o",
}
MIB = 1 << 20
SHARES = {
    "resumed_share": "sessions that were resumed",
    "late_share": "requests that the late endpoint answered",
}


def width(text: str) -> int:
    """Columns that a text takes on a terminal."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, markdown: bool = False) -> str:
    """A table with the first column left and the others right; ends without a newline."""
    cells = [list(head), *(list(r) for r in rows)]
    if markdown:
        cells = [[c.replace("|", "\\|") for c in row] for row in cells]
    wide = [max(width(row[i]) for row in cells) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        padded = [
            c + " " * (w - width(c)) if i == 0 else " " * (w - width(c)) + c
            for i, (c, w) in enumerate(zip(row, wide, strict=True))
        ]
        return "| " + " | ".join(padded) + " |" if markdown else "  ".join(padded).rstrip()

    if markdown:
        rule = [("-" * w if i == 0 else "-" * (w - 1) + ":") for i, w in enumerate(wide)]
        bar = "| " + " | ".join(rule) + " |"
    else:
        bar = "  ".join("─" * w for w in wide)
    return "\n".join([line(cells[0]), bar, *(line(r) for r in cells[1:])])


def spread(fields: Mapping[str, float] | None) -> str:
    """Median with low and high, as short as they are honest."""
    if fields is None:
        return "–"
    s = Spread.from_json(fields)
    if s.low == s.high:
        return number(s.median)
    return f"{number(s.median)} ({number(s.low)} – {number(s.high)})"


def label(slot: str) -> str:
    """A slot for people: contender names as their makers write them."""
    name, _, rest = slot.partition(" ")
    return " ".join(filter(None, [LABELS.get(name, name), rest]))


def middle(figures: Mapping[str, Any], key: str) -> str:
    found = figures.get(key)
    return number(found["median"]) if found else "–"


def scenario_table(part: Mapping[str, Any], *, markdown: bool) -> str:
    """One load scenario."""
    unit = part.get("unit", "request")
    head = ["", f"CPU µs/{unit}", "user", "system", f"{unit}s/s", "CPU busy", "p50 µs", "p99 µs",
            "p99.9 µs", "failed", "pyproxy ÷ this"]  # fmt: skip
    rows = []
    for slot in part["slots"]:
        f = part["figures"].get(slot)
        if not f:
            continue
        ratios = part["ratios"].get(slot, {})
        busy = f"{f['busy']['median'] * 100:.0f} %"
        rows.append([
            label(slot), spread(f.get("cpu_us")), middle(f, "user_us"), middle(f, "system_us"),
            middle(f, "rps"), busy, middle(f, "p50_us"), middle(f, "p99_us"),
            middle(f, "p999_us"), middle(f, "failed"), spread(ratios.get("cpu_us")),
        ])  # fmt: skip
    lines = [table(head, rows, markdown=markdown)] if rows else ["nothing was measured"]
    notes = [f"{label(s)} is left out: {why}" for s, why in part.get("left_out", {}).items()]
    if part.get("rate"):
        rate = f"open loop, {part['rate']:,.0f} requests/s for everybody"
        notes.append(f"{rate}; latency counts from when a request was due")
    for key, what in SHARES.items():
        shares = {label(s): f.get(key) for s, f in part["figures"].items()}
        if any(share and share["median"] for share in shares.values()):
            words = (f"{name} {s['median'] * 100:.1f} %" for name, s in shares.items() if s)
            notes.append(f"{what}: {', '.join(words)}")
    if "cpu_us" in part.get("noise", {}):
        apart = part["noise"]["cpu_us"] * 100
        notes.append(f"A/A noise (pyproxy against itself, worst round): {apart:.1f} %")
    return "\n\n".join([*lines, *notes]) if markdown else "\n".join([*lines, *notes])


def singles_tables(singles: Mapping[str, Any], *, markdown: bool) -> list[tuple[str, str]]:
    """Memory, cold start, streaming and killed workers, each as (title, table)."""
    found = []
    if memory := singles.get("memory"):
        rows = [
            [label(name), f"{f['start_bytes'] / MIB:.1f}", f"{f['tree_bytes'] / MIB:.1f}",
             f"{f['idle_connection_bytes']:,.0f}"]
            for name, f in memory["figures"].items()
        ]  # fmt: skip
        head = ["", "serving process after start, MiB", "all processes, 5,000 idle, MiB",
                "bytes an idle connection"]  # fmt: skip
        found.append(("memory (PSS)", table(head, rows, markdown=markdown)))
    if cold := singles.get("cold-start"):
        rows = [[label(name), spread(f["ms"])] for name, f in cold["figures"].items()]
        found.append(
            ("cold start: exec to the first 200", table(["", "ms"], rows, markdown=markdown))
        )
    if stream := singles.get("streaming"):
        rows = [
            [label(name), f"{f['base_bytes'] / MIB:.1f}", f"{f['growth_bytes'] / MIB:.2f}"]
            for name, f in stream["figures"].items()
        ]
        head = ["", "base, MiB", "peak over base, MiB"]
        found.append(("1 GiB to a slow reader (RSS)", table(head, rows, markdown=markdown)))
    if kill := singles.get("kill"):
        rows = [
            [mode, *(f"{f[k]:,}" for k in ("killed", "requests", "in_hand", "lost", "refused",
                                           "other_errors"))]
            for mode, f in kill["figures"].items()
        ]  # fmt: skip
        head = [
            "",
            "workers killed",
            "requests",
            "in their hands",
            "lost",
            "refused",
            "other errors",
        ]
        found.append((kill["title"], table(head, rows, markdown=markdown)))
    return [(title, text + left_out_note(singles, title)) for title, text in found]


def left_out_note(singles: Mapping[str, Any], title: str) -> str:
    """Who is missing from a table of `singles_tables`, and why."""
    words = {"memory": "memory", "cold": "cold-start", "1 GiB": "streaming"}
    for beginning, part in words.items():
        if title.startswith(beginning):
            gone = singles.get(part, {}).get("left_out", {})
            return "".join(f"\n\n{label(name)} is left out: {why}" for name, why in gone.items())
    return ""


def verdict_table(verdicts: Sequence[Verdict], *, markdown: bool) -> str:
    """The goals."""
    rows = [
        [v.text, v.wanted, (spread(v.got.as_json()) + v.unit) if v.got else "–", v.word]
        for v in verdicts
    ]
    return table(["figure", "goal", "got", "verdict"], rows, markdown=markdown)


def preface(result: Result) -> list[str]:
    """Where and when, in a few lines."""
    machine = result.get("machine", {})
    settings = result.get("settings", {})
    versions = ", ".join(f"{LABELS.get(n, n)} {v}" for n, v in result.get("versions", {}).items())
    dirty = " with local changes" if result.get("dirty") else ""
    virtual = " (virtual)" if machine.get("virtual") else ""
    load = f"load average before: {result.get('load_average', 0):.2f}"
    lines = [
        f"{result.get('date')}, commit {result.get('commit')}{dirty}",
        f"{machine.get('cpu')}, {machine.get('cpus')} CPUs{virtual}",
        f"{machine.get('system')}, kernel {machine.get('kernel')}",
        f"{settings.get('rounds')} interleaved rounds of {settings.get('seconds')} s; {load}",
        f"measured: {versions}",
    ]
    lines += [f"missing: {LABELS.get(n, n)}: {why}" for n, why in result.get("missing", {}).items()]
    return lines


def render(result: Result, *, markdown: bool) -> str:
    """The whole report."""
    sections: list[tuple[str, str]] = []
    for name, part in result.get("scenarios", {}).items():
        sections.append((f"{part['title']} [{name}]", scenario_table(part, markdown=markdown)))
    sections += singles_tables(result.get("singles", {}), markdown=markdown)
    if micros := result.get("micros"):
        rows = [[name, spread(f)] for name, f in micros.items() if "_" not in name]
        sections.append(("micro-benchmarks", table(["", "median"], rows, markdown=markdown)))
    verdicts = judge(result)
    sections.append(("goals", verdict_table(verdicts, markdown=markdown)))
    if failures := result.get("failures"):
        text = "\n".join(
            f"{'- ' if markdown else ''}{name}: {why}" for name, why in failures.items()
        )
        sections.append(("could not be measured", text))
    if markdown:
        top = "# Benchmark of pyproxy\n\n" + "\n".join(f"- {line}" for line in preface(result))
        body = [f"## {title}\n\n{text}" for title, text in sections]
    else:
        top = "\n".join(preface(result))
        body = [f"{title}\n{text}" for title, text in sections]
    return "\n\n".join([top, *body]) + "\n"
