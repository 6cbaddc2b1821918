"""Texts with {variables} in the options of filters (csrc/proxy/filter_text.h)."""

from __future__ import annotations

from pyproxy.config import patterns
from pyproxy.config.decode import nearest
from pyproxy.config.faults import Report
from pyproxy.config.section import Section

MOST_PARTS = 32

# The names of csrc/base/variable.h; those that end in "." go on with a name of the request's.
VARIABLES = (
    *("host", "authority", "path", "query", "method", "scheme", "protocol"),
    *("client.address", "client.port", "server.address", "server.port"),
    *("tls.version", "tls.cipher", "tls.sni", "tls.alpn", "tls.client"),
    *("listener", "route", "upstream", "request.id", "time"),
    *("header.", "query.", "cookie.", "param."),
)


def is_variable(name: str) -> bool:
    """Is there something of that name?"""
    if name in VARIABLES:
        return not name.endswith(".")
    family, dot, rest = name.partition(".")
    return bool(rest) and family + dot in VARIABLES


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
        if not is_variable(name):
            cure = nearest(name, VARIABLES)
            report.add(section, keys, f'there is no variable "{name}"', cure, path=path)
    if 2 * len(names) + 1 > MOST_PARTS:
        report.add(
            section, keys, f"more than {MOST_PARTS // 2 - 1} variables in one text", path=path
        )
