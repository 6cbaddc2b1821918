"""The rules of conditions and splits of routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pyproxy.config.faults import Report, is_token
from pyproxy.config.model import Condition, Config, Match, Route, Section, Test
from pyproxy.config.sections_match import OPERATOR_WORDS, Split
from pyproxy.expressions import entry

_Keys = tuple[str | int, ...]
_CURES = {
    "regex": "see github.com/google/re2/wiki/Syntax; back-references and look-around do not exist",
    "cidr": "such as 10.0.0.0/8 or 2001:db8::1, with no bits set behind the prefix",
    "clients": "such as 10.0.0.0/8 or 2001:db8::1, with no bits set behind the prefix",
}
_WORDS = (*OPERATOR_WORDS, "all", "any", "not", "python")
_MAX_DEPTH = 32  # as PP_PREDICATE_DEPTH_MAX


def check_conditions(match: Match, path: str, report: Report) -> None:
    """Everything that a route asks for beyond host, path and method."""
    for i, client in enumerate(match.clients):
        _check_program(match, ("clients", i), "client.address", {"cidr": [client]}, path, report)
    for word, prefix in (("headers", "header."), ("query", "query."), ("cookies", "cookie.")):
        for name, given in getattr(match, word).items():
            if word == "headers" and not is_token(name):
                message = f'"{name}" is not a header name'
                report.add(match, (word, name), message, path=path, on_key=True)
                continue
            if _check_variable(match, (word, name), f"{prefix}{name}", path, report):
                _check_tests(match, (word, name), f"{prefix}{name}", given, path, report)
    if match.when is not None:
        check_condition(match.when, f"{path}.when", "", 0, report)


def check_when(condition: Condition, path: str, report: Report) -> None:
    """A condition that stands by itself, at <path>."""
    check_condition(condition, path, "", 0, report)


def _check_tests(
    section: Section,
    keys: _Keys,
    variable: str,
    given: Test | tuple[str, ...],
    path: str,
    report: Report,
) -> None:
    """One entry of a map: a list, or a test with perhaps more tests below its `not`."""
    if not isinstance(given, Test):
        if not given:
            report.add(section, keys, "a list of no values fits nothing", "add one", path=path)
        return
    found = False
    for word, value in _operators(given):
        found = True
        _check_program(section, (*keys, word), variable, {word: value}, path, report)
    if given.not_ is not None:
        found = True
        _check_tests(section, (*keys, "not"), variable, given.not_, path, report)
    if not found and not _is_written(given):
        message, cure = "the test asks for nothing", "add an operator, such as exists: on"
        report.add(section, keys, message, cure, path=path)


def _is_written(test: Test) -> bool:
    """Does the file say anything of it that could not be read? That has faults of its own."""
    keys = test.place.value if test.place.kind == "map" else {}
    return any(key not in _WORDS or below.value for key, below in keys.items() if key != "var")


def _operators(test: Test) -> Iterator[tuple[str, Any]]:
    for word in OPERATOR_WORDS:
        value = getattr(test, word)
        if value is not None and value != ():
            yield word, list(value) if isinstance(value, tuple) else value


def _check_program(
    section: Section,
    keys: _Keys,
    variable: str,
    given: Mapping[str, Any],
    path: str,
    report: Report,
) -> None:
    """Let the data plane look at one operator and what it compares with."""
    try:
        from pyproxy._wire import check_predicate
    except ImportError:  # where the extension is not built
        return
    try:
        check_predicate(entry(variable, given))
    except ValueError as error:
        what, _, cure = str(error).partition("; ")
        word = next((str(key) for key in reversed(keys) if key in _CURES), "")
        report.add(section, keys, what, cure or _CURES.get(word, ""), path=path)


def _check_variable(section: Section, keys: _Keys, name: str, path: str, report: Report) -> bool:
    try:
        from pyproxy._wire import check_variable, variable_rows
    except ImportError:
        return True
    try:
        check_variable(name)
    except ValueError:
        from pyproxy.config.decode import nearest

        known = [row if not row.endswith(".") else f"{row}NAME" for row, _ in variable_rows()]
        message = f'there is no variable named "{name}"'
        report.add(section, keys, message, nearest(name, known), path=path)
        return False
    return True


def check_condition(
    condition: Condition, path: str, variable: str, depth: int, report: Report
) -> None:
    """One node of a `when` tree, and what stands below it."""
    if depth == _MAX_DEPTH:
        report.add(condition, "", f"conditions are nested more than {_MAX_DEPTH} deep", path=path)
        return
    if condition.var is not None:
        known = _check_variable(condition, ("var",), condition.var, path, report)
        variable = condition.var if known else "path"  # one that exists, for the rest
    operators = list(_operators(condition))
    below = [
        *((f"{path}.all[{i}]", item) for i, item in enumerate(condition.all)),
        *((f"{path}.any[{i}]", item) for i, item in enumerate(condition.any)),
        *([(f"{path}.not", condition.not_)] if condition.not_ is not None else []),
    ]
    for word, value in operators:
        if not variable:
            message = f'"{word}" is of no variable'
            report.add(condition, word, message, 'add "var", such as var: header.x', path=path)
            break
        _check_program(condition, (word,), variable, {word: value}, path, report)
    if condition.python is not None and not _is_reference(condition.python):
        message = f'"{condition.python}" names no function'
        report.add(condition, "python", message, "write module:function", path=path)
    is_empty = not operators and not below and condition.python is None
    if is_empty and not _is_written(condition):
        cure = "add an operator, such as exists: on" if variable else "add all, any, not or var"
        report.add(condition, "", "the condition asks for nothing", cure, path=path)
    for place, item in below:
        check_condition(item, place, variable, depth + 1, report)


def _is_reference(use: str) -> bool:
    module, colon, name = use.partition(":")
    parts = [*module.split("."), *name.split(".")]
    return bool(colon) and all(part.isidentifier() for part in parts)


def check_split(config: Config, route: Route, path: str, report: Report) -> None:
    """Arms with upstreams that exist, names that differ, and a weight among them."""
    split = route.split
    if split is None:
        return
    here = f"{path}.split"
    if split.by:
        _check_variable(split, ("by",), split.by, here, report)
    _check_arms(config, split, here, report)
    if split.arms and not any(arm.weight for arm in split.arms):
        message = "no arm has a weight: nothing could go anywhere"
        report.add(split, "arms", message, "give one a weight above 0", path=here)


def _check_arms(config: Config, split: Split, path: str, report: Report) -> None:
    from pyproxy.config.check_routes import check_upstream_name

    names: set[str] = set()
    for i, arm in enumerate(split.arms):
        here = f"{path}.arms[{i}]"
        check_upstream_name(config, arm, "upstream", arm.upstream, here, report)
        name = arm.name or arm.upstream
        key = "name" if arm.name else "upstream"
        if name in names:
            message = f'the name "{name}" is another arm\'s, too'
            report.add(arm, key, message, "give each arm a name of its own", path=here)
        if not name.isprintable() or '"' in name or len(name) > 100:
            report.add(
                arm, key, "this is not a usable name", "use letters, digits, _ - and .", path=here
            )
        names.add(name)
