"""The quick form of the soak (`make soak`): reloads and upgrades lose nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.contender import raise_file_limit
from benchmarks.soak import binding, draining, failing, keeping, upgrading
from benchmarks.soak.line import Line
from benchmarks.soak.report import one_line
from benchmarks.soak.setting import Setting
from benchmarks.soak.size import QUICK


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: those of unix sockets have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="pyproxy-soak-") as name:
        yield Path(name)


def prove(scenario: Callable[[Setting], list[Line]], folder: Path) -> None:
    raise_file_limit()
    lines = scenario(Setting(QUICK, folder, print))
    failed = ["\n".join((one_line(line), *line.notes)) for line in lines if not line.ok]
    assert not failed, "\n".join(failed)


def test_upgrades_lose_no_new_connection_and_no_counter(folder: Path) -> None:
    prove(upgrading.upgrades, folder)


def test_reloads_and_upgrades_lose_no_request_of_keep_alive_clients(folder: Path) -> None:
    prove(keeping.posts, folder)


def test_the_old_program_serves_on_whatever_is_wrong_with_the_new_one(folder: Path) -> None:
    prove(failing.bad_programs, folder)


def test_listening_sockets_are_the_same_after_upgrades(folder: Path) -> None:
    prove(binding.listeners, folder)


def test_reloads_and_upgrades_lose_no_request_over_tls(folder: Path) -> None:
    prove(draining.secure, folder)
