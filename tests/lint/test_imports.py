"""Which Python module may import which."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from lint.scan import ROOT, report

PACKAGE = ROOT / "pyproxy"

# Layers, lowest first: a module imports its own layer and those below. `pyproxy` itself, holding
# the public names, knows everybody.
LAYERS = (
    (
        "pyproxy._version",
        "pyproxy.errors",
        "pyproxy.log",
        "pyproxy._wire",
        "pyproxy._counters",
        "pyproxy._engine",
    ),
    ("pyproxy.config", "pyproxy.filters.base", "pyproxy.tls"),
    ("pyproxy.filters", "pyproxy.identity", "pyproxy.queue", "pyproxy.wasm"),
    ("pyproxy.control.discovery",),
    ("pyproxy.supervise",),
    ("pyproxy.supervise.worker", "pyproxy.supervise.drain", "pyproxy.demo"),
    ("pyproxy.supervise.loader",),
    ("pyproxy.control", "pyproxy.admin", "pyproxy.telemetry"),
    ("pyproxy.supervise.service",),
    (
        *("pyproxy.supervise.supervisor", "pyproxy.supervise.assignment"),
        *("pyproxy.supervise.reload", "pyproxy.supervise.upgrade", "pyproxy.supervise.takeover"),
        *("pyproxy.supervise.generations", "pyproxy.supervise.control_socket"),
        *("pyproxy.supervise.announce", "pyproxy.supervise.launch"),
        *("pyproxy.supervise.certificates", "pyproxy.supervise.config_watch"),
        "pyproxy.supervise.discovery",
    ),
    ("pyproxy.cli", "pyproxy.__main__", "pyproxy.program", "pyproxy.testing"),
)

# Modules that may import the engine. The command line only inside functions, so that `check`,
# `schema` and the like start without it.
ENGINE_USERS = ("pyproxy", "pyproxy.supervise.worker", "pyproxy.supervise.loader")
ENGINE_USERS_UNDER = ("pyproxy.testing",)
ENGINE_USERS_LAZILY = ("pyproxy.cli",)

# After its start the supervisor parses nothing that comes from outside: nothing third-party in it.
STANDARD_ONLY = tuple(
    f"pyproxy.supervise.{name}"
    for name in (
        *("announce", "assignment", "bindpoint", "binding", "certificates", "channel"),
        *("children", "config_watch", "discovery"),
        *("control_socket", "fdstore", "generations", "init", "init_link", "moving", "reactor"),
        *("rebind", "retire", "sockets", "supervisor", "systemd", "tree", "upgrade"),
    )
)
THIRD_PARTY = {
    *("uvloop", "httptools", "h2", "OpenSSL", "msgspec", "yaml", "starlette", "uvicorn", "httpx"),
    *("anyio", "cryptography", "dns", "redis"),
}


@dataclass(frozen=True)
class Import:
    """One imported module, with the place of the statement."""

    path: Path
    line: int
    importer: str
    module: str
    lazy: bool

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}: {self.importer} imports {self.module}"


def under(module: str, packages: tuple[str, ...]) -> bool:
    """True when <module> is one of <packages> or inside one."""
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def module_name(path: Path) -> str:
    """The dotted name of a file of the package."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def typing_only(node: ast.AST) -> bool:
    """True for `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_of(path: Path) -> list[Import]:
    """All imports of a module; those for type checkers left out."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if typing_only(node):
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.append(Import(path, node.lineno, name, alias.name, lazy))
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
            for alias in node.names:
                found.append(Import(path, node.lineno, name, f"{base}.{alias.name}", lazy))
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(path.read_text(encoding="utf-8")), lazy=False)
    return found


def all_imports() -> list[Import]:
    """All imports of the package."""
    return [item for path in sorted(PACKAGE.rglob("*.py")) for item in imports_of(path)]


def test_only_named_modules_import_the_engine() -> None:
    report(
        [
            str(item)
            for item in all_imports()
            if under(item.module, ("pyproxy._engine",))
            and item.importer not in ENGINE_USERS
            and not under(item.importer, ENGINE_USERS_UNDER)
            and not (item.lazy and under(item.importer, ENGINE_USERS_LAZILY))
        ]
    )


def test_supervisor_uses_the_standard_library_only() -> None:
    report(
        [
            str(item)
            for item in all_imports()
            if item.importer in STANDARD_ONLY and item.module.partition(".")[0] in THIRD_PARTY
        ]
    )


def layer_of(module: str) -> int | None:
    """The layer with the longest name that covers <module>; None outside of the table."""
    found = [
        (len(package), rank)
        for rank, packages in enumerate(LAYERS)
        for package in packages
        if under(module, (package,))
    ]
    return max(found)[1] if found else None


def test_imports_point_down() -> None:
    problems = []
    for item in all_imports():
        mine, other = layer_of(item.importer), layer_of(item.module)
        if mine is not None and other is not None and other > mine:
            problems.append(str(item))
    report(problems)
