"""Words that say nothing are no names."""

from __future__ import annotations

import ast
import re

from lint.scan import ROOT, c_files, report

# Words that fit everything and so describe nothing, and words that another one replaces here:
# a request with its response is an exchange; the two sides are down and up.
BANNED = {
    *("context", "ctx", "info", "manager", "mgr", "helper", "helpers", "util", "utils", "inner"),
    *("misc", "remote", "session", "transaction"),
}
IDENTIFIER = re.compile(r"\b[A-Za-z_]\w*")
# Names of a library that we call are not ours to choose.
FOREIGN = re.compile(r"(EVP|NGHTTP2|SSL|X509|ZSTD|nghttp2)_\w+|\w+_st")
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def banned_words(name: str) -> set[str]:
    """The banned words in an identifier of either style."""
    return {word.lower() for word in WORD.findall(name)} & BANNED


def test_c_names_say_something() -> None:
    problems = []
    for file in c_files():
        for match in IDENTIFIER.finditer(file.code):
            if FOREIGN.fullmatch(match.group()):
                continue
            if words := banned_words(match.group()):
                place = f"{file.name}:{file.line_at(match.start())}"
                problems.append(f"{place}: '{match.group()}' says '{', '.join(words)}'")
    report(problems)


def test_python_names_say_something() -> None:
    problems = []
    for path in sorted((ROOT / "pyproxy").rglob("*.py")):
        where = path.relative_to(ROOT)
        problems += [f"{where}: '{word}' in a file name" for word in banned_words(path.stem)]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                words = banned_words(node.name)
                problems += [f"{where}:{node.lineno}: '{node.name}' says '{w}'" for w in words]
    report(problems)
