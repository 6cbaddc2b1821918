"""What the compiled objects say about purity and names."""

from __future__ import annotations

from lint.objects import Object, core_objects
from lint.scan import PURE, ROOT, report

# (object, symbol): the one writable word that pure code may have in a release build, and the
# compiler's own for exceptions.
WRITABLE = {("base/check.c", "report"), ("base/regex.cc", "DW.ref.__gxx_personality_v0")}

# Types that live in the file of another, because neither is of use alone: source -> further prefix.
SECOND_NOUNS = {"base/wheel.c": "timer"}

# What pure objects may need from the C library: functions of their arguments and nothing else.
PURE_NEEDS = {
    *("memchr", "memcmp", "memcpy", "memmem", "memmove", "memrchr", "memset", "strlen", "strcmp"),
    *("strncmp", "strchr", "strnlen", "snprintf", "vsnprintf", "__stack_chk_fail"),
    *("__memcpy_chk", "__memmove_chk", "__memset_chk", "__snprintf_chk", "__vsnprintf_chk"),
    *("_GLOBAL_OFFSET_TABLE_", "bcmp"),
}
EXTRA_NEEDS = {
    "base/mem.c": {"malloc", "calloc", "realloc", "free"},
    "base/check.c": {
        "abort",
        "stderr",
        "fprintf",
        "vfprintf",
        "fputs",
        "fputc",
        "fwrite",
        "fflush",
    },
}
# Libraries that do no input and output of their own: prefix of the source -> prefixes of their
# names. Of C++, what the compiler names.
PURE_LIBRARIES = {
    "wire/compress_brotli.c": ("Brotli",),
    "wire/compress_gzip.c": ("deflate", "inflate"),
    "wire/compress_zstd.c": ("ZSTD_",),
    "wire/http2_codec": ("nghttp2_",),
    "base/regex.cc": ("_Z", "__cxa_", "__gxx_", "_Unwind_"),
}

# System calls: outside io/ no object may need them.
SYSTEM_CALLS = {
    *("read", "write", "readv", "writev", "pread", "pwrite", "send", "recv", "sendto", "recvfrom"),
    *("sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "accept", "accept4", "close", "socket", "bind"),
    *("connect", "listen", "shutdown", "setsockopt", "getsockopt", "open", "open64", "openat"),
    *(
        "epoll_create1",
        "epoll_ctl",
        "epoll_wait",
        "epoll_pwait2",
        "poll",
        "select",
        "splice",
        "tee",
    ),
    *("pipe", "pipe2", "eventfd", "timerfd_create", "timerfd_settime", "mmap", "munmap", "fcntl"),
    *("clock_gettime", "gettimeofday", "time", "getaddrinfo", "fork", "execve", "system", "popen"),
    *("sleep", "usleep", "nanosleep", "pthread_create", "getrandom", "syscall", "ioctl", "dup"),
}
ALLOCATORS = {
    *("malloc", "calloc", "realloc", "reallocarray", "free", "strdup", "strndup", "asprintf"),
    *("posix_memalign", "aligned_alloc", "memalign", "vasprintf", "getline"),
}


def pure_objects() -> list[Object]:
    """The objects that both extensions link."""
    return [item for item in core_objects() if item.folder in PURE]


def test_objects_were_found() -> None:
    assert len(pure_objects()) > 10


def test_pure_objects_have_no_writable_storage() -> None:
    found = {
        (item.name, symbol.name)
        for item in pure_objects()
        for symbol in item.symbols
        if symbol.is_writable
    }
    problems = [f"csrc/{name}: writable storage '{word}'" for name, word in found - WRITABLE]
    problems += [f"csrc/{name}: '{word}' needs no exemption" for name, word in WRITABLE - found]
    report(sorted(problems))


def test_pure_objects_need_only_functions_of_their_arguments() -> None:
    defined = {s.name for item in pure_objects() for s in item.symbols if not s.is_undefined}
    problems = []
    for item in pure_objects():
        allowed = defined | PURE_NEEDS | EXTRA_NEEDS.get(item.name, set())
        libraries = tuple(
            name
            for source, names in PURE_LIBRARIES.items()
            if item.name.startswith(source)
            for name in names
        )
        problems += [
            f"csrc/{item.name}: pure code must not need '{symbol.name}'"
            for symbol in item.symbols
            if symbol.is_undefined and symbol.name not in allowed
            if not symbol.name.startswith(libraries or (" ",))
        ]
    report(problems)


def test_only_io_makes_system_calls() -> None:
    report(
        [
            f"csrc/{item.name}: '{symbol.name}' outside io/"
            for item in core_objects()
            for symbol in item.symbols
            if item.folder != "io" and symbol.is_undefined and symbol.name in SYSTEM_CALLS
        ]
    )


def test_only_mem_allocates() -> None:
    report(
        [
            f"csrc/{item.name}: '{symbol.name}' outside base/mem.c"
            for item in core_objects()
            for symbol in item.symbols
            if item.name != "base/mem.c" and symbol.is_undefined and symbol.name in ALLOCATORS
        ]
    )


def prefixes_of(item: Object) -> tuple[str, ...]:
    """What exported names may begin with: the file's stem, or that of the header it serves.

    router_draft.c has no header of its own, so it may export what router.h declares.
    """
    headers = (ROOT / "csrc" / item.folder).glob("*.h")
    served = {h.stem for h in headers if item.stem.startswith(f"{h.stem}_")}
    nouns = {item.stem, SECOND_NOUNS.get(item.name, item.stem)} | served
    return tuple(f"pp_{noun}" for noun in sorted(nouns))


def carries_prefix(name: str, prefixes: tuple[str, ...]) -> bool:
    """True for a prefix itself and for <prefix>_<anything>."""
    return any(name == prefix or name.startswith(f"{prefix}_") for prefix in prefixes)


def test_exported_symbols_carry_the_name_of_their_file() -> None:
    report(
        [
            f"csrc/{item.name}: exports '{symbol.name}', expected {' or '.join(prefixes)}_..."
            for item in core_objects()
            if (prefixes := prefixes_of(item))
            for symbol in item.symbols
            if symbol.is_global and not symbol.is_undefined
            if not carries_prefix(symbol.name, prefixes)
        ]
    )
