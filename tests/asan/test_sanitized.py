"""The Python suites once more, over extensions built with sanitizers and with assertions on.

Each suite is a pytest run of its own: the sanitizers' runtimes must be loaded before Python.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A hang must end the run, not stall it; far above what any machine needs.
SUITE_SECONDS = 1500
# Real processes run sanitized in conform; the whole of e2e takes three minutes more, and some of
# it measures memory, which means little here: PYPROXY_ASAN_SUITES="e2e" tox -e asan runs it.
SUITES = [
    name
    for name in os.environ.get("PYPROXY_ASAN_SUITES", "unit prop conform fault regress").split()
    if list((ROOT / "tests" / name).rglob("test_*.py"))
]


@cache
def sanitized_package() -> Path:
    """Build the package with sanitizers; returns the folder to import it from."""
    place = ROOT / "build" / "sanitize"
    command = [sys.executable, "setup.py", "-q", "build", "--build-base", str(place)]
    command += ["--build-lib", str(place / "lib")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYPROXY_SANITIZE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "lib"


def runtime(name: str) -> str:
    """The path of one of the compiler's runtime libraries."""
    command = [*os.environ.get("CC", "cc").split(), f"-print-file-name={name}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def sanitizer_environment(reports: Path) -> dict[str, str]:
    """The environment in which Python loads the sanitized package; <reports> begins file names."""
    outer = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")}
    return {
        **outer,
        "PYTHONPATH": str(sanitized_package()),
        "PYTHONSAFEPATH": "1",
        "PYTHONMALLOC": "malloc",  # so that a use after free of a Python object shows
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libubsan.so')}",
        # CPython itself leaves much behind at exit; leaks of the core are found by tests/c.
        "ASAN_OPTIONS": f"detect_leaks=0:allocator_may_return_null=1:log_path={reports}",
        "UBSAN_OPTIONS": f"print_stacktrace=1:halt_on_error=1:log_path={reports}",
        "PYPROXY_SANITIZED": "1",
    }


def test_the_sanitized_extensions_are_the_ones_that_run(tmp_path: Path) -> None:
    code = "import pyproxy._wire as w; print(w.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=sanitizer_environment(tmp_path / "report"),
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith(str(sanitized_package())), done.stdout + done.stderr
    symbols = subprocess.run(
        ["nm", "-D", "--undefined-only", done.stdout.strip()], capture_output=True, text=True
    )
    assert "__asan_init" in symbols.stdout


def test_the_main_suites_are_among_them() -> None:
    named = os.environ.get("PYPROXY_ASAN_SUITES")
    assert {"unit", "prop", "conform"} <= set(SUITES) or named


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name leaves room for names of unix sockets, 107 bytes in all."""
    with tempfile.TemporaryDirectory(prefix="pp-") as place:
        yield Path(place)


@pytest.mark.parametrize("suite", SUITES)
def test_suite_under_sanitizers(suite: str, short_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", str(ROOT / "tests" / suite)]
    # Descriptors stay as they are, so that the sanitizers' reports are seen.
    command += ["--capture=sys", "-p", "no:cacheprovider", "--basetemp", str(short_path / "t")]
    # No thread per test: a test that forks while another thread ends copies the sanitizer's
    # allocator with a lock held, and its child waits for ever.
    command += ["-o", "timeout_method=signal"]
    # Its own process group: when time is up, the servers that its tests started end with it.
    run = subprocess.Popen(
        command,
        cwd=ROOT,
        env=sanitizer_environment(short_path / "report"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = run.communicate(timeout=SUITE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        output, _ = run.communicate()
        output += f"\nno end after {SUITE_SECONDS} s"
    # A process that a test started may have reported and died unnoticed.
    reports = [path.read_text(encoding="utf-8") for path in short_path.glob("report.*")]
    assert not reports, "\n".join(reports)[-10000:] + output[-5000:]
    assert run.returncode == 0, output[-20000:]
