"""Formatters, linter and type checker have nothing to say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from lint.scan import ROOT
from lint.tree import tracked_files


def run(*command: str) -> None:
    """Run a tool in the top folder; fail with what it printed."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, "\n" + done.stdout + done.stderr


def tool(name: str) -> str:
    """The program beside this interpreter."""
    return str(Path(sys.executable).with_name(name))


def test_c_is_formatted() -> None:
    sources = [str(p.relative_to(ROOT)) for p in tracked_files() if p.suffix in (".c", ".h")]
    run(tool("clang-format"), "--dry-run", "-Werror", *sources)


def test_python_is_formatted() -> None:
    run(tool("ruff"), "format", "--check", ".")


def test_python_is_clean() -> None:
    run(tool("ruff"), "check", ".")


def test_types_are_sound() -> None:
    run(sys.executable, "-m", "mypy", "--strict")
