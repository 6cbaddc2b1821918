"""What every scenario starts from: a folder, an origin, a service, clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import tools
from benchmarks.contender import free_ports
from benchmarks.soak.service import Service
from benchmarks.soak.size import Size


@dataclass(frozen=True, slots=True)
class Setting:
    """One scenario's surroundings."""

    size: Size
    folder: Path
    say: Callable[[str], None]

    def step(self, done: int, whole: int, what: str) -> None:
        """Progress, a few times in a scenario."""
        if done == whole or done % max(whole // 5, 1) == 0:
            self.say(f"  {done} of {whole} {what}")

    @contextmanager
    def origin(self) -> Iterator[int]:
        """The origin in C; its port."""
        (port,) = free_ports(1)
        running = tools.start_origin(port, self.folder / "origin", pinned=False)
        try:
            yield port
        finally:
            running.stop()

    def service(self, config: Mapping[str, Any]) -> Service:
        """A started service; its files are in this folder."""
        return Service(self.folder, config)


def proxying(origin: int, workers: int, **more: Any) -> dict[str, Any]:
    """A configuration that sends everything to the origin."""
    return {
        "workers": workers,
        "drain": {"timeout": "60s", "tunnels": "60s"},
        "listeners": {"web": {"bind": "127.0.0.1:0"}},
        "upstreams": {"app": {"endpoints": [f"127.0.0.1:{origin}"]}},
        "routes": [{"upstream": "app"}],
        **more,
    }
