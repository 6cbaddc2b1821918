"""The overview for people: one small page without scripts."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pyproxy._version import __version__

_LINKS = (
    "/metrics",
    "/ready",
    "/healthz",
    "/listeners",
    "/certificates",
    "/upstreams",
    "/config/summary",
)

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
body { color: #1c2733; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0 }
th, td { border-bottom: 1px solid #dde3e9; overflow-wrap: anywhere }
th { font-weight: 600; color: #5a6875 }
.ok { color: #17803d } .bad { color: #b42318 }
@media (prefers-color-scheme: dark) {
  body { color: #d8e0e8; background: #12171d } a { color: #7ab7ff }
  th, td { border-color: #2c3742 } th { color: #93a1ae }
  .ok { color: #5fce85 } .bad { color: #ff8a7d }
}
"""

Row = Sequence[object]


def render(
    not_ready: Sequence[str],
    summary: Mapping[str, Any],
    listeners: Iterable[Mapping[str, Any]],
    workers: Iterable[Mapping[str, Any]],
    groups: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> str:
    """The page: <not_ready> are the reasons, <summary> is that of `/config/summary`.

    <groups> is that of `/upstreams`.
    """
    verdict = '<p class="ok">ready</p>'
    if not_ready:
        verdict = f'<p class="bad">not ready: {html.escape("; ".join(not_ready))}</p>'
    links = " · ".join(f'<a href="{path}">{path}</a>' for path in _LINKS)
    tables = [
        _table("Listeners", ("name", "address"), [(row["name"], row["url"]) for row in listeners]),
        _table(
            "Routes",
            ("name", "hosts", "paths", "methods", "filters", "action"),
            [_route_row(row, summary["filters"]) for row in summary["routes"]],
        ),
        _table(
            "Upstreams",
            ("name", "balance", "endpoints", "in progress", "waiting", "breaker"),
            [
                (
                    name,
                    row["balance"],
                    ", ".join(e["address"] for e in row["endpoints"]),
                    *_pressure(groups.get(name, {})),
                )
                for name, row in summary["upstreams"].items()
            ],
        ),
        _table(
            "Workers",
            ("slot", "pid", "state", "restarts"),
            [(w["slot"], w["pid"] or "", w["state"], w["restarts"]) for w in workers],
        ),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>pyproxy</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>'
        f"<body><h1>pyproxy {__version__}</h1>{verdict}<p>{links}</p>"
        f"{''.join(tables)}</body></html>\n"
    )


def _pressure(row: Mapping[str, Any]) -> Row:
    """Of an upstream without limits or without a breaker there is less to say."""
    breaker = row.get("breaker")
    reason = f" ({breaker['reason']})" if breaker and breaker["reason"] else ""
    return (
        row.get("active", ""),
        row.get("queued", ""),
        f"{breaker['state'].replace('_', ' ')}{reason}" if breaker else "",
    )


def _route_row(row: Mapping[str, Any], common_filters: Sequence[str]) -> Row:
    return (
        row["name"],
        ", ".join(row["hosts"]) or "any",
        ", ".join(row["paths"]),
        ", ".join(row["methods"]) or "any",
        ", ".join([*common_filters, *row["filters"]]),
        row["action"],
    )


def _table(title: str, heads: Sequence[str], rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<h2>{title}</h2><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
