"""Starting and stopping what is measured, with small servers in place of proxies."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import echo
from benchmarks.contender import Contender, Setup, free_ports, route_paths
from benchmarks.errors import Unavailable

SERVER = """
import subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
HTTPServer(("127.0.0.1", int(sys.argv[1])), BaseHTTPRequestHandler).serve_forever()
"""


class Stand(Contender):
    """Runs a Python program in place of a proxy."""

    name = "stand"
    label = "stand-in"

    def __init__(self, program: str) -> None:
        self.program = program

    def install(self) -> None:
        pass

    def version(self) -> str:
        return "1"

    def command(self, setup: Setup) -> Sequence[str]:
        return [sys.executable, "-c", self.program, str(setup.port)]


def setup(folder: Path, flavour: str = "plain") -> Setup:
    (port,) = free_ports(1)
    return Setup(folder / "stand", port, 1, flavour)


def test_a_started_proxy_is_its_whole_tree_and_stop_ends_it(tmp_path: Path) -> None:
    running = Stand(SERVER).start(setup(tmp_path), cpus=str(min(os.sched_getaffinity(0))))
    try:
        pids = running.pids()
        assert pids[0] == running.process.pid
        assert len(pids) == 2
    finally:
        running.stop()
    assert running.process.poll() is not None


def test_a_proxy_that_ends_at_once_is_unavailable_with_its_last_words(tmp_path: Path) -> None:
    cpu = str(min(os.sched_getaffinity(0)))
    with pytest.raises(Unavailable, match="no such directive"):
        Stand("import sys; sys.exit('no such directive')").start(setup(tmp_path), cpus=cpu)


def test_a_flavour_that_a_proxy_lacks_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="stand-in has no 'filter' setting"):
        Stand(SERVER).start(setup(tmp_path, "filter"))


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20


def test_route_paths_are_distinct_and_none_is_a_prefix_segment_of_another() -> None:
    paths = route_paths(10_000)
    assert len(set(paths)) == 10_000
    known = set(paths)
    assert not any(path.rpartition("/")[0] in known for path in paths)


def test_fields_that_do_not_reach_the_origin_are_told() -> None:
    echo.require({"x-bench-user": "ada"}, ["X-Bench-User: ada"])
    with pytest.raises(Unavailable, match="sends its origin no 'x-a: b'"):
        echo.require({"x-a": "c"}, ["x-a: b"])
