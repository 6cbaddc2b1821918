"""What sources of endpoints say, as metric families."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .metrics import Family, labels_text

# Key of a row, and its family: name, type, help.
_FAMILIES = (
    ("found", "discovery_endpoints", "gauge", "Endpoints that the source has told last."),
    ("lookups", "discovery_lookups_total", "counter", "Answers of the source."),
    ("changes", "discovery_changes_total", "counter", "Answers unlike the one before."),
    ("failures", "discovery_failures_total", "counter", "Times that nothing could be found out."),
    (
        "last_lookup",
        "discovery_last_lookup_timestamp_seconds",
        "gauge",
        "When the source has answered last.",
    ),
)


def families(rows: Mapping[str, Mapping[str, Any]]) -> list[Family]:
    """One sample for each upstream that has a source."""
    found = []
    for key, name, kind, text in _FAMILIES:
        family = Family(name, kind, text)
        for upstream, row in rows.items():
            family.add(labels_text({"upstream": upstream}), row[key] or 0)
        found.append(family)
    return found
