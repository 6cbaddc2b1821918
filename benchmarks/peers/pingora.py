"""Pingora: a small load balancer of our own on its crates (peers/pingora). One worker thread."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks import install
from benchmarks.contender import Contender, Setup
from benchmarks.errors import Unavailable
from benchmarks.machine import BUILD

SOURCE = Path(__file__).resolve().parent / "pingora"
BUILT = BUILD / "pingora"
PROGRAM = BUILT / "release" / "bench-pingora"


class Pingora(Contender):
    name = "pingora"
    label = "Pingora"
    flavours = frozenset({"plain", "log"})

    def install(self) -> None:
        sources = [*SOURCE.glob("Cargo.*"), *SOURCE.glob("src/*.rs")]
        newest = max(p.stat().st_mtime for p in sources)
        if PROGRAM.exists() and PROGRAM.stat().st_mtime >= newest:
            return
        cargo = shutil.which("cargo")
        if cargo is None:
            raise Unavailable("cargo is not installed, so its load balancer cannot be built")
        command = (cargo, "build", "--release", "--locked", "--target-dir", str(BUILT))
        install.run(command, "cargo cannot build the load balancer", cwd=SOURCE)
        PROGRAM.touch()

    def version(self) -> str:
        lock = (SOURCE / "Cargo.lock").read_text()
        found = re.search(r'name = "pingora-proxy"\nversion = "([^"]+)"', lock)
        return found[1] if found else ""

    def command(self, setup: Setup) -> Sequence[str]:
        command = [str(PROGRAM), f"127.0.0.1:{setup.port}", f"127.0.0.1:{setup.origin}"]
        if setup.flavour == "log":
            command.append(str(setup.folder / "access.log"))
        return command
