"""The Cython layer: what its sources may not use, and that the type stubs tell the truth."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
from pathlib import Path

import pytest

from lint.scan import ROOT, report

SOURCES = sorted((ROOT / "pyproxy").rglob("*.pyx")) + sorted((ROOT / "pyproxy").rglob("*.pxd"))
COMPILED = sorted(path.stem for path in (ROOT / "pyproxy").glob("*.pyx"))

BANNED = (
    (r"^\s*include\s+[\"']", "textual include"),
    (r"^\s*(DEF|IF|ELIF)\b", "DEF or IF"),
    (r"\[\s*::?1?\s*(,\s*::?1?\s*)*\]\s+[a-z_]\w*\s*[,)=\n]", "typed memoryview"),
    (r"^\s*from\s+cpython\s+cimport\b", "cimport from cpython: name the submodule"),
    (
        r"\bvoid\b.*\bexcept\s+\*.*\bnogil\b",
        "except * without the GIL: it is taken after every call",
    ),
)


def name_of(path: Path) -> str:
    """The path as test id."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_sources_avoid_what_makes_extensions_big_or_slow(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    report(
        [
            f"{name_of(path)}:{number}: {text}"
            for number, line in enumerate(lines, 1)
            for pattern, text in BANNED
            if re.search(pattern, line.partition("#")[0])
        ]
    )


def callback_problems(path: Path) -> list[str]:
    """Callbacks whose body is not one try statement (declarations and docstring aside)."""
    problems = []
    lines = path.read_text(encoding="utf-8").splitlines()
    for index, line in enumerate(lines):
        if not re.search(r"noexcept with gil\s*:\s*(#.*)?$", line):
            continue
        start = index
        while not re.match(r"\s*cdef\b", lines[start]):
            start -= 1
        margin = len(lines[start]) - len(lines[start].lstrip())
        statements = []
        body_margin = None
        for text in lines[index + 1 :]:
            stripped = text.strip()
            if not stripped or stripped.startswith("#"):
                continue
            indent = len(text) - len(text.lstrip())
            if indent <= margin and not stripped.startswith(")"):
                break
            body_margin = indent if body_margin is None else body_margin
            if indent == body_margin:
                statements.append(stripped)
        heads = [
            text
            for text in statements
            if not text.startswith(("cdef ", "global ", '"""', "#")) and not text.endswith('"""')
        ]
        ok = heads[:1] == ["try:"] and all(
            re.match(r"(except\b.*|else|finally)\s*:|except\b", text) for text in heads[1:]
        )
        has_base = any(re.match(r"except\s*(BaseException\b.*)?:", text) for text in heads)
        if not ok or not has_base:
            problems.append(f"{name_of(path)}:{index + 1}: callback is not one try/except")
    return problems


@pytest.mark.parametrize("path", [p for p in SOURCES if p.suffix == ".pyx"], ids=name_of)
def test_callbacks_are_one_try_statement(path: Path) -> None:
    report(callback_problems(path))


def is_public(name: str) -> bool:
    """True for names that users may use."""
    return not name.startswith("_")


def stub_members(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """The public names that a stub's module or class body declares."""
    members: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            members[node.name] = node
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            members[node.target.id] = node
    return {name: node for name, node in members.items() if is_public(name) or name == "__init__"}


def stub_parameters(node: ast.FunctionDef) -> list[str]:
    """The parameters of a stub's function, each as kind, name and whether it has a default."""
    args = node.args
    plain = [*args.posonlyargs, *args.args]
    bare = len(plain) - len(args.defaults)
    rows = [
        ("/" if i < len(args.posonlyargs) else "") + arg.arg + ("=" if i >= bare else "")
        for i, arg in enumerate(plain)
    ]
    rows += [
        "*" + arg.arg + ("=" if default is not None else "")
        for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)
    ]
    static = any(isinstance(d, ast.Name) and d.id == "staticmethod" for d in node.decorator_list)
    is_method = rows and rows[0].lstrip("/") in ("self", "cls") and not static
    return rows[1:] if is_method else rows


