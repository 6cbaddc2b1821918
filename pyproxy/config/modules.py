"""Modules of the user: found in the folders of the configuration, loaded anew when they changed.

A configuration's folders are searched before Python's path. What was loaded from there is
remembered with its source; when a configuration is read again (`fresh`), every module whose source
is another by now, and every one that imports it, leaves `sys.modules`, so that the next import
makes a new module. The old objects are not touched: whoever holds a class of them, such as the
snapshot that still serves, goes on with it, and they go away with the last holder.

A package is one: when any of its modules has changed, all of it is loaded anew. Which modules a
module imports is read from its `import` statements. Modules of other places (Python's path,
compiled ones) stay as they are until the process ends.

This module holds state of the process: it is `sys.modules` that it looks after.
"""

from __future__ import annotations

import importlib
import os
import sys
import typing
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import NamedTuple

__all__ = ["Attempt", "also_in", "files", "fresh"]


class _Loaded(NamedTuple):
    """A module of the user: its file, what was read there, and the packages that it imports."""

    path: str
    source: bytes
    imports: frozenset[str]


_loaded: dict[str, _Loaded] = {}
_folders: list[str] = []
_on_path: list[str] = []  # those of the folders that were put on Python's path here


class _Loader(SourceFileLoader):
    """Loads from the source alone.

    A cached compilation is known by the second and the size of its source, and may be stale.
    """

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path)
        code: CodeType = self.source_to_code(source, path)
        _loaded[fullname] = _Loaded(path, source, frozenset(_imports(source)))
        return code


class _Finder:
    """Finds modules and packages with a source in the folders."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if path is not None and not _is_ours(_root(fullname)):
            return None
        where = _where(fullname, path)
        if where is None:
            return None
        from importlib.util import spec_from_file_location

        inside = [str(where.parent)] if where.name == "__init__.py" else None
        return spec_from_file_location(
            fullname,
            where,
            loader=_Loader(fullname, str(where)),
            submodule_search_locations=inside,
        )


def _root(name: str) -> str:
    return name.partition(".")[0]


def _is_ours(root: str) -> bool:
    """Was the package found in the folders, or is it a mere folder, which may be one of them?"""
    module = sys.modules.get(root)
    return root in _loaded or getattr(module, "__file__", None) is None


def _where(name: str, path: Sequence[str] | None) -> Path | None:
    """The file of a module in the folders; <path> is that of its package."""
    *parents, tail = name.split(".")
    for folder in _folders:
        base = Path(folder, *parents)
        if path is not None and str(base) not in path:
            continue
        for found in (base / tail / "__init__.py", base / f"{tail}.py"):
            if os.path.isfile(found):  # whatever cannot be read is none
                return found
    return None


def _imports(source: bytes) -> Iterator[str]:
    """The top-level names that `import` statements of a source name, in functions too."""
    import ast  # only those who have filters need it

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (_root(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield _root(node.module)


def _stale() -> set[str]:
    """The top-level names of all that has to be loaded anew."""
    stale = {_root(name) for name, record in _loaded.items() if not _is_current(name, record)}
    while True:
        more = {_root(name) for name, record in _loaded.items() if record.imports & stale} - stale
        if not more:
            return stale
        stale |= more


def _is_current(name: str, record: _Loaded) -> bool:
    where = _where(name, None)
    if where is None or str(where) != record.path:
        return False
    try:
        return where.read_bytes() == record.source
    except OSError:
        return False


class Attempt:
    """What `fresh` took away; `undo` puts it back."""

    def __init__(self, modules: dict[str, ModuleType], loaded: dict[str, _Loaded]) -> None:
        self._modules = modules
        self._loaded = loaded

    def undo(self) -> None:
        """Forget what has been loaded since: the modules are those of before."""
        added = [name for name in _loaded if self._loaded.get(name) is not _loaded[name]]
        for name in added:
            sys.modules.pop(name, None)
        sys.modules.update(self._modules)
        _loaded.clear()
        _loaded.update(self._loaded)


def fresh(folders: Iterable[str]) -> Attempt:
    """Search <folders> from now on, and load anew what has changed when it is imported next.

    Without any, those of before stay.
    """
    wanted = list(dict.fromkeys(folders))
    if wanted:
        for folder in _on_path:
            if folder not in wanted and folder in sys.path:
                sys.path.remove(folder)
        _folders[:] = []
        for folder in reversed(wanted):
            also_in(folder)
        _on_path[:] = [folder for folder in _on_path if folder in wanted]
    attempt = Attempt({}, dict(_loaded))
    stale = _stale()
    for name in [name for name in sys.modules if _root(name) in stale]:
        attempt._modules[name] = sys.modules.pop(name)
    for name in [name for name in _loaded if _root(name) in stale]:
        del _loaded[name]
    if stale:
        # `Optional[Rule]` and the like are remembered there, and with them the old module.
        for forget in getattr(typing, "_cleanups", ()):
            forget()
    importlib.invalidate_caches()
    return attempt


def also_in(folder: str) -> None:
    """Search <folder>, too, before the others and before Python's path."""
    if folder not in _folders:
        _folders.insert(0, folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
        if folder not in _on_path:
            _on_path.append(folder)
    if _finder not in sys.meta_path:
        # Before the finder of Python's path; what is built in comes first, as ever.
        place = next(
            (i for i, other in enumerate(sys.meta_path) if "PathFinder" in repr(other)),
            len(sys.meta_path),
        )
        sys.meta_path.insert(place, _finder)


def files() -> list[str]:
    """The source files of the user's modules that are loaded."""
    return sorted({record.path for record in _loaded.values()})


_finder = _Finder()
