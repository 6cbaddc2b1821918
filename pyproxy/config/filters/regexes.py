"""Regular expressions in the options of filters (csrc/proxy/filter_patterns.h)."""

from __future__ import annotations

from collections.abc import Sequence

from pyproxy._wire import WireError
from pyproxy._wire import check_regex as groups_of
from pyproxy.config.faults import Report
from pyproxy.config.section import Section

_CURE = "see github.com/google/re2/wiki/Syntax; back-references and look-around do not exist"


def check_regexes(section: Section, key: str, path: str, report: Report) -> None:
    """Is every item of a list an expression?"""
    for i, text in enumerate(getattr(section, key)):
        check_regex(section, (key, i), text, path, report)


def check_regex(
    section: Section,
    keys: str | tuple[str | int, ...],
    text: str,
    path: str,
    report: Report,
    names: Sequence[str] = (),
) -> list[str]:
    """Note what is wrong with one expression. Those of <names> that are groups of it."""
    if not text:
        report.add(section, keys, "an empty expression matches everything", path=path)
        return []
    try:
        return groups_of(text, names)
    except WireError as error:
        report.add(section, keys, str(error), _CURE, path=path)
        return list(names)
