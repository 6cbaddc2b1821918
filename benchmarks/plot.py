"""CPU per request of every contender in every scenario, as an SVG made by hand. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from benchmarks.goals import Result, number
from benchmarks.report import label

WIDE = 860
LEFT = 200
RIGHT = 150
BAR = 16
GAP = 5
TITLE = 44
COLOURS = {
    "relay": "#9aa5b1",
    "pyproxy": "#2f6fde",
    "nginx": "#3a9d5d",
    "haproxy": "#d98324",
    "envoy": "#a55bc4",
    "pingora": "#c9485b",
    "h2o": "#2a9aa8",
}
STYLE = """
  text { font-family: system-ui, sans-serif; font-size: 12px; fill: #1f2933; }
  .title { font-size: 13px; font-weight: 600; }
  .quiet { fill: #5f6c7b; }
  .whisker { stroke: #1f2933; stroke-width: 1; }
  @media (prefers-color-scheme: dark) {
    .page { fill: #12161c; } text { fill: #e4e7eb; } .quiet { fill: #9aa5b1; }
    .whisker { stroke: #e4e7eb; }
  }
"""


def colour(slot: str) -> str:
    return COLOURS.get(slot.partition(" ")[0], "#7b8794")


def bar(y: float, long: float, fill: str) -> str:
    return f'<rect x="{LEFT}" y="{y:.1f}" width="{long:.1f}" height="{BAR}" fill="{fill}"/>'


def bars(part: Mapping[str, Any], top: float) -> tuple[list[str], float]:
    """The bars of one scenario from `top` down; returns them and where they end."""
    rows = [
        (slot, part["figures"][slot])
        for slot in part["slots"]
        if "cpu_us" in part["figures"].get(slot, {})
    ]
    found = []
    most = max((f["cpu_us"]["high"] for _, f in rows), default=1.0) or 1.0
    scale = (WIDE - LEFT - RIGHT) / most
    y = top
    for slot, f in rows:
        cpu = f["cpu_us"]
        long = cpu["median"] * scale
        user = min(long, f.get("user_us", {"median": 0.0})["median"] * scale)
        middle = y + BAR / 2
        text = middle + 4
        low, high = (LEFT + cpu[end] * scale for end in ("low", "high"))
        across = f'x1="{low:.1f}" x2="{high:.1f}"'
        rate = f'<tspan class="quiet">{number(f["rps"]["median"])}/s</tspan>'
        fill = colour(slot)
        found += [
            f'<text x="{LEFT - 8}" y="{text:.1f}" text-anchor="end">{escape(label(slot))}</text>',
            bar(y, long, f'{fill}" fill-opacity="0.55'),
            bar(y, user, fill),
            f'<line class="whisker" {across} y1="{middle:.1f}" y2="{middle:.1f}"/>',
            f'<text x="{high + 6:.1f}" y="{text:.1f}">{number(cpu["median"])} {rate}</text>',
        ]
        y += BAR + GAP
    return found, y


def draw(result: Result) -> str:
    """The picture of one result."""
    y = 58.0
    body: list[str] = []
    for part in result.get("scenarios", {}).values():
        unit = part.get("unit", "request")
        title = part["title"] if unit == "request" else f"{part['title']} (per {unit})"
        body.append(f'<text class="title" x="16" y="{y + 18:.1f}">{escape(title)}</text>')
        drawn, y = bars(part, y + TITLE - 16)
        body += drawn
        y += 12
    machine = result.get("machine", {})
    facts = (machine.get("cpu"), machine.get("kernel"), result.get("date"))
    where = ", ".join(fact for fact in facts if fact)
    size = f'width="{WIDE}" height="{y + 8:.0f}"'
    view = f'viewBox="0 0 {WIDE} {y + 8:.0f}" role="img"'
    legend = "dark: user, light: system; line: lowest to highest round"
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view}>',
        f"<title>CPU time per request</title><style>{STYLE}</style>",
        f'<rect class="page" {size} fill="#ffffff"/>',
        f'<text class="title" x="16" y="24">CPU µs per request of the proxy ({legend})</text>',
        f'<text class="quiet" x="16" y="44">{escape(where)}</text>',
    ]
    return "\n".join([*head, *body, "</svg>", ""])
