"""The router against a scan over all routes that follows the text of csrc/route/router.h."""

import re
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyproxy._wire import Router, WireError

METHODS = ("GET", "POST", "PUT", "PURGE")  # PURGE has no id of its own


@dataclass(frozen=True)
class Route:
    """One row of the table."""

    host: str
    path: str
    methods: tuple[str, ...]
    priority: int


Answer = tuple[int, dict[str, str]] | set[str] | None


@dataclass
class Model:
    """The precedence rules, one by one."""

    routes: list[Route] = field(default_factory=list)

    def find(self, host: str, path: str, method: str) -> Answer:
        """(index, captures), the methods that would have matched, or None."""
        allowed: set[str] | None = None
        for host_set in self._host_sets(host):
            matches = [i for i in host_set if _match_path(self.routes[i].path, path) is not None]
            fitting = [i for i in matches if _takes(self.routes[i], method)]
            if fitting:
                best = min(fitting, key=self._rank)
                return best, _match_path(self.routes[best].path, path) or {}
            if matches and allowed is None:
                allowed = {name for i in matches for name in self.routes[i].methods}
        return allowed

    def _host_sets(self, host: str) -> list[list[int]]:
        """Rule 1: exact, then the longest wildcard, then routes without a host."""
        wanted = [host] if host else []
        wanted += [f"*{host[i:]}" for i in range(1, len(host)) if host[i] == "."]
        wanted.append("")
        return [[i for i, r in enumerate(self.routes) if r.host == name] for name in wanted]

    def _rank(self, index: int) -> tuple[int, list[tuple[int, str]], bool, int]:
        """Rules 2 to 5."""
        route = self.routes[index]
        return -route.priority, _specificity(route.path), not route.methods, index


def _tokens(path: str) -> list[str]:
    return re.findall(r"\{\{|\}\}|\{[^}]*\}|\*.*|.", path)


def _specificity(path: str) -> list[tuple[int, str]]:
    """Left to right: literal text, the end, {name}, star."""
    ranks = []
    for token in _tokens(path):
        if token.startswith("*"):
            ranks.append((3, ""))
        elif token.startswith("{") and token != "{{":
            ranks.append((2, ""))
        else:
            ranks.append((0, token[0]))
    return [*ranks, (1, "")]


def _match_path(pattern: str, path: str) -> dict[str, str] | None:
    regex, names = "", []
    for token in _tokens(pattern):
        if token.startswith("*"):
            regex += "(.*)"
            names.append(token[1:])
        elif token.startswith("{") and token != "{{":
            regex += "([^/]+)"
            names.append(token[1:-1])
        else:
            regex += re.escape(token[0])
    found = re.fullmatch(regex, path)
    return None if found is None else dict(zip(names, found.groups(), strict=True))


def _takes(route: Route, method: str) -> bool:
    # Methods without an id of their own are told apart by nobody.
    return not route.methods or method in route.methods


LONG = "a-rather-long-segment-of-text"
segments = st.sampled_from(["a", "b", "ab", "abc", "", LONG, "{{", "x}}y"])
names = st.sampled_from(["{x}", "{y}"])


@st.composite
def patterns(draw: st.DrawFn) -> str:
    """Paths of routes that collide often."""
    parts = draw(st.lists(segments | names, max_size=4))
    used: set[str] = set()
    path = ""
    for part in parts:
        if part in used:
            path += "/a"
        else:
            path += "/" + part
        if part.startswith("{") and part != "{{":
            used.add(part)
    end = draw(st.sampled_from(["", "", "/", "/*", "/*rest", "*"]))
    if end == "*" and path.endswith(("x}", "y}")) and not path.endswith("}}y"):
        end = ""
    return (path + end) or "*"


