"""What a result file says about where it was made."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "bench"
PROXY_CPU = 0
LOAD_CPU = 1


def output(*command: str) -> str:
    """Standard output (or error, where that is empty) of a command; "" when it cannot run."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=30, cwd=ROOT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip()


def field(path: str, name: str) -> str:
    """The first `name: value` or `name=value` of a file, or ""."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        for mark in (":", "="):
            key, found, value = line.partition(mark)
            if found and key.strip() == name:
                return value.strip().strip('"')
    return ""


def describe() -> dict[str, object]:
    """Machine, kernel and tools; plain values for the result file."""
    return {
        "cpu": field("/proc/cpuinfo", "model name"),
        "cpus": os.cpu_count() or 0,
        "usable_cpus": sorted(os.sched_getaffinity(0)),
        "virtual": "hypervisor" in field("/proc/cpuinfo", "flags").split(),
        "memory_mib": int(field("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "kernel": platform.release(),
        "system": field("/etc/os-release", "PRETTY_NAME"),
        "python": sys.version.split()[0],
        "compiler": output("cc", "--version").partition("\n")[0],
    }


def commit() -> dict[str, object]:
    """The commit that was measured, and whether the work tree differs from it."""
    return {
        "commit": output("git", "rev-parse", "--short=12", "--verify", "--quiet", "HEAD") or "none",
        "dirty": bool(output("git", "status", "--porcelain", "--untracked-files=no")),
    }


def now() -> str:
    """The date and time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def load_average() -> float:
    """How many tasks wanted a CPU during the last minute; near 0 on a quiet machine."""
    return os.getloadavg()[0]
