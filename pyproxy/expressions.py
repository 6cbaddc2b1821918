"""Conditions on requests as the programs that csrc/route/predicate.h compiles.

What a condition looks like here is what it looks like in a configuration file: a mapping of names
to tests for headers, arguments and cookies, and a tree of `all`, `any`, `not` for the rest.

ValueErrors have the form `what is wrong; the cure`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["OPERATORS", "program", "tests"]

#: Operator of the file -> operator of the program (enum pp_predicate_op).
OPERATORS = {
    "equals": b"=",
    "one_of": b"=",
    "prefix": b"^",
    "suffix": b"$",
    "contains": b"*",
    "regex": b"~",
    "gt": b">",
    "ge": b"g",
    "lt": b"<",
    "le": b"l",
    "cidr": b"/",
    "exists": b"x",
}
_LISTS = ("one_of", "cidr")


def program(
    *,
    clients: Iterable[str] = (),
    headers: Mapping[str, Any] | None = None,
    query: Mapping[str, Any] | None = None,
    cookies: Mapping[str, Any] | None = None,
    when: Mapping[str, Any] | None = None,
    python: Callable[..., Any] | None = None,
) -> tuple[bytes, tuple[Callable[..., Any], ...]]:
    """All of these conditions as one program, and the callables that it numbers.

    The program is empty when there is no condition. What is quick to ask stands first, Python last.
    """
    parts: list[bytes] = []
    callables: list[Callable[..., Any]] = []
    ranges = list(clients)
    if ranges:
        parts.append(_test("client.address", "cidr", ranges))
    for prefix, given in (("header.", headers), ("query.", query), ("cookie.", cookies)):
        parts += [tests(f"{prefix}{name}", value) for name, value in (given or {}).items()]
    if when:
        parts.append(_expression(when, "", callables))
    if python is not None:
        parts.append(_call(python, callables))
    return (_group(b"A", parts) if parts else b""), tuple(callables)


def tests(variable: str, given: Any) -> bytes:
    """The program of one entry: a value, a list of values, or a mapping of operators to operands.

    All operators of a mapping must hold.
    """
    if isinstance(given, Mapping):
        return _operators(variable, given)
    if isinstance(given, (list, tuple)):
        return _test(variable, "one_of", given)
    return _test(variable, "equals", given)


def _expression(given: Any, variable: str, callables: list[Callable[..., Any]]) -> bytes:
    """One node of a `when` tree; `variable` is the one that the tests around it are of."""
    if not isinstance(given, Mapping):
        return tests(variable, given)
    rest = dict(given)
    variable = rest.pop("var", variable)
    parts = []
    for word, kind in (("all", b"A"), ("any", b"O")):
        if word in rest:
            below = [_expression(item, variable, callables) for item in rest.pop(word)]
            if not below:
                raise ValueError(f'"{word}" is of no conditions; add one, or remove it')
            parts.append(_group(kind, below))
    if "not" in rest:
        parts.append(b"N" + _expression(rest.pop("not"), variable, callables))
    if "python" in rest:
        parts.append(_call(rest.pop("python"), callables))
    if rest:
        if not variable:
            raise ValueError(f'"{next(iter(rest))}" is of no variable; add "var"')
        parts.append(_operators(variable, rest))
    if not parts:
        raise ValueError("the condition is empty; add an operator, such as exists: true")
    return _group(b"A", parts)


def _operators(variable: str, given: Mapping[str, Any]) -> bytes:
    parts = []
    for operator, operand in given.items():
        if operator == "not":
            parts.append(b"N" + tests(variable, operand))
        elif operator == "exists":
            parts.append((b"" if operand else b"N") + _test(variable, operator, ()))
        elif operator in OPERATORS:
            parts.append(_test(variable, operator, operand))
        else:
            raise ValueError(f'there is no operator "{operator}"; one of {", ".join(OPERATORS)}')
    if not parts:
        raise ValueError("the condition is empty; add an operator, such as exists: true")
    return _group(b"A", parts)


def _test(variable: str, operator: str, operand: Any) -> bytes:
    if operator == "exists":
        values: Iterable[Any] = ()
    elif operator in _LISTS and isinstance(operand, (list, tuple)):
        values = operand
        if not operand:
            raise ValueError(f'"{operator}" is an empty list; add a value')
    else:
        values = (operand,)
    packed = [_text(_word(value)) for value in values]
    return b"".join(
        (b"T", OPERATORS[operator], _text(variable), struct.pack("<I", len(packed)), *packed)
    )


def _word(value: Any) -> str:
    """A value as it stands in a request."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and "e" in repr(value):
        return f"{value:.9f}"
    return str(value)


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogateescape")
    return struct.pack("<I", len(data)) + data


def _group(kind: bytes, parts: list[bytes]) -> bytes:
    return parts[0] if len(parts) == 1 else kind + struct.pack("<I", len(parts)) + b"".join(parts)


def _call(function: Callable[..., Any], callables: list[Callable[..., Any]]) -> bytes:
    callables.append(function)
    return b"C" + struct.pack("<I", len(callables) - 1)
