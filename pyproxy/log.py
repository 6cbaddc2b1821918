"""Diagnostics: what the proxy says about itself on standard error.

(The access log is the engine's.)
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import TextIO

LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


def get(name: str = "") -> logging.Logger:
    """The logger of a part of the proxy: `get("worker")` is `pyproxy.worker`."""
    return logging.getLogger(f"pyproxy.{name}" if name else "pyproxy")


def configure(level: str = "info", style: str = "text", stream: TextIO | None = None) -> None:
    """Send the proxy's diagnostics to `stream` (standard error when None).

    A second call replaces the first.

    `level` and `style` are the words of the configuration file; KeyError for another level. Only
    the `pyproxy` logger is touched: what the filters of a user log is theirs to arrange.
    """
    logger = get()
    logger.setLevel(LEVELS[level])
    logger.propagate = False
    for old in list(logger.handlers):
        logger.removeHandler(old)
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Text())
    logger.addHandler(handler)


def _clock(record: logging.LogRecord) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.msecs):03d}Z"


class _Text(logging.Formatter):
    """`time level [pid] part: message`; a traceback follows on its own lines."""

    def format(self, record: logging.LogRecord) -> str:
        part = record.name.removeprefix("pyproxy.")
        level = record.levelname.lower()
        line = f"{_clock(record)} {level} [{os.getpid()}] {part}: {record.getMessage()}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class _Json(logging.Formatter):
    """One JSON object a line, the traceback inside it."""

    def format(self, record: logging.LogRecord) -> str:
        row = {
            "time": _clock(record),
            "level": record.levelname.lower(),
            "pid": os.getpid(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        return json.dumps(row, ensure_ascii=False)
