"""How two configurations differ, in lines for people: `+` comes, `-` goes, `~` becomes another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pyproxy.config.model import Config, route_name
from pyproxy.config.sections_tls import Certificate

_NAMED = ("listeners", "upstreams", "routes")
# May hold secrets: that they differ is all that is told.
_PRIVATE = ("config", "headers", "filters", "key", "passphrase")
# What was read of files, and what that is called.
_READ = {"read": "the files", "pair": "the certificate"}


def differences(old: Config, new: Config) -> list[str]:
    """Empty when both serve the same."""
    lines: list[str] = []
    for name in Config.__struct_fields__:
        if name in ("place", "files", "folders"):
            continue
        before, after = getattr(old, name), getattr(new, name)
        if name == "routes":
            before, after = _by_name(old), _by_name(new)
        if name in _NAMED:
            lines += _of_mapping(name, before, after)
        elif before != after:
            lines += _of_value(_shown(name), before, after)
    if _order(old, new) != _order(new, old):
        lines.append("~ routes: their order")
    return lines


def _order(config: Config, other: Config) -> list[str]:
    """The routes that both have, as they stand in <config>."""
    common = _by_name(other)
    return [name for name in _by_name(config) if name in common]


def _by_name(config: Config) -> dict[str, Any]:
    return {route_name(config, i): route for i, route in enumerate(config.routes)}


def _of_mapping(section: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    lines = [f"- {section}.{name}" for name in old if name not in new]
    for name, after in new.items():
        if name not in old:
            lines.append(f"+ {section}.{name}")
        elif old[name] != after:
            lines += _of_value(f"{section}.{name}", old[name], after)
    return lines


def _of_value(path: str, old: Any, new: Any) -> list[str]:
    """The fields of a section that differ, or the whole value."""
    if _are_certificates(old) and _are_certificates(new) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for i, (a, b) in pairs if a != b for line in _of_value(f"{path}[{i}]", a, b)]
    if type(old) is not type(new) or not isinstance(old, msgspec.Struct):
        return [f"~ {path}: {_text(old)} -> {_text(new)}"]
    lines: list[str] = []
    for field in old.__struct_fields__:
        before, after = getattr(old, field), getattr(new, field)
        if field == "place" or before == after:
            continue
        if field in _READ:
            lines.append(f"~ {path}: {_READ[field]}")
        elif field in _PRIVATE:
            lines.append(f"~ {path}.{field}")
        elif field.endswith("_ms"):
            lines.append(f"~ {path}.{_shown(field)}: {before / 1000:g}s -> {after / 1000:g}s")
        else:
            lines += _of_value(f"{path}.{_shown(field)}", before, after)
    return lines


# What most endpoints have, and nobody wants to read.
_USUAL = (
    *(("priority", 0), ("backup", False), ("drain", False)),
    *(("max_requests", 0), ("max_connections", 0)),
)


def _are_certificates(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(item, Certificate) for item in value)


def _shown(field: str) -> str:
    """As the file writes it."""
    return field.removesuffix("_ms").removesuffix("_bytes")


def _text(value: Any) -> str:
    if isinstance(value, msgspec.Struct):
        value = {
            _shown(name): _text(getattr(value, name))
            for name in value.__struct_fields__
            if name not in ("place", "resolved", "found", "host", *_PRIVATE, *_READ)
            if (name, getattr(value, name)) not in _USUAL
        }
        return "{" + ", ".join(f"{name}: {text}" for name, text in value.items()) + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(_text(item) for item in value) + "]"
    text = "none" if value is None else str(value)
    return "PEM" if "-----BEGIN " in text else text
