"""Build the three extensions of pyproxy; everything else about the package is in pyproject.toml.

``_counters`` links the lowest C folder, ``_wire`` the pure ones and the system's libre2, and
``_engine`` all of them and libnghttp2. Each C source (and base/regex.cc, the one in C++) becomes
one object under ``build/obj/<variant>/``, shared by the extensions and compiled again only when it,
a header it includes, or the command line has changed. Setuptools alone would compile everything
again at every change, and once for each extension.

Environment:
  PYPROXY_DEBUG=1      -O1 and PP_DEBUG: the C assertions abort.
  PYPROXY_SANITIZE=1   the same under AddressSanitizer and UndefinedBehaviorSanitizer.
  PYPROXY_JOBS=N       compilers to run at once (default: the CPUs this process may use).
  CC, CXX, CFLAGS, LDFLAGS  as usual; the flags are appended to ours.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from setuptools import Command, Extension, setup
from setuptools.command.build_ext import build_ext

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parent
PURE = ("base", "wire", "route")
ALL = (*PURE, "io", "proxy", "worker")

# Extension name -> the csrc folders it links.
EXTENSIONS = {"_counters": ("base",), "_wire": PURE, "_engine": ALL}
# The HTTP/2 codec is pure, but it needs a library that no process without connections should load.
LEFT_OUT = {"_counters": ("base/regex",), "_wire": ("wire/http2_codec", "wire/compress")}
CODINGS = ["z", "brotlienc", "brotlidec", "zstd"]
LIBRARIES = {"_wire": ["re2", "stdc++"], "_engine": [*CODINGS, "nghttp2", "re2", "stdc++"]}

BASE_FLAGS = [
    *("-std=gnu11", "-D_GNU_SOURCE", "-g", "-fPIC", "-fvisibility=hidden", "-fno-plt", "-pthread"),
]
CXX_FLAGS = ["-std=gnu++17", "-fno-lto", "-Wall", "-Wextra"]  # after the others
WARNINGS = [
    *("-Wall", "-Wextra", "-Wshadow", "-Wpointer-arith", "-Wstrict-prototypes"),
    *("-Wno-unused-parameter", "-Wvla"),
]
SANITIZERS = "-fsanitize=address,undefined"


@dataclass(frozen=True)
class Variant:
    """One way to compile: its name is the folder of its objects."""

    name: str
    compile_flags: list[str]
    link_flags: list[str] = field(default_factory=list)


def chosen_variant() -> Variant:
    """The variant that the environment asks for."""
    if os.environ.get("PYPROXY_SANITIZE") == "1":
        flags = ["-O1", "-DPP_DEBUG", "-fno-omit-frame-pointer", SANITIZERS]
        flags.append("-fno-sanitize-recover=all")
        return Variant("sanitize", flags, [SANITIZERS])
    if os.environ.get("PYPROXY_DEBUG") == "1":
        return Variant("debug", ["-O1", "-DPP_DEBUG"])
    # Across files: the layers are many small functions, and a seventh of a request's
    # instructions goes when the compiler sees through them. nm (tests/lint) needs fat objects.
    lto = ["-O3", "-flto", "-ffat-lto-objects"] if is_gcc() else ["-O3"]
    return Variant("release", lto, [*lto, "-flto=auto"] if is_gcc() else [])


def compiler() -> list[str]:
    """The C compiler: CC, else the system's."""
    return shlex.split(os.environ.get("CC", "cc"))


def cxx_compiler() -> list[str]:
    """The C++ compiler: CXX, else the system's."""
    return shlex.split(os.environ.get("CXX", "c++"))


def is_gcc() -> bool:
    """Is the compiler GCC (clang and others have link-time optimisation of another kind)?"""
    said = subprocess.run([*compiler(), "--version"], capture_output=True, text=True, check=False)
    return "Free Software Foundation" in said.stdout


def extra_flags(name: str) -> list[str]:
    """What the environment variable <name> adds to the command line."""
    return shlex.split(os.environ.get(name, ""))


