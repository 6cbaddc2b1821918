"""The file that tells other programs the supervisor's process id."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pyproxy.errors import StartError


def write(path: Path) -> None:
    """Put this process's id there in one step: a reader sees a whole number or no file.

    Raises `StartError`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(f"{os.getpid()}\n")
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StartError(f"pid_file {path}: {error.strerror}") from error


def remove(path: Path) -> None:
    """Remove the file if it still holds this process's id; a successor's stays."""
    with contextlib.suppress(OSError):
        if path.read_text().strip() == str(os.getpid()):
            path.unlink()
