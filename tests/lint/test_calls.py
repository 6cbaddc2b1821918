"""Calls that no source may make, and habits that no source may have."""

from __future__ import annotations

import re

import pytest

from lint.scan import CFile, Finding, c_files, judge, report

# No bounds, no errors, hidden state, or not async-safe.
NOWHERE = (
    "strcpy|strcat|stpcpy|sprintf|vsprintf|gets|strtok|strtok_r|atoi|atol|atoll|atof|strtol|strtoul"
    "|scanf|sscanf|fscanf|alloca|setjmp|longjmp|system|popen|sleep|usleep|signal|qsort|rand|srand"
    "|localtime|gmtime|ctime|asctime|inet_ntoa|gethostbyname|strerror|printf|puts|exit|_exit"
)
ALLOCATORS = "malloc|calloc|realloc|reallocarray|free|strdup|strndup|asprintf|vasprintf"
IO_ONLY = (
    "read|write|readv|writev|send|recv|sendto|recvfrom|sendmsg|recvmsg|accept|accept4|close|socket"
    "|connect|bind|listen|shutdown|open|openat|epoll_ctl|epoll_wait|splice|pipe2|mmap|munmap"
    "|clock_gettime|time"
)


def calls(file: CFile, names: str) -> list[Finding]:
    """Calls of the named functions; table members and the file's own functions do not count."""
    found = []
    own = {function.name for function in file.functions}
    for match in re.finditer(rf"(?<![\w.>])({names})\s*\(", file.code):
        name = match.group(1)
        line = file.line_at(match.start())
        if name not in own:
            found.append(Finding(line, line, f"call of {name}"))
    return found


def test_no_banned_calls() -> None:
    problems = []
    for file in c_files():
        findings = calls(file, NOWHERE)
        if file.name != "csrc/base/mem.c":
            findings += calls(file, ALLOCATORS)
        if file.folder != "io":
            findings += calls(file, IO_ONLY)
        problems += judge(file, "banned-call", findings)
    report(problems)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"\btypedef\s+(struct|union|enum)\b", "typedef of a struct, union or enum"),
        (r"^\s*#\s*if\s+0\b", "#if 0"),
        (r"\bgoto\s+(?!out\b)\w+", "goto to a label other than out"),
    ],
)
def test_no_bad_habits(pattern: str, text: str) -> None:
    report(
        [
            f"{file.name}:{file.line_at(match.start())}: {text}"
            for file in c_files()
            for match in re.finditer(pattern, file.code, re.MULTILINE)
        ]
    )


def test_include_guards_follow_the_path() -> None:
    problems = []
    for file in c_files(".h"):
        guard = f"PP_{file.folder}_{file.stem}_H".upper()
        if f"#ifndef {guard}\n#define {guard}\n" not in file.text:
            problems.append(f"{file.name}: the include guard is not {guard}")
    report(problems)
