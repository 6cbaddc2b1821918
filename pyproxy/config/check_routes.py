"""The rules of routes: names, patterns, actions, templates, answers."""

from __future__ import annotations

from collections.abc import Callable

from pyproxy.config import patterns
from pyproxy.config.check_match import check_conditions, check_split
from pyproxy.config.decode import nearest
from pyproxy.config.faults import Report, is_field_value, is_token
from pyproxy.config.model import (
    Config,
    Listener,
    Match,
    Redirect,
    Respond,
    Rewrite,
    Route,
    Section,
    route_name,
)

# Fields that the engine writes itself, from what it really sends.
_OWN_FIELDS = (
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
_NO_BODY = (204, 205, 304)

_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")

# add(route, path, host, methods, priority): raises ValueError with the router's own sentence.
_AddRoute = Callable[..., None]


def check_routes(config: Config, report: Report) -> None:
    """All rules of routes, for all routes."""
    add = _router()
    names: dict[str, str] = {}
    for i, route in enumerate(config.routes):
        path = f"routes[{i}]"
        _check_name(config, i, names, report)
        _check_action(config, route, path, report)
        captured = _check_match(route, path, add, report)
        _check_tunnels(route, path, report)
        _check_templates(route, path, captured, report)
        if route.respond:
            _check_respond(route.respond, f"{path}.respond", report)


def _router() -> _AddRoute | None:
    """The add method of a fresh router of the data plane; None where the extension is not built."""
    try:
        from pyproxy._wire import Router
    except ImportError:
        return None
    return Router().add


def _check_name(config: Config, index: int, names: dict[str, str], report: Report) -> None:
    name, route, path = route_name(config, index), config.routes[index], f"routes[{index}]"
    if len(name) > 100 or not name.isprintable() or '"' in name or name == "-":
        report.add(
            route,
            "name",
            "this is not a usable name",
            "use letters, digits, _ - . and /",
            path=path,
        )
    if name in names:
        cure = "give each route its own"
        report.add(
            route, "name", f'the name "{name}" is taken already, by {names[name]}', cure, path=path
        )
    names.setdefault(name, report.place(route, "name", path))


def _check_action(config: Config, route: Route, path: str, report: Report) -> None:
    words = ("upstream", "split", "respond", "redirect")
    actions = [key for key in words if _has(route, key, report)]
    if len(actions) > 1:
        cure = f"keep one of {', '.join(actions)}"
        report.add(route, actions[1], "a route has one action", cure, path=path)
    elif (
        not actions
        and not route.filters
        and not config.filters
        and not _has_filters(config, route, report)
    ):
        cure = "add upstream, split, respond or redirect; or a filter that answers"
        report.add(route, "", "the route has no action", cure, path=path)
    if actions and actions[0] in ("respond", "redirect"):
        for key in ("path", "host"):
            if getattr(route.rewrite, key) is not None:
                message = f"{actions[0]} sends nothing upstream: there is nothing to rewrite"
                report.add(route, ("rewrite", key), message, "remove it", path=path)
    check_upstream(config, route, path, report)
    check_split(config, route, path, report)


def check_upstream(config: Config, section: Route | Listener, path: str, report: Report) -> None:
    """Is there an upstream of the name that a section gives?"""
    if section.upstream is not None:
        check_upstream_name(config, section, "upstream", section.upstream, path, report)


def check_upstream_name(
    config: Config,
    section: Section,
    key: str | tuple[str, str],
    name: str,
    path: str,
    report: Report,
) -> None:
    """Is there an upstream of that name, which stands at a key of a section?"""
    known = set(config.upstreams)
    written = config.place.find("upstreams")
    if written.at == "upstreams" and written.kind == "map":
        known |= set(written.value)  # those that have faults of their own exist too
    if name not in known:
        cure = nearest(name, known) or 'define it under "upstreams"'
        report.add(section, key, f'there is no upstream named "{name}"', cure, path=path)


def _has(route: Route, key: str, report: Report) -> bool:
    return getattr(route, key) is not None or report.written(route, key)


def _has_filters(config: Config, route: Route, report: Report) -> bool:
    """Filters that were written but could not be read are filters all the same."""
    return report.written(route, "filters") or report.written(config, "filters")


def _check_match(
    route: Route, path: str, add: _AddRoute | None, report: Report
) -> dict[str, list[str]]:
    """Check what a route matches; the captures of each of its paths that can be used."""
    match, here = route.match, f"{path}.match"
    for one, many in (("host", "hosts"), ("path", "paths")):
        if getattr(match, one) is not None and getattr(match, many):
            report.add(
                match,
                many,
                f'both "{one}" and "{many}" are given',
                f"move all to {many}",
                path=here,
            )
    for i, method in enumerate(match.methods):
        if not is_token(method):
            report.add(
                match, ("methods", i), f'"{method}" is not a method', "such as GET", path=here
            )
        elif method != method.upper() and method.upper() in _METHODS:
            message = f'"{method}" is not "{method.upper()}": methods are case-sensitive'
            report.add(match, ("methods", i), message, f"write {method.upper()}", path=here)
    check_conditions(match, here, report)
    _check_hosts(match, here, add, report)
    captured: dict[str, list[str]] = {}
    for i, pattern in enumerate(match.all_paths):
        keys = "path" if match.path is not None else ("paths", i)
        try:
            names = patterns.captures(pattern)
            if add is not None:
                add(0, pattern, host="", methods=(), priority=0)
        except ValueError as error:
            report.refuse(match, keys, error, path=here)
            continue
        captured[pattern] = names
    return captured


def _check_tunnels(route: Route, path: str, report: Report) -> None:
    """Which protocols a client may switch to, and where CONNECT leads."""
    for i, protocol in enumerate(route.upgrade):
        name, slash, version = protocol.partition("/")
        if not is_token(name) or (slash and not is_token(version)):
            message = f'"{protocol}" is not the name of a protocol'
            report.add(route, ("upgrade", i), message, "such as websocket", path=path)
        elif name.lower() == "h2c":
            message = "a client cannot switch to h2c through a proxy, which speaks HTTP itself"
            report.add(route, ("upgrade", i), message, "remove it", path=path)
    answers = route.respond is not None or route.redirect is not None
    if "CONNECT" in route.match.methods and answers:
        message = "the answer to CONNECT is a tunnel, and a tunnel leads to an upstream"
        cure = "give the route an upstream, or remove CONNECT"
        report.add(route.match, "methods", message, cure, path=f"{path}.match")


def _check_hosts(match: Match, path: str, add: _AddRoute | None, report: Report) -> None:
    for i, host in enumerate(match.all_hosts):
        keys = "host" if match.host is not None else ("hosts", i)
        try:
            _check_host(host)
            if add is not None:
                add(0, "/*", host=host, methods=(), priority=0)
        except ValueError as error:
            report.refuse(match, keys, error, path=path)


def _check_host(host: str) -> None:
    if not host or host == "*":
        raise ValueError(f'"{host}" is not a host; remove it to match any host')
    if "://" in host or "/" in host:
        raise ValueError(f'"{host}" is not a host; write the name only, without scheme and path')
    if not host.startswith("[") and ":" in host:
        raise ValueError(f'"{host}" holds a port; routes match the host name without it')
    if "*" in host[1:] or (host.startswith("*") and not host.startswith("*.")):
        raise ValueError(f'"{host}" has its star in the wrong place; write *.example.com')


def _check_templates(
    route: Route, path: str, captured: dict[str, list[str]], report: Report
) -> None:
    if route.redirect:
        _check_location(route.redirect, captured, f"{path}.redirect", report)
    rewrite, here = route.rewrite, f"{path}.rewrite"
    for key in ("path", "host"):
        text = getattr(rewrite, key)
        if text is None:
            continue
        if not _check_names(rewrite, key, captured, here, report):
            continue
        if key == "path" and not text.startswith(("/", "{path}")):
            report.add(
                rewrite, key, 'the new path does not begin with "/"', f'write "/{text}"', path=here
            )
        if key == "path" and ("?" in text or "{query}" in text):
            message = "the new path holds a query: the request's own is kept"
            report.add(rewrite, key, message, "write the path only", path=here)
        if key == "host" and ("/" in text or not text.isprintable() or " " in text):
            report.add(
                rewrite, key, f'"{text}" is not a host', "write host or host:port", path=here
            )


def _check_location(
    redirect: Redirect, captured: dict[str, list[str]], path: str, report: Report
) -> None:
    text = redirect.location
    if not _check_names(redirect, "location", captured, path, report):
        return
    if not text or " " in text or not text.isascii() or not text.isprintable():
        report.add(
            redirect,
            "location",
            "this is not a URL",
            "percent-encode what a URL cannot hold",
            path=path,
        )


def _check_names(
    section: Rewrite | Redirect, key: str, captured: dict[str, list[str]], path: str, report: Report
) -> bool:
    """Does every path of the route capture what the template names?"""
    try:
        names = patterns.placeholders(getattr(section, key))
    except ValueError as error:
        report.refuse(section, key, error, path=path)
        return False
    for name in names:
        for pattern, known in captured.items():
            if name in patterns.VARIABLES and name in known:
                message = f"{{{name}}} is the request's {name} here, not the capture of the path"
                report.add(section, key, message, "give the capture another name", path=path)
                return False
            if name not in known and name not in patterns.VARIABLES:
                cure = nearest(name, [*known, *patterns.VARIABLES])
                message = f'the path "{pattern}" captures no "{name}"'
                report.add(section, key, message, cure, path=path)
                return False
    return True


def _check_respond(respond: Respond, path: str, report: Report) -> None:
    for name, given in respond.headers.items():
        keys = ("headers", name)
        if not is_token(name):
            report.add(respond, keys, f'"{name}" is not a header name', path=path, on_key=True)
        elif name.lower() in _OWN_FIELDS:
            report.add(
                respond,
                keys,
                f"{name} is written by the proxy itself",
                "remove it",
                path=path,
                on_key=True,
            )
        for value in (given,) if isinstance(given, str) else given:
            if not is_field_value(value):
                message = "a header value cannot hold control characters, or spaces at its ends"
                report.add(respond, keys, message, path=path)
    if respond.body and respond.status in _NO_BODY:
        cure = "remove the body"
        report.add(
            respond, "body", f"a response with status {respond.status} has no body", cure, path=path
        )
