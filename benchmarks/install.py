"""Getting the peers onto this machine through the ordinary package clients. Idempotent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import Unavailable

_state = {"lists_updated": False}


def run(command: Sequence[str], what: str, cwd: Path | None = None) -> None:
    """Run an install step quietly. Unavailable(what, end of its output) when it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=cwd,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            check=False,
        )
    except OSError as exc:
        raise Unavailable(f"{what}: {exc}") from exc
    if done.returncode != 0:
        lines = done.stdout.strip().splitlines()[-3:]
        raise Unavailable(f"{what}: {' | '.join(lines)[:400]}")


def packages(*names: str, commands: Sequence[str] = ()) -> None:
    """Install Debian packages unless they are there. Unavailable without apt or root rights.

    `commands` are paths that suffice as proof on systems without dpkg.
    """
    if all(installed(name) for name in names):
        return
    apt = shutil.which("apt-get")
    if apt is None:
        if commands and all(os.access(c, os.X_OK) for c in commands):
            return
        raise Unavailable(f"{', '.join(names)}: not installed, and there is no apt-get here")
    prefix: list[str] = []
    if os.geteuid() != 0:
        sudo = shutil.which("sudo")
        if sudo is None:
            raise Unavailable(f"{', '.join(names)}: not installed; apt-get needs root or sudo")
        prefix = [sudo, "-n", "DEBIAN_FRONTEND=noninteractive"]
    if not _state["lists_updated"]:
        run([*prefix, apt, "update", "-q"], "apt-get update failed")
        _state["lists_updated"] = True
    # The services that packages start by themselves would be strangers on the machine: a benchmark
    # starts its own instances. RUNLEVEL=1 makes invoke-rc.d leave them alone.
    quiet = [*prefix, "env", "RUNLEVEL=1", apt, "install", "-y", "-q", "--no-install-recommends"]
    run([*quiet, *names], f"apt-get cannot install {', '.join(names)}")


def installed(name: str) -> bool:
    """Whether dpkg knows the package as installed."""
    try:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Status}", name],
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return False
    return done.stdout.strip() == "install ok installed"


def venv(folder: Path, *requirements: str) -> Path:
    """A virtual environment that holds `requirements`; returns its Python."""
    python = folder / "bin" / "python"
    stamp = folder / "requirements.txt"
    wanted = "\n".join(requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    run([sys.executable, "-m", "venv", str(folder)], "no virtual environment can be made")
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    run([*pip, *requirements], f"pip cannot install {', '.join(requirements)}")
    stamp.write_text(wanted)
    return python


def build_c(
    source: Path, program: Path, *, flags: Sequence[str] = (), libraries: Sequence[str] = ()
) -> Path:
    """Compile one C program when its source, or a header beside that, is newer than it.

    Unavailable without a compiler.
    """
    if not source.exists():
        raise Unavailable(f"{source.name} is missing")
    newest = max(path.stat().st_mtime for path in (source, *source.parent.glob("*.h")))
    if program.exists() and program.stat().st_mtime >= newest:
        return program
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise Unavailable("there is no C compiler")
    program.parent.mkdir(parents=True, exist_ok=True)
    command = [
        compiler,
        "-std=gnu11",
        "-O2",
        "-g",
        "-Wall",
        *flags,
        "-o",
        str(program),
        str(source),
        *libraries,
    ]
    run(command, f"{source.name} does not compile")
    return program
