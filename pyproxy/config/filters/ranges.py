"""Lists of networks in the options of filters (csrc/proxy/filter_ranges.h)."""

from __future__ import annotations

import contextlib

from pyproxy.config.faults import Report
from pyproxy.config.section import Section


def check_ranges(section: Section, key: str, path: str, report: Report) -> None:
    """Is every item of a list a network, or `unix`?"""
    import ipaddress  # slow, and few configurations need it

    for i, text in enumerate(getattr(section, key)):
        if text == "unix":
            continue
        try:
            ipaddress.ip_network(text)
        except ValueError:
            cure = 'write an address, a network such as 10.0.0.0/8, or "unix"'
            with contextlib.suppress(ValueError):
                cure = f"write {ipaddress.ip_network(text, strict=False)}"
            report.add(section, (key, i), f'"{text}" is not a network', cure, path=path)
