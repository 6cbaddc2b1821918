"""The rules find what they look for: each is shown a violation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lint import scan
from lint.objects import symbols_of
from lint.scan import CFile, Finding, blank, judge
from lint.test_calls import NOWHERE, calls
from lint.test_cython import callback_problems
from lint.test_headers import undocumented
from lint.test_layers import layer_problems
from lint.test_names import banned_words


@pytest.fixture
def c_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[CFile]:
    """Makes CFile objects from text, in a csrc of their own."""
    monkeypatch.setattr(scan, "ROOT", tmp_path)

    def make(name: str, text: str) -> CFile:
        path = tmp_path / "csrc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return CFile(path)

    return make  # type: ignore[return-value]


def test_comments_and_literals_are_blanked_in_place() -> None:
    text = 'a /* strcpy( */ "free(" \'"\' // atoi(\nb'
    assert blank(text).split() == ["a", "b"]
    assert len(blank(text)) == len(text)


def test_include_of_a_sibling_is_found(c_file) -> None:
    file = c_file("wire/a.h", '/* x */\n#include "base/b.h"\n#include "io/loop.h"\n')
    assert layer_problems(file) == ["csrc/wire/a.h:3: wire must not include io"]


def test_include_to_the_right_is_found(c_file) -> None:
    file = c_file("proxy/exchange.h", '#include "proxy/drive.h"\n')
    assert layer_problems(file) == ["csrc/proxy/exchange.h:1: drive.h stands to the right"]


def test_banned_calls_are_found_but_members_are_not(c_file) -> None:
    file = c_file(
        "wire/a.c", "void f(void)\n{\n    strcpy(a, b);\n    x->exit(1);\n    t.puts(2);\n}\n"
    )
    assert [(found.first, found.text) for found in calls(file, NOWHERE)] == [(3, "call of strcpy")]


def test_waivers_excuse_need_a_reason_and_must_be_used(c_file) -> None:
    finding = Finding(4, 9, "too long")
    good = c_file(
        "wire/a.c", "\n\n/* waive(complexity): one case per token of the grammar */\nint f;\n"
    )
    assert judge(good, "complexity", [finding]) == []
    bare = c_file("wire/a.c", "\n\n/* waive(complexity): */\nint f;\n")
    assert "needs a reason" in judge(bare, "complexity", [finding])[0]
    unused = c_file("wire/a.c", "/* waive(complexity): one case per token of the grammar */\n")
    assert "excuses nothing" in judge(unused, "complexity", [])[0]


def test_undocumented_declarations_are_found(c_file) -> None:
    text = "/* Documented. */\nint pp_a_one(void);\nint pp_a_two(void);\n\nint pp_a_three(void);\n"
    assert [p.rpartition(": ")[2] for p in undocumented(c_file("wire/a.h", text))] == [
        "int pp_a_three(void);"
    ]


def test_writable_storage_is_told_from_constants(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text(
        "static int counter; int pp_a_next(void) { return counter++; }\n"
        "extern int f(void); int (*const pp_a_table[])(void) = {f};\n"
    )
    compiled = tmp_path / "a.o"
    subprocess.run(["cc", "-O1", "-fPIC", "-c", str(source), "-o", str(compiled)], check=True)
    symbols = {symbol.name: symbol for symbol in symbols_of(compiled)}
    assert symbols["counter"].is_writable
    assert not symbols["pp_a_table"].is_writable
    assert symbols["f"].is_undefined
    assert symbols["pp_a_next"].is_global


def test_callbacks_that_could_raise_are_found(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("lint.test_cython.ROOT", tmp_path)
    source = tmp_path / "a.pyx"
    good = (
        "cdef int cb_a(void *p) noexcept with gil:\n"
        '    """Doc."""\n'
        "    cdef object owner = <object>p\n"
        "    try:\n        owner.f()\n    except BaseException as error:\n        return -1\n"
    )
    source.write_text(good)
    assert callback_problems(source) == []
    source.write_text(good.replace("    try:\n", "    owner.g()\n    try:\n"))
    assert len(callback_problems(source)) == 1


def test_empty_words_are_found_in_both_styles() -> None:
    assert banned_words("pp_conn_context") == {"context"}
    assert banned_words("SessionManager") == {"session", "manager"}
    assert banned_words("information") == set()
