"""Rules about overload."""

from __future__ import annotations

from pyproxy.config.decode import nearest
from pyproxy.config.faults import Report
from pyproxy.config.model import Config, route_name

_LOOKED_AT = ("memory", "loop_lag")


def check_overload(config: Config, report: Report) -> None:
    """Something must be looked at, and routes that are exempt must be there."""
    overload = config.overload
    if overload is None:
        return
    if not any(getattr(overload, key) or report.written(overload, key) for key in _LOOKED_AT):
        cure = 'add "memory: {}", "loop_lag: {}" or both'
        report.add(overload, "", "nothing is looked at", cure, path="overload")
    names = {route_name(config, i) for i in range(len(config.routes))}
    for i, name in enumerate(overload.exempt):
        if name in names:
            continue
        message = f'there is no route "{name}"'
        report.add(overload, ("exempt", i), message, nearest(name, names), path="overload")
