"""(e) TCP tunnels that stay open over upgrades, with numbered bytes both ways."""

from __future__ import annotations

from benchmarks.soak import load
from benchmarks.soak.line import Line
from benchmarks.soak.setting import Setting


def tunnels(setting: Setting) -> list[Line]:
    """(e)"""
    size = setting.size
    with load.own("tunnels", tunnels=size.tunnels, pause=0.5) as clients:
        origin = clients.hear()["origin"]
        config = {
            "workers": size.workers,
            "drain": {"timeout": "60s", "tunnels": "60s"},
            "listeners": {"raw": {"bind": "127.0.0.1:0", "protocol": "tcp", "upstream": "app"}},
            "upstreams": {"app": {"endpoints": [f"127.0.0.1:{origin}"]}},
        }
        with setting.service(config) as service:
            clients.tell(port=service.port("raw"))
            clients.hear()
            for number in range(size.tunnel_upgrades):
                clients.alive_for(0.2)
                service.upgrade()
                setting.step(number + 1, size.tunnel_upgrades, "upgrades")
            service.settle(90.0)
            report = clients.end()
    facts = {
        "tunnels": size.tunnels,
        "upgrades": size.tunnel_upgrades,
        "MB": report["bytes"] / 1e6,
    }
    counts = {**report["counts"], **service.remains()}
    return [Line("e", "TCP tunnels over upgrades", counts, facts, tuple(report["notes"]))]
