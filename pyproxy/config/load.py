"""Read the configuration.

One YAML file, or a folder whose `*.yaml` files are merged in the order of their names.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from pyproxy.config.check import check
from pyproxy.config.decode import BAD, decode
from pyproxy.config.model import Config, FilterRef
from pyproxy.config.nodes import Node, from_plain, read_tree
from pyproxy.errors import ConfigError, Fault
from pyproxy.tls.held import names_files

MAX_BYTES = 64 * 1024 * 1024

# Sections whose entries are put together when several files have them; any other may be set once.
_NAMED = ("listeners", "upstreams")
_LISTED = ("routes", "filters")


class Loaded(NamedTuple):
    """What reading gave.

    The configuration as far as it could be read, and all that is wrong with it.
    """

    config: Config | None
    faults: list[Fault]


def load(path: str | Path, *, files: bool = True) -> Config:
    """The checked configuration of a file or folder; `-` is standard input.

    ConfigError holds every fault. Without <files> the certificates that it names are not read: for
    those who need none, and who may not be allowed to.
    """
    return _sound(with_files(inspect(path)) if files else inspect(path))


def loads(text: str, file: str = "pyproxy.yaml") -> Config:
    """The same from a string.

    `file` is what faults call it, and what relative secret files are relative to.
    """
    return _sound(with_files(inspect_texts([(file, text)])))


def from_mapping(mapping: dict[str, Any], *, filters: tuple[FilterRef, ...] = ()) -> Config:
    """The same from what a program says instead of a file; `filters` replaces its global filters.

    ConfigError holds every fault.
    """
    faults: list[Fault] = []
    config = decode(from_plain(mapping, ""), Config, faults)
    if config is not BAD:
        config = msgspec.structs.replace(config, filters=filters or config.filters)
        faults += check(config)
    loaded = Loaded(None if config is BAD else config, sorted(set(faults)))
    return _sound(with_files(loaded))


def with_files(loaded: Loaded) -> Loaded:
    """The same with the certificates that the configuration names, and what is wrong with them."""
    config, faults = loaded
    if config is None or not names_files(config):
        return loaded
    from pyproxy.tls.files import read_files  # 150 ms, for those who need it

    outcome = read_files(config)
    return Loaded(outcome.config, sorted({*faults, *outcome.faults}))


def _sound(loaded: Loaded) -> Config:
    config, faults = loaded
    if faults or config is None:
        raise ConfigError(faults)
    return config


def inspect(path: str | Path) -> Loaded:
    """Read and check without raising; the files that the configuration names are left alone."""
    try:
        texts = [(str(file), _text(file)) for file in _files(path)]
    except ConfigError as error:
        return Loaded(None, list(error.faults))
    return inspect_texts(texts)


def inspect_texts(texts: list[tuple[str, str]]) -> Loaded:
    """Read, merge and check (file name, text) pairs without raising."""
    faults: list[Fault] = []
    roots: list[Node] = []
    whole = True
    for file, text in texts:
        root, found = read_tree(text, file)
        faults += found
        if root is None:
            whole = False
            continue
        if root.kind == "scalar" and root.tag == "null" and len(texts) > 1:
            continue
        if root.kind != "map":
            cure = "`pyproxy init` writes one to start from"
            message = "the file is empty" if root.tag == "null" else "this is not a configuration"
            faults.append(root.fault(message, cure))
            continue
        roots.append(root)
    if not roots:
        return Loaded(None, sorted(faults) or [Fault(texts[0][0], 1, 1, "", "the files are empty")])
    config = decode(_merge(roots, faults), Config, faults)
    if config is BAD:
        return Loaded(None, sorted(faults))
    if (
        whole
    ):  # after a syntax error in one of several files, what refers to it would only seem wrong
        faults += check(config)
    folders = dict.fromkeys(str(Path(file).resolve().parent) for file, _ in texts)
    config = msgspec.structs.replace(config, folders=tuple(folders))
    return Loaded(config, sorted(set(faults)))


def files_of(path: str | Path) -> list[Path]:
    """The files that a configuration at <path> consists of, in their order; empty for a folder
    without any."""
    here = Path(path)
    return sorted(here.glob("*.yaml")) if here.is_dir() else [here]


def _files(path: str | Path) -> list[Path]:
    files = files_of(path)
    if not files:
        raise ConfigError([Fault(str(path), 0, 0, "", "the folder has no *.yaml file", "add one")])
    return files


def _text(file: Path) -> str:
    """The text of a file; ConfigError in words when it cannot be had."""
    try:
        if str(file) == "-":
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with file.open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        cure = f"`pyproxy init {file}` writes one to start from"
        raise ConfigError([Fault(str(file), 0, 0, "", "there is no such file", cure)]) from None
    except OSError as error:
        raise ConfigError(
            [Fault(str(file), 0, 0, "", f"cannot be read: {error.strerror}")]
        ) from None
    if len(raw) > MAX_BYTES:
        raise ConfigError([Fault(str(file), 0, 0, "", "larger than 64 MiB")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        fault = Fault(str(file), line, column, "", "not UTF-8 text", "save the file as UTF-8")
        raise ConfigError([fault]) from None


def _merge(roots: list[Node], faults: list[Fault]) -> Node:
    """One tree of several. Places stay those of the files."""
    if len(roots) == 1:
        return roots[0]
    first = roots[0]
    whole = Node("map", {}, first.file, first.line, first.column, "")
    for root in roots:
        for key, node in root.value.items():
            have = whole.value.get(key)
            if have is None:
                whole.value[key] = _copy(node)
            elif key in _LISTED and have.kind == node.kind == "seq":
                have.value += node.value
            elif key in _NAMED and have.kind == node.kind == "map":
                for name, below in node.value.items():
                    _put(have.value, name, below, f'"{name}"', faults)
            else:
                _put(whole.value, key, node, f'"{key}"', faults)
    return whole


def _copy(node: Node) -> Node:
    """A copy to which entries can be added."""
    copy = Node(node.kind, node.value, node.file, node.line, node.column, node.at)
    copy.tag, copy.secret, copy.key = node.tag, node.secret, node.key
    if node.kind != "scalar":
        copy.value = node.value.copy()
    return copy


def _put(entries: dict[str, Any], name: str, node: Node, shown: str, faults: list[Fault]) -> None:
    have = entries.setdefault(name, node)
    if have is not node:
        line = have.key[0] if have.key else have.line
        faults.append(
            node.fault(
                f"{shown} is set already, at {have.file}:{line}", "keep one of them", on_key=True
            )
        )
