"""Path patterns and templates, read far enough to explain faults.

(The router itself is csrc/route, and templates are filled by csrc/proxy.) ValueErrors have the
form `what is wrong; the cure`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PLACEHOLDER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

# What a template may name besides the captures of its route.
VARIABLES = ("scheme", "host", "path", "query")


def placeholders(text: str) -> list[str]:
    """The names between braces, in order; `{{` and `}}` are literal braces."""
    names = []
    for match in _BRACES.finditer(text):
        if match[0] in ("{{", "}}"):
            continue
        if match[1] is None:
            raise ValueError(
                f'a lone "{match[0]}" in "{text}"; write {match[0] * 2} for a literal brace'
            )
        if not _PLACEHOLDER.fullmatch(match[1]):
            raise ValueError(
                f'"{match[0]}" is not a name; write {{name}}, of letters, digits, _ and -'
            )
        names.append(match[1])
    return names


def captures(path: str) -> list[str]:
    """The names that a path pattern captures.

    What is not looked at here, the router itself refuses.
    """
    if path == "*":
        return []
    if not path.startswith("/"):
        raise ValueError(f'the path "{path}" does not begin with "/"; write "/{path}"')
    body, star, tail = path.partition("*")
    if star and tail and not _NAME.fullmatch(tail):
        raise ValueError(
            f'"*" is not at the end of "{path}"; it takes the rest; use {{name}} for one segment'
        )
    if star and tail and not body.endswith("/"):
        raise ValueError(f'"*{tail}" does not begin a segment of "{path}"; write "/*{tail}"')
    if "?" in path or "#" in path:
        raise ValueError(
            f'the path "{path}" holds a query or a fragment; a route matches paths only'
        )
    names = placeholders(body)
    if star and tail:
        names.append(tail)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ValueError(f'the name "{twice}" is captured twice in "{path}"; give each its own')
    return names


def render(text: str, values: Mapping[str, str]) -> str:
    """Fill a template whose names have been checked; a name without a value gives nothing."""

    def fill(match: re.Match[str]) -> str:
        return match[0][0] if match[0] in ("{{", "}}") else values.get(match[1], "")

    return _BRACES.sub(fill, text)
