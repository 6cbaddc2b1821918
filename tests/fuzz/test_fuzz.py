"""Every fuzz target: its corpus replayed, then a short run of libFuzzer from there.

A target ``fuzz_<name>.c`` names the sources and libraries it links and its dictionary in comments
at its top (``// links:``, ``// libs:``, ``// dict:``).
``corpus/<name>`` holds inputs that reach different code; files are named by their content. What a
short run finds is not kept. To look for longer, and then to keep what adds coverage and nothing
else:

    python tests/fuzz/test_fuzz.py NAME [SECONDS]

``PYPROXY_FUZZ_RUNS`` sets the number of inputs of a short run, ``PYPROXY_FUZZ_CC`` the compiler,
which must be a clang.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

FUZZ = Path(__file__).resolve().parent
ROOT = FUZZ.parents[1]
CSRC = ROOT / "csrc"
CACHE = ROOT / "build" / "fuzz"

CLANG = shlex.split(os.environ.get("PYPROXY_FUZZ_CC", "clang"))
RUNS = int(os.environ.get("PYPROXY_FUZZ_RUNS", "20000"))
CFLAGS = (
    "-std=gnu11 -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Werror -Wno-unused-parameter"
    " -D_GNU_SOURCE -DPP_DEBUG -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all"
).split()
TARGETS = sorted(path.stem.removeprefix("fuzz_") for path in FUZZ.glob("fuzz_*.c"))


def listed(name: str, word: str) -> list[str]:
    """The items of the ``// <word>: a b c`` lines of a target."""
    lines = (FUZZ / f"fuzz_{name}.c").read_text().splitlines()
    return [
        item
        for line in lines
        if line.startswith(f"// {word}:")
        for item in line.removeprefix(f"// {word}:").split()
    ]


def build(name: str) -> Path:
    """The program of a target, compiled when anything it is made of has changed."""
    sources = [FUZZ / f"fuzz_{name}.c", *(CSRC / link for link in listed(name, "links"))]
    command = [*CLANG, *CFLAGS, f"-I{CSRC}", f"-I{FUZZ}"]
    libs = [f"-l{library}" for library in listed(name, "libs")]
    digest = hashlib.sha256(shlex.join([*command, *libs]).encode())
    for path in [*sources, FUZZ / "fuzz.h", *sorted(CSRC.rglob("*.h"))]:
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    program = CACHE / f"{name}-{digest.hexdigest()[:16]}"
    if program.exists():
        return program
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".") as scratch:
        fresh = Path(scratch) / name
        done = subprocess.run(
            [*command, "-o", str(fresh), *map(str, sources), *libs],
            capture_output=True,
            text=True,
            timeout=600,
        )
        if done.returncode != 0:
            pytest.fail(f"{shlex.join(command)}\n{done.stderr}", pytrace=False)
        for stale in CACHE.glob(f"{name}-{'?' * 16}"):
            stale.unlink(missing_ok=True)
        os.replace(fresh, program)
    return program


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a target; inputs that break it are written to ``build/fuzz``."""
    command = [str(build(name)), "-timeout=10", f"-artifact_prefix={CACHE}/{name}-", *arguments]
    dictionary = [f"-dict={FUZZ / item}" for item in listed(name, "dict")]
    return subprocess.run(
        [*command[:1], *dictionary, *command[1:]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        timeout=900,
    )


def corpus(name: str) -> Path:
    """The kept inputs of a target."""
    return FUZZ / "corpus" / name


@pytest.mark.parametrize("name", TARGETS)
def test_corpus(name: str) -> None:
    files = sorted(map(str, corpus(name).iterdir()))
    assert files, "a corpus makes short runs worth something"
    done = run(name, *files)
    assert done.returncode == 0, done.stdout[-8000:]


@pytest.mark.parametrize("name", TARGETS)
def test_short_run(name: str, tmp_path: Path) -> None:
    done = run(name, f"-runs={RUNS}", "-max_len=4096", "-seed=1", str(tmp_path), str(corpus(name)))
    assert done.returncode == 0, done.stdout[-8000:]


def search(name: str, seconds: int) -> None:
    """Fuzz for longer, then keep the fewest of the old and new inputs with the same coverage."""
    with tempfile.TemporaryDirectory() as found, tempfile.TemporaryDirectory() as merged:
        corpus(name).mkdir(parents=True, exist_ok=True)
        done = run(name, f"-max_total_time={seconds}", "-max_len=512", found, str(corpus(name)))
        if done.returncode != 0:
            sys.exit(done.stdout)
        done = run(name, "-set_cover_merge=1", "-use_counters=0", merged, str(corpus(name)), found)
        if done.returncode != 0:
            sys.exit(done.stdout)
        for old in corpus(name).iterdir():
            old.unlink()
        for kept in Path(merged).iterdir():
            (corpus(name) / kept.name).write_bytes(kept.read_bytes())
    print(f"{name}: {len(list(corpus(name).iterdir()))} inputs")


if __name__ == "__main__":
    search(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60)
