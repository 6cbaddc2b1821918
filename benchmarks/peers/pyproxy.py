"""pyproxy as a user runs it: `.venv/bin/pyproxy run -c FILE`, one worker.

All its processes count: supervisor, worker and control.
"""

from __future__ import annotations

import compileall
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.certificate import SUITE
from benchmarks.contender import GZIP_LEVEL, Contender, Setup, route_paths
from benchmarks.errors import Unavailable
from benchmarks.peers import native

PROGRAM = machine.ROOT / ".venv" / "bin" / "pyproxy"
QUICKSTART = machine.ROOT / "examples" / "quickstart.yaml"
QUICKSTART_WEB = "127.0.0.1:8080"
QUICKSTART_ADMIN = "127.0.0.1:9901"
FILTERS = Path(__file__).resolve().parent / "filters"


class Pyproxy(Contender):
    name = "pyproxy"
    label = "pyproxy"
    flavours = frozenset(
        {
            "plain",
            "log",
            "filter",
            "routes",
            "gzip",
            "tls",
            "h2c",
            "websocket",
            "tcp",
            "udp",
            "filters",
            "least",
            "static",
            "static-copied",
        }
    )

    def install(self) -> None:
        if not PROGRAM.exists():
            raise Unavailable(f"{PROGRAM.relative_to(machine.ROOT)} is missing: run `make build`")
        # As an installed package has it. Where PYTHONDONTWRITEBYTECODE is set, every start would
        # compile the modules that were edited since the last build.
        compileall.compile_dir(machine.ROOT / "pyproxy", quiet=1)

    def version(self) -> str:
        text = (machine.ROOT / "pyproxy" / "_version.py").read_text()
        found = re.search(r'__version__\s*(?::\s*\w+)?\s*=\s*"([^"]+)"', text)
        return found[1] if found else ""

    def environment(self, setup: Setup) -> Mapping[str, str]:
        if setup.flavour != "filter":
            return {}
        above = os.environ.get("PYTHONPATH", "")
        return {"PYTHONPATH": f"{FILTERS}:{above}" if above else str(FILTERS)}

    def cold_command(self, setup: Setup) -> Sequence[str]:
        text = QUICKSTART.read_text()
        for line in (QUICKSTART_WEB, QUICKSTART_ADMIN):
            if line not in text:
                raise Unavailable(f"{QUICKSTART.name} has no {line}")
        text = text.replace(QUICKSTART_WEB, f"127.0.0.1:{setup.port}")
        path = setup.write("quickstart.yaml", text.replace(QUICKSTART_ADMIN, "127.0.0.1:0"))
        return [str(PROGRAM), "run", "-c", str(path)]

    def command(self, setup: Setup) -> Sequence[str]:
        path = setup.write("pyproxy.yaml", json.dumps(configuration(setup), indent=1))
        return [str(PROGRAM), "run", "-c", str(path)]


def configuration(setup: Setup) -> dict[str, Any]:
    """The file, as the JSON that is also YAML. Limits that a benchmark would hit are lifted."""
    paths = route_paths(setup.routes) if setup.flavour == "routes" else ["/*"]
    config: dict[str, Any] = {
        "workers": setup.workers,
        "drain": "1s",
        "listeners": {
            "web": {
                "bind": f"127.0.0.1:{setup.port}",
                "timeouts": {"idle": "10m"},
            }
        },
        "upstreams": {
            "origin": {
                "endpoints": [f"127.0.0.1:{port}" for port in setup.endpoints],
                "pool": {"max_idle": 1024, "idle_timeout": "10m"},
            }
        },
        "routes": [
            {"match": {"path": path}, "upstream": "origin", "max_body": "unlimited"}
            for path in paths
        ],
    }
    if setup.flavour == "log":
        config["access_log"] = str(setup.folder / "access.log")
    listener = config["listeners"]["web"]
    if setup.pair is not None:
        listener["tls"] = {
            "cert": str(setup.pair.cert),
            "key": str(setup.pair.key),
            "ciphersuites": SUITE,
            "alpn": ["h2", "http/1.1"],
        }
    if setup.flavour == "h2c":
        config["upstreams"]["origin"]["protocol"] = "h2c"
    if setup.flavour == "least":
        config["upstreams"]["origin"]["balance"] = "least_request"
    if setup.flavour in ("tcp", "udp"):
        listener.update(protocol=setup.flavour, upstream="origin")
        del config["routes"]
    if setup.flavour == "udp":
        listener.update(udp={"responses": 1}, timeouts={"idle": "5s"})
    if setup.flavour == "filter":
        config["filters"] = [{"python": {"use": "bench_filters:Stamp"}}]
    if setup.flavour == "gzip":
        config["filters"] = [{"compression": {"codings": ["gzip"], "gzip": {"level": GZIP_LEVEL}}}]
    if setup.flavour in ("static", "static-copied"):
        config["routes"][0]["filters"] = [{"static": {"root": str(setup.static_files())}}]
    if setup.flavour == "filters":
        config["routes"][0]["filters"] = native.of_set(setup.set)
    return config