asked_segments = st.sampled_from(["a", "b", "ab", "abc", "abcd", "", "c", "{", "x}y", LONG])
paths = st.builds(
    lambda parts, tail: "".join(f"/{part}" for part in parts) + tail,
    st.lists(asked_segments, max_size=5),
    st.sampled_from(["", "", "/", "*"]),
)
route_hosts = st.sampled_from(["", "a.b", "c.a.b", "*.b", "*.a.b", "*.c.a.b"])
hosts = st.sampled_from(["", "b", "a.b", "c.a.b", "d.c.a.b", "e.d.c.a.b", "x.b", "other"])
routes = st.builds(
    Route,
    route_hosts,
    patterns(),
    st.lists(st.sampled_from(METHODS), unique=True, max_size=2).map(tuple),
    st.sampled_from([0, 0, 0, 1, -1, 2**31 - 1, -(2**31)]),
)
flat_routes = routes.map(lambda r: Route(r.host, r.path, r.methods, 0))
tables = st.lists(routes, max_size=30) | st.lists(flat_routes, max_size=60)
queries = st.lists(st.tuples(hosts, paths, st.sampled_from(METHODS)), min_size=1, max_size=20)


def build(table: list[Route]) -> Router:
    router = Router()
    for i, route in enumerate(table):
        router.add(i, route.path, host=route.host, methods=route.methods, priority=route.priority)
    return router


def ask(router: Router, query: tuple[str, str, str]) -> Answer:
    try:
        return router.find(*query)
    except KeyError:
        return None
    except WireError as error:
        if error.name != "method_not_allowed":
            raise
        return {"PURGE" if name == "*" else name for name in error.allowed}


@settings(max_examples=400, deadline=None)
@given(tables, queries)
@example([Route("", "/a*", (), 0), Route("", "/{x}/b", (), 0)], [("", "/a/b", "GET")])
@example([Route("", "*", (), 0)], [("", "", "GET"), ("x.y", "*", "PURGE")])
def test_lookups_agree_with_the_scan(table: list[Route], asked: list[tuple[str, str, str]]) -> None:
    router, model = build(table), Model(table)
    for query in asked:
        assert ask(router, query) == model.find(*query), query


@settings(max_examples=100, deadline=None)
@given(tables, queries)
def test_explain_tells_what_find_does(
    table: list[Route], asked: list[tuple[str, str, str]]
) -> None:
    router = build(table)
    for query in asked:
        found = ask(router, query)
        rows = router.explain(*query)
        chosen = [route for route, is_chosen, _ in rows if is_chosen]
        assert chosen == ([found[0]] if isinstance(found, tuple) else [])
        assert (not rows) == (found is None)
        matching = [
            i
            for i, route in enumerate(table)
            if _match_path(route.path, query[1]) is not None
            and any(i in group for group in Model(table)._host_sets(query[0]))
        ]
        assert sorted(route for route, _, _ in rows) == matching


@settings(max_examples=100, deadline=None)
@given(tables, queries)
def test_a_shadowed_route_is_never_found(
    table: list[Route], asked: list[tuple[str, str, str]]
) -> None:
    router = build(table)
    shadowed = dict(router.shadowed())
    for query in asked:
        found = ask(router, query)
        if isinstance(found, tuple):
            assert found[0] not in shadowed
    for index, by in shadowed.items():
        assert table[index].host == table[by].host
        assert _specificity(table[index].path) == _specificity(table[by].path)


@pytest.mark.parametrize("depth", [1, 4, 12])
def test_every_mixture_of_text_and_captures_is_told_apart(depth: int) -> None:
    """The table in which going back costs most: 2 to the power of <depth> patterns."""
    router = Router()
    for number in range(2**depth):
        path = "".join(f"/{{n{i}}}" if number >> i & 1 else "/a" for i in range(depth))
        router.add(number, path + "/end")
    for number in range(0, 2**depth, max(1, 2**depth // 64)):
        path = "".join("/b" if number >> i & 1 else "/a" for i in range(depth))
        assert router.find("", path + "/end")[0] == number
        with pytest.raises(KeyError):
            router.find("", path + "/no")
