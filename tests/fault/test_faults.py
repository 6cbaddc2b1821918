"""Whole workers under bad luck: failing allocations, aborts, resets, in programs of C.

They are built and run as the white-box tests are (``tests/c/test_c.py``), sanitizers included.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from c.test_c import RUN_SECONDS, SANITIZER_ENV, build

SEEDS = ("1", "2", "3")


def run(program: Path, **env: str) -> None:
    done = subprocess.run(
        [str(program)],
        env={**os.environ, **SANITIZER_ENV, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        timeout=RUN_SECONDS,
    )
    if done.returncode != 0:
        pytest.fail(f"{program} ended with {done.returncode}\n{done.stdout}", pytrace=False)


def test_a_worker_survives_every_failing_allocation() -> None:
    run(build(Path(__file__).with_name("allocation.c")))


def test_tunnels_and_datagrams_survive_every_failing_allocation() -> None:
    run(build(Path(__file__).with_name("layer4.c")))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_worker_survives_a_random_crowd(seed: str) -> None:
    run(build(Path(__file__).with_name("stress.c")), PP_STRESS_SEED=seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_worker_survives_http_2_clients(seed: str) -> None:
    run(build(Path(__file__).with_name("http2.c")), PP_STRESS_SEED=seed)


def test_tunnels_on_streams_survive_every_failing_allocation() -> None:
    run(build(Path(__file__).with_name("tunnel_http2.c")))
