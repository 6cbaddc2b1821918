"""Texts with {variables} in the options of filters (csrc/proxy/filter_text.h)."""

from __future__ import annotations

from pyproxy._wire import check_variable, variable_rows
from pyproxy.config import patterns
from pyproxy.config.decode import nearest
from pyproxy.config.faults import Report
from pyproxy.config.section import Section

MOST_PARTS = 32


def check_text(
    section: Section, keys: str | tuple[str | int, ...], text: str, path: str, report: Report
) -> None:
    """Are the braces of a text balanced, and the variables in it known and not too many?"""
    try:
        names = patterns.placeholders(text)
    except ValueError as error:
        report.refuse(section, keys, error, path=path)
        return
    for name in names:
        try:
            check_variable(name)
        except ValueError:
            known = [row for row, _ in variable_rows()]
            message = f'there is no variable "{name}"'
            report.add(section, keys, message, nearest(name, known), path=path)
    if 2 * len(names) + 1 > MOST_PARTS:
        report.add(
            section, keys, f"more than {MOST_PARTS // 2 - 1} variables in one text", path=path
        )
