"""Regular expressions in the options of filters (csrc/proxy/filter_patterns.h)."""

from __future__ import annotations

from pyproxy.config.faults import Report
from pyproxy.config.section import Section

LONGEST = 4096


def check_regexes(section: Section, key: str, path: str, report: Report) -> None:
    """Is every item of a list an expression, as far as can be told without the data plane?"""
    for i, text in enumerate(getattr(section, key)):
        check_regex(section, (key, i), text, path, report)


def check_regex(
    section: Section, keys: str | tuple[str | int, ...], text: str, path: str, report: Report
) -> None:
    """Note what is wrong with one expression; the data plane refuses what is left."""
    if len(text.encode()) > LONGEST:
        message = f"a regular expression of more than {LONGEST} bytes"
        report.add(section, keys, message, "write several", path=path)
    elif not text:
        report.add(section, keys, "an empty expression matches everything", path=path)
