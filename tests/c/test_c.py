"""Build and run the white-box C tests: every ``tests/c/<folder>/test_<file>.c`` is one case.

A test includes the source under test and says in comments at its top what else it needs:

* ``// links: base/mem.c base/span.c``: other sources to link, paths below ``csrc/``, or ``*`` for
  all that it does not include;
* ``// libs: z pthread``: system libraries;
* ``// variant: release -UPP_DEBUG``: a second program of the same file, with these flags besides,
  and a case of its own.

Everything is compiled with AddressSanitizer and UndefinedBehaviorSanitizer. Programs are kept under
``build/c-tests`` by a hash of all that went into them, so an unchanged test is only run, and
parallel runs do not disturb each other.

``CC`` chooses the compiler.
"""

import functools
import hashlib
import os
import re
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent.parent
CSRC = ROOT / "csrc"
CACHE = ROOT / "build" / "c-tests"

CFLAGS = (
    "-std=gnu11 -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Wshadow -Wno-unused-parameter"
    " -Wpointer-arith -Wstrict-prototypes -Werror -fvisibility=hidden -D_GNU_SOURCE -DPP_DEBUG"
    " -DPP_TEST -fsanitize=address,undefined -fno-sanitize-recover=all"
).split()
BUILD_SECONDS = 300
RUN_SECONDS = 300

SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}

SOURCES = sorted(TESTS.glob("*/test_*.c"))


@dataclass(frozen=True)
class Program:
    """One program to build: a test file, and the name and flags of its variant, if it is one."""

    source: Path
    variant: str
    flags: tuple[str, ...]

    def __str__(self) -> str:
        stem = self.source.stem.removeprefix("test_")
        return f"{self.source.parent.name}/{stem}" + (f"-{self.variant}" if self.variant else "")


def compiler() -> list[str]:
    """The compiler command, from ``CC`` or gcc."""
    return shlex.split(os.environ.get("CC", "gcc"))


@functools.cache
def compiler_version() -> bytes:
    """What the compiler says about itself; a new compiler makes old programs stale."""
    return subprocess.run(
        [*compiler(), "--version"], check=True, capture_output=True, timeout=60
    ).stdout


@functools.cache
def headers_digest() -> bytes:
    """A hash over everything a test may include: headers of csrc/ and of tests/c/."""
    digest = hashlib.sha256()
    for path in sorted([*CSRC.rglob("*.h"), *TESTS.rglob("*.h")]):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.digest()


def listed(text: str, word: str) -> list[str]:
    """The items of the ``// <word>: a b c`` comment lines of a C file."""
    lines = re.findall(rf"^//\s*{word}:(.*)$", text, re.MULTILINE)
    return [item for line in lines for item in line.split()]


def included_sources(text: str) -> list[str]:
    """The ``.c`` files of csrc/ that a test includes."""
    return re.findall(r'^#include "([^"]+\.c)"', text, re.MULTILINE)


def linked_sources(text: str) -> list[str]:
    """The ``.c`` files of csrc/ that a test links."""
    names = listed(text, "links")
    if names != ["*"]:
        return names
    every = sorted(str(path.relative_to(CSRC)) for path in CSRC.rglob("*.c"))
    return [name for name in every if name not in included_sources(text)]


def programs() -> list[Program]:
    """Every test file as it is, and each of its variants."""
    found = []
    for source in SOURCES:
        found.append(Program(source, "", ()))
        for line in re.findall(r"^//\s*variant:(.*)$", source.read_text(), re.MULTILINE):
            name, *flags = line.split()
            found.append(Program(source, name, tuple(flags)))
    return found


def build(source: Path, variant: str = "", more_flags: tuple[str, ...] = ()) -> Path:
    """Compile one test program, or find it built; the linker's and compiler's words are shown.

    ``variant`` is a part of the program's name, ``more_flags`` stand behind the usual ones.
    """
    text = source.read_text()
    links = [CSRC / name for name in linked_sources(text)]
    libs = [f"-l{name}" for name in listed(text, "libs")]
    flags = [*CFLAGS, *more_flags]
    digest = hashlib.sha256(headers_digest() + compiler_version())
    digest.update(shlex.join([*compiler(), *flags, *libs]).encode())
    for path in [source, *links, *(CSRC / name for name in included_sources(text))]:
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    stem = "-".join(filter(None, (source.parent.name, source.stem, variant)))
    program = CACHE / f"{stem}.{digest.hexdigest()[:16]}"
    if program.exists():
        return program

    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".") as scratch:
        fresh = Path(scratch) / program.name
        command = [*compiler(), *flags, f"-I{CSRC}", f"-I{TESTS}", "-o", str(fresh), str(source)]
        command += [*map(str, links), *libs]
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_SECONDS
        )
        if done.returncode != 0:
            pytest.fail(f"{shlex.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)
        for stale in CACHE.glob(f"{stem}.*"):
            if stale != program:
                stale.unlink(missing_ok=True)
        os.replace(fresh, program)
    return program


def test_c_tests_were_found() -> None:
    """An empty list would make this file pass without testing anything."""
    assert SOURCES


@pytest.mark.parametrize("wanted", programs(), ids=str)
def test_c(wanted: Program) -> None:
    program = build(wanted.source, wanted.variant, wanted.flags)
    env = {**os.environ, **SANITIZER_ENV}
    try:
        done = subprocess.run(
            [str(program)],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            timeout=RUN_SECONDS,
        )
    except subprocess.TimeoutExpired as late:
        shown = (late.stdout or b"").decode(errors="backslashreplace")
        pytest.fail(f"{program} still runs after {RUN_SECONDS} s\n{shown}", pytrace=False)
    if done.returncode != 0:
        pytest.fail(f"{program} ended with {done.returncode}\n{done.stdout}", pytrace=False)
    print(done.stdout, end="")
