"""What a service says about itself: when it begins to serve, and when it is asked."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from pyproxy import log
from pyproxy._version import __version__

if TYPE_CHECKING:
    from .service import Service
    from .tree import Tree


def announce(service: Service) -> None:
    """Say where the service is to be found: to people, or as log lines where those are wanted."""
    rows = [bound for bound in service.table.bound if not bound.retiring]
    width = max((len(bound.point.listener) for bound in rows), default=0)
    noun = "worker" if service.slots == 1 else "workers"
    lines = [
        f"listening  {b.point.listener:<{width}}  {service.url(b)}  ({service.slots} {noun})"
        for b in rows
    ]
    if service.demo:
        lines.append(f"demo       {'':<{width}}  {service.url(service.demo)}  (built-in origin)")
    if service.admin:
        lines.append(f"admin      {'':<{width}}  {service.url(service.admin)}")
    lines.append(f"ready in {max(time.time() - service.start_time, 0.0) * 1000:.0f} ms")
    if service.config.log.format == "json":
        for line in lines:
            log.get("supervisor").info(" ".join(line.split()))
    else:
        print("\n".join(lines), file=sys.stderr, flush=True)


def describe(service: Service, tree: Tree, phase: str) -> dict[str, Any]:
    """The generation as one object."""
    return {
        "phase": phase,
        "pid": os.getpid(),
        "version": __version__,
        "generation": service.generation,
        "revision": service.revision,
        "source": service.source,
        "started": service.start_time,
        "workers": [
            {
                "slot": child.slot,
                "pid": child.pid,
                "state": child.state.value,
                "restarts": child.restarts,
                **child.progress,
            }
            for child in tree.children
            if child.slot >= 0
        ],
    }
