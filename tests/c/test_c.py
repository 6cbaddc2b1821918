"""Build and run the white-box C tests: every ``tests/c/<folder>/test_<file>.c`` is one case.

A test includes the source under test; the rest of the core comes from an archive, of which the
linker takes what the test still needs. Comments at its top say what else there is to know:

* ``// libs: pthread``: system libraries besides those of the core;
* ``// variant: release -UPP_DEBUG``: a second program of the same file, with these flags besides,
  and a case of its own.

Everything is compiled with AddressSanitizer and UndefinedBehaviorSanitizer. Objects, archives and
programs are kept under ``build/c-tests`` by a hash of all that went into them, so an unchanged test
is only run, and parallel runs do not disturb each other.

``CC`` chooses the compiler.
"""

import fcntl
import functools
import hashlib
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
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
# The one source in C++ (base/regex.cc).
CXXFLAGS = (
    "-std=gnu++17 -O1 -g -fno-omit-frame-pointer -Wall -Wextra -Werror -fvisibility=hidden"
    " -D_GNU_SOURCE -DPP_DEBUG -DPP_TEST -fsanitize=address,undefined -fno-sanitize-recover=all"
).split()
# What the core itself is linked with.
CORE_LIBS = ("nghttp2", "re2", "stdc++", "z", "brotlienc", "brotlidec", "zstd")
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


def programs() -> list[Program]:
    """Every test file as it is, and each of its variants."""
    found = []
    for source in SOURCES:
        found.append(Program(source, "", ()))
        for line in re.findall(r"^//\s*variant:(.*)$", source.read_text(), re.MULTILINE):
            name, *flags = line.split()
            found.append(Program(source, name, tuple(flags)))
    return found


def run_compiler(command: list[str]) -> None:
    """Run a command of the build; what it says is shown when it fails."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BUILD_SECONDS)
    if done.returncode != 0:
        pytest.fail(f"{shlex.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)


def digest_of(flags: list[str], paths: list[Path]) -> str:
    """A name for what the compiler makes of these files with these flags."""
    digest = hashlib.sha256(headers_digest() + compiler_version())
    digest.update(shlex.join([*compiler(), *flags]).encode())
    for path in paths:
        digest.update(str(path).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def replace_stale(fresh: Path, final: Path, stem: str) -> None:
    """Put what was built in its place, and remove what it replaces."""
    for stale in CACHE.glob(f"{stem}.*"):
        if stale != final:
            stale.unlink(missing_ok=True)
    os.replace(fresh, final)


@contextmanager
def building_alone(what: str) -> Iterator[None]:
    """Several test processes want the same archive at the start: one builds it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / f".{what}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build_object(source: Path, stem: str, flags: list[str]) -> Path:
    """Compile one source of the core, or find it compiled."""
    compile_with = [*compiler(), *flags]
    if source.suffix == ".cc":
        compile_with = [*shlex.split(os.environ.get("CXX", "g++")), *CXXFLAGS]
    made = CACHE / f"{stem}.{digest_of(compile_with, [source])}.o"
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".") as scratch:
            fresh = Path(scratch) / made.name
            run_compiler([*compile_with, f"-I{CSRC}", "-c", "-o", str(fresh), str(source)])
            replace_stale(fresh, made, stem)
    return made


@functools.cache
def build_core(folder: str, variant: str = "", more_flags: tuple[str, ...] = ()) -> Path:
    """The archive for tests of <folder>: of all of csrc/, or of base, which uses nothing else. A
    test defines what it includes itself, so that the linker never takes the same from here."""
    sources = sorted(CSRC.glob("base/*.c*" if folder == "base" else "*/*.c*"))
    flags = [*CFLAGS, *more_flags]
    stem = "-".join(filter(None, ("base" if folder == "base" else "core", variant)))
    archive = CACHE / f"{stem}.{digest_of(flags, sources)}.a"
    with building_alone(stem):
        if archive.exists():
            return archive
        prefix = "-".join(filter(None, ("object", variant)))
        names = {path: "-".join((prefix, *path.relative_to(CSRC).parts)) for path in sources}
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            objects = list(pool.map(lambda path: build_object(path, names[path], flags), sources))
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".") as scratch:
            fresh = Path(scratch) / archive.name
            run_compiler(["ar", "rcs", str(fresh), *map(str, objects)])
            replace_stale(fresh, archive, stem)
    return archive


def build(source: Path, variant: str = "", more_flags: tuple[str, ...] = ()) -> Path:
    """Compile one test program, or find it built; the linker's and compiler's words are shown.

    ``variant`` is a part of the program's name, ``more_flags`` stand behind the usual ones.
    """
    text = source.read_text()
    core = build_core(source.parent.name, variant, more_flags)
    libs = [f"-l{name}" for name in [*listed(text, "libs"), *CORE_LIBS]]
    flags = [*CFLAGS, *more_flags]
    parts = [source, core, *(CSRC / name for name in included_sources(text))]
    stem = "-".join(filter(None, (source.parent.name, source.stem, variant)))
    program = CACHE / f"{stem}.{digest_of([*flags, *libs], parts)}"
    if not program.exists():
        with tempfile.TemporaryDirectory(dir=CACHE, prefix=".") as scratch:
            fresh = Path(scratch) / program.name
            command = [*compiler(), *flags, f"-I{CSRC}", f"-I{TESTS}", "-o", str(fresh)]
            run_compiler([*command, str(source), str(core), "-Wl,--as-needed", *libs])
            replace_stale(fresh, program, stem)
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
