"""Diagnostics."""

import io
import json
import logging
import os

import pytest

from pyproxy import log


@pytest.fixture
def stream():
    yield io.StringIO()
    logger = log.get()
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.NOTSET)


def test_a_line_has_time_level_process_and_part(stream):
    log.configure("info", "text", stream)
    log.get("worker").warning("slow %s", "disk")
    time, rest = stream.getvalue().split(" ", 1)
    assert time.endswith("Z")
    assert len(time) == 24
    assert rest == f"warning [{os.getpid()}] worker: slow disk\n"


def test_json_has_one_object_a_line_tracebacks_included(stream):
    log.configure("info", "json", stream)
    try:
        raise KeyError("x")
    except KeyError:
        log.get("filters").exception("a filter\nfailed")
    (line,) = stream.getvalue().splitlines()
    row = json.loads(line)
    assert (row["level"], row["logger"], row["message"]) == (
        "error",
        "pyproxy.filters",
        "a filter\nfailed",
    )
    assert "KeyError: 'x'" in row["exception"]


def test_the_level_decides_and_a_second_call_replaces_the_first(stream):
    log.configure("error", "text", stream)
    log.get("x").warning("hidden")
    log.configure("warning", "text", stream)
    log.get("x").warning("shown")
    assert [line.split(": ")[1] for line in stream.getvalue().splitlines()] == ["shown"]


def test_an_unknown_level_is_an_error():
    with pytest.raises(KeyError):
        log.configure("loud")
