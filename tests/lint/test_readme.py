"""The examples of the pages work: files are written, served by a real proxy,
and commands run.

Markers in HTML comments say what a code block is for:
  file: NAME        the block is the content of that file
  before CONFIG     bash runs the block before that is served
  run with CONFIG   bash runs the block while `pyproxy run -c CONFIG` serves; all lines must succeed
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from lint.scan import ROOT

PAGES = ("README.md", "docs/tls.md", "docs/first-filter.md")
BLOCK = re.compile(r"<!-- (file:|before|run with) (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
START_SECONDS = 60


@dataclass(frozen=True)
class Block:
    """One marked code block."""

    page: str
    kind: str
    name: str
    text: str


def blocks() -> list[Block]:
    """The marked code blocks of all pages."""
    return [
        Block(page, kind, name, text)
        for page in PAGES
        for kind, name, text in BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    ]


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def served(config: Path) -> Iterator[None]:
    """Run the proxy with a configuration until the block ends; its log is shown when it fails."""
    program = Path(sys.executable).with_name("pyproxy")
    log = config.with_suffix(".log")
    with log.open("wb") as sink:
        proxy = subprocess.Popen(
            [str(program), "run", "-c", str(config)],
            cwd=config.parent,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        wait_until_it_listens(proxy, config, log)
        yield
    finally:
        if proxy.poll() is None:
            proxy.send_signal(signal.SIGINT)
        try:
            proxy.wait(30)
        except subprocess.TimeoutExpired:
            proxy.kill()
            proxy.wait()


def wait_until_it_listens(proxy: subprocess.Popen[bytes], config: Path, log: Path) -> None:
    """Return once the configuration's first port accepts; fail when the proxy ends before."""
    found = re.search(r"127\.0\.0\.1:(\d+)", config.read_text(encoding="utf-8"))
    assert found, f"{config} listens nowhere"
    for _ in range(START_SECONDS * 20):
        assert proxy.poll() is None, log.read_text(encoding="utf-8")
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", int(found.group(1)))) == 0:
                return
        time.sleep(0.05)
    pytest.fail(f"not listening after {START_SECONDS} s:\n{log.read_text(encoding='utf-8')}")


def with_own_ports(text: str, ports: dict[str, int]) -> str:
    """<text> with each 127.0.0.1:PORT of the README replaced by a free one, the same everywhere."""

    def replace(found: re.Match[str]) -> str:
        port = found.group(1)
        if port not in ports:
            ports[port] = free_port()
        return f"127.0.0.1:{ports[port]}"

    return re.sub(r"(?:127\.0\.0\.1|0\.0\.0\.0|localhost):(\d{4})\b", replace, text)


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Have bash run <script>, with the pyproxy under test in front of others."""
    here = str(Path(sys.executable).parent)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{here}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


RUNS = [block for block in blocks() if block.kind == "run with"]


@pytest.mark.parametrize("block", RUNS, ids=lambda block: block.name)
def test_examples_of_the_pages_work(block: Block, tmp_path: Path) -> None:
    ports: dict[str, int] = {}
    for file in blocks():
        if file.page == block.page and file.kind == "file:":
            (tmp_path / file.name).write_text(with_own_ports(file.text, ports), encoding="utf-8")
    config = tmp_path / Path(block.name).name
    if not config.exists():
        text = (ROOT / block.name).read_text(encoding="utf-8")
        config.write_text(with_own_ports(text, ports), encoding="utf-8")
    for first in blocks():
        if (first.page, first.kind, first.name) == (block.page, "before", block.name):
            done = run(first.text, tmp_path)
            assert done.returncode == 0, f"{first.text}\n{done.stdout}{done.stderr}"
    script = with_own_ports(block.text, ports)
    with served(config):
        done = run(script, tmp_path)
    log = config.with_suffix(".log").read_text(encoding="utf-8")
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}\n{log}"


@pytest.mark.parametrize(
    ("page", "least"), [("README.md", 2), ("docs/tls.md", 1), ("docs/first-filter.md", 1)]
)
def test_every_page_has_examples_that_run(page: str, least: int) -> None:
    assert len([block for block in RUNS if block.page == page]) >= least