@dataclass(frozen=True)
class Step:
    """A command that makes <output> from <inputs> and from what its depfile names."""

    output: Path
    command: list[str]
    inputs: list[Path]

    @property
    def record(self) -> Path:
        """Where the command that made the output is remembered."""
        mangled = hashlib.sha256(str(self.output).encode()).hexdigest()[:16]
        return ROOT / "build" / "commands" / mangled

    def is_current(self) -> bool:
        """True when running the command would change nothing."""
        try:
            made = self.output.stat().st_mtime_ns
            if self.record.read_text(encoding="utf-8") != shlex.join(self.command):
                return False
            deps = [*self.inputs, *depfile_inputs(self.output.with_suffix(".d"))]
            return all(dep.stat().st_mtime_ns <= made for dep in deps)
        except FileNotFoundError:
            return False

    def run(self) -> None:
        """Run the command; CalledProcessError when it fails."""
        self.output.parent.mkdir(parents=True, exist_ok=True)
        self.record.parent.mkdir(parents=True, exist_ok=True)
        # Forgotten first, so that an interrupted command is run again.
        self.record.unlink(missing_ok=True)
        subprocess.run(self.command, cwd=ROOT, check=True)
        self.record.write_text(shlex.join(self.command), encoding="utf-8")


def depfile_inputs(path: Path) -> list[Path]:
    """The prerequisites in the depfile that the compiler wrote beside an object."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    names = text.replace("\\\n", " ").partition(":")[2]
    return [ROOT / name for name in shlex.split(names)]


def run_steps(steps: Iterable[Step], verb: str) -> None:
    """Run those steps that are not current, several at once; all errors of this round are shown."""
    stale = [step for step in steps if not step.is_current()]
    if not stale:
        return
    print(f"{verb} {len(stale)}: {', '.join(step.output.stem for step in stale)}", flush=True)
    jobs = int(os.environ.get("PYPROXY_JOBS") or len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(jobs) as pool:
        results = [(step, pool.submit(step.run)) for step in stale]
    failed = [step.output.name for step, result in results if result.exception()]
    if failed:
        sys.exit(f"{verb} failed: {', '.join(failed)}")


@contextmanager
def build_lock() -> Iterator[None]:
    """Hold the build folder: tests that run at the same time may all want it up to date."""
    path = ROOT / "build" / "lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def object_step(source: Path, variant: Variant, flags: list[str], folder: Path) -> Step:
    """The step that compiles <source> (relative to the root) into <folder>."""
    output = folder / source.with_suffix(".o").name
    is_cxx = source.suffix == ".cc"
    command = [
        *(cxx_compiler() if is_cxx else compiler()),
        *(flag for flag in BASE_FLAGS if not (is_cxx and flag.startswith("-std="))),
        *variant.compile_flags,
        *(CXX_FLAGS if is_cxx else flags),
        *extra_flags("CFLAGS"),
        *("-Icsrc", "-MMD", "-MF", str(output.with_suffix(".d"))),
        *("-c", str(source), "-o", str(output)),
    ]
    return Step(ROOT / output, command, [ROOT / source])


def need_header(name: str, package: str, language: str = "c") -> None:
    """End with a message that helps, unless the compiler finds the header <name>."""
    chosen = compiler() if language == "c" else cxx_compiler()
    command = [*chosen, *extra_flags("CFLAGS"), "-E", "-x", language, "-o", os.devnull, "-"]
    source = f"#include <{name}>\n"
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(
            f"pyproxy needs the header {name}, which is not installed.\n"
            f"It is in the package {package} (Debian, Ubuntu): apt-get install {package}\n"
            "When it is in a place of its own, say so in CFLAGS=-I... and LDFLAGS=-L..."
        )


def core_steps(
    variant: Variant, folders: Iterable[str], left_out: tuple[str, ...] = ()
) -> list[Step]:
    """The steps for every C source of the given csrc folders, but for those <left_out>."""
    steps = []
    for folder in folders:
        for source in sorted((ROOT / "csrc" / folder).glob("*.c*")):
            if f"{folder}/{source.stem}".startswith(left_out or ("/",)):
                continue
            where = Path("build", "obj", variant.name, folder)
            steps.append(object_step(source.relative_to(ROOT), variant, WARNINGS, where))
    return steps


class BuildExtensions(build_ext):
    """build_ext with incremental, parallel compilation of the C core."""

    def run(self) -> None:
        """Translate, compile and link all extensions."""
        with build_lock():
            self.build_all()

    def build_all(self) -> None:
        """The work of run(), with the build folder to itself."""
        # Imported here because `setup.py --version` and the sdist need no Cython.
        from Cython.Build import cythonize

        variant = chosen_variant()
        need_header("nghttp2/nghttp2.h", "libnghttp2-dev")
        need_header("zlib.h", "zlib1g-dev")
        need_header("brotli/encode.h", "libbrotli-dev")
        need_header("zstd.h", "libzstd-dev")
        need_header("re2/re2.h", "libre2-dev", "c++")
        cythonize(
            [Extension(ext.name, ext.sources) for ext in self.extensions],
            build_dir="build/cython",
            include_path=["."],
            language_level=3,
            quiet=True,
        )
        # One extension after the other: a mistake in proxy/ does not keep _wire from being built.
        for ext in self.extensions:
            generated = self.generated_step(ext, variant)
            name = ext.name.rpartition(".")[2]
            core = core_steps(variant, EXTENSIONS[name], LEFT_OUT.get(name, ()))
            run_steps([*core, generated], "compile")
            run_steps([self.link_step(ext, variant, [generated, *core])], "link")

    def generated_step(self, ext: Extension, variant: Variant) -> Step:
        """The step that compiles what Cython wrote; its object depends on the Python version."""
        source = Path("build", "cython", ext.sources[0]).with_suffix(".c")
        tag = sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag
        paths = sysconfig.get_paths()
        includes = {paths["include"], paths["platinclude"]}
        # Not across files: what Cython writes is large and would take most of the link's time.
        flags = ["-Wall", "-fno-lto", *(f"-I{path}" for path in sorted(includes))]
        return object_step(source, variant, flags, Path("build", "obj", variant.name, tag))

    def link_step(self, ext: Extension, variant: Variant, objects: list[Step]) -> Step:
        """The step that links one extension to where setuptools expects it."""
        output = Path(self.get_ext_fullpath(ext.name)).resolve()
        command = [
            *compiler(),
            *("-shared", "-pthread", "-Wl,-z,relro,-z,now", "-Wl,--no-undefined-version"),
            *(os.path.relpath(step.output, ROOT) for step in objects),
            *("-o", str(output)),
            *variant.link_flags,
            *extra_flags("LDFLAGS"),
            *ext.extra_link_args,
            *(f"-l{library}" for library in ext.libraries),
        ]
        return Step(output, command, [step.output for step in objects])


class BuildObjects(Command):
    """Compile the C core alone: `setup.py build_objects`; for the tests that read the objects."""

    user_options: list[tuple[str, str | None, str]] = []  # noqa: RUF012 - setuptools' own contract

    def initialize_options(self) -> None:
        """No options."""

    def finalize_options(self) -> None:
        """No options."""

    def run(self) -> None:
        """Bring the objects of the chosen variant up to date."""
        with build_lock():
            run_steps(core_steps(chosen_variant(), ALL), "compile")


def extensions() -> list[Extension]:
    """The extensions, with every C file of theirs for the sdist."""
    found = []
    for name, folders in EXTENSIONS.items():
        source = f"pyproxy/{name}.pyx"
        if (ROOT / source).exists():
            patterns = [f"csrc/{folder}/*.[ch]*" for folder in folders]
            depends = [str(path.relative_to(ROOT)) for p in patterns for path in ROOT.glob(p)]
            libraries = LIBRARIES.get(name, [])
            found.append(
                Extension(f"pyproxy.{name}", [source], depends=sorted(depends), libraries=libraries)
            )
    return found


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildExtensions, "build_objects": BuildObjects},
)