def real_parameters(function: object) -> list[str] | None:
    """The same of a compiled function, or None when it does not tell."""
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    marks = {inspect.Parameter.POSITIONAL_ONLY: "/", inspect.Parameter.KEYWORD_ONLY: "*"}
    rows = [
        marks.get(p.kind, "") + p.name + ("=" if p.default is not p.empty else "")
        for p in signature.parameters.values()
    ]
    return rows[1:] if rows and rows[0].lstrip("/") in ("self", "cls") else rows


def constructor_parameters(source: str, name: str) -> list[str]:
    """The parameters of a class's constructor, read from the Cython source: it has no signature."""
    found = re.search(
        rf"(?ms)^(?:cdef )?class {name}\b.*?(?=^cdef class |^class |^def |\Z)",
        source,
    )
    assert found, f"no class {name}"
    constructor = re.search(
        r"def __(?:cinit|init)__\(\s*self\s*,?([^)]*(?:\(\)[^)]*)*)\)", found[0]
    )
    rows = []
    keyword_only = ""
    for part in re.split(r",(?![^()\[\]]*[)\]])", constructor.group(1) if constructor else ""):
        declared, equals, _ = part.strip().partition("=")
        if declared.strip() == "*":
            keyword_only = "*"
        elif declared.strip():
            bare, annotated, _ = declared.partition(":")
            word = bare.strip() if annotated else declared.replace("not None", "").split()[-1]
            rows.append(keyword_only + word + equals)
    return rows


def same_parameters(stub: list[str], real: list[str]) -> bool:
    """True when calls that fit the stub fit the function."""
    return [row.removeprefix("/") for row in stub] == [row.removeprefix("/") for row in real]


def class_problems(where: str, node: ast.ClassDef, compiled: type, source: str) -> list[str]:
    """The differences between a stub's class and the compiled one."""
    declared = stub_members(node.body)
    present = {name for name in dir(compiled) if is_public(name)} - set(dir(compiled.__base__))
    problems = [f"{where}.{name}: not in the stub" for name in sorted(present - set(declared))]
    for name, member in declared.items():
        if not hasattr(compiled, name):
            # Attributes of exceptions are set on the instance.
            if not (isinstance(member, ast.AnnAssign) and issubclass(compiled, Exception)):
                problems.append(f"{where}.{name}: in the stub only")
        elif isinstance(member, ast.FunctionDef) and not member.decorator_list:
            if name == "__init__":
                stub, real = stub_parameters(member), constructor_parameters(source, node.name)
                if stub != real:
                    problems.append(f"{where}: the stub takes {stub}, the source {real}")
            else:
                problems += function_problems(f"{where}.{name}", member, getattr(compiled, name))
    return problems


def function_problems(where: str, node: ast.FunctionDef, function: object) -> list[str]:
    """The differences between a stub's function and the compiled one."""
    real = real_parameters(function)
    stub = stub_parameters(node)
    if real is None or same_parameters(stub, real):
        return []
    return [f"{where}: the stub has ({', '.join(stub)}), the module ({', '.join(real)})"]


@pytest.mark.parametrize("name", COMPILED)
def test_stub_matches_the_compiled_module(name: str) -> None:
    module = importlib.import_module(f"pyproxy.{name}")
    tree = ast.parse((ROOT / "pyproxy" / f"{name}.pyi").read_text(encoding="utf-8"))
    source = (ROOT / "pyproxy" / f"{name}.pyx").read_text(encoding="utf-8")
    declared = stub_members(tree.body)
    present = {
        key
        for key, value in vars(module).items()
        if is_public(key) and getattr(value, "__module__", None) == module.__name__
    }
    problems = [f"{name}.{key}: not in the stub" for key in sorted(present - set(declared))]
    for key, node in declared.items():
        if not hasattr(module, key):
            problems.append(f"{name}.{key}: in the stub only")
        elif isinstance(node, ast.ClassDef):
            problems += class_problems(f"{name}.{key}", node, getattr(module, key), source)
        elif isinstance(node, ast.FunctionDef):
            problems += function_problems(f"{name}.{key}", node, getattr(module, key))
    report(problems)


@pytest.mark.parametrize("name", COMPILED)
def test_extension_exports_only_its_init_function(name: str) -> None:
    module = importlib.import_module(f"pyproxy.{name}")
    command = ["nm", "-D", "--defined-only", str(module.__file__)]
    table = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    exported = {line.split()[-1] for line in table.splitlines()} - {"_init", "_fini"}
    assert exported == {f"PyInit_{name}"}
