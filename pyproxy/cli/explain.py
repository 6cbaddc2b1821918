"""`pyproxy explain`: which route a request takes and why, without sending it."""

from __future__ import annotations

import argparse
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple

from pyproxy.config.faults import is_token
from pyproxy.config.load import load
from pyproxy.config.model import Config, Route, route_name
from pyproxy.config.patterns import render
from pyproxy.config.units import format_duration, format_size
from pyproxy.errors import StartError

if TYPE_CHECKING:
    from pyproxy._wire import Router

EPILOG = """\
examples:
  pyproxy explain http://api.example.com/v1/ann/posts
  pyproxy explain -c site.yaml -X POST https://example.com/login
  pyproxy explain /healthz               a path alone: a request for no particular host
  pyproxy explain -H 'X-User: ann' --client 10.0.0.7 '/?debug=1'

exit status: 0 when a route takes the request, 1 when none does
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "-c", "--config", default="pyproxy.yaml", metavar="FILE", help="default: pyproxy.yaml"
    )
    parser.add_argument(
        "-X", "--request", default="GET", metavar="METHOD", dest="method", help="default: GET"
    )
    parser.add_argument(
        *("-H", "--header"),
        action="append",
        default=[],
        metavar="'NAME: VALUE'",
        dest="headers",
        help="a header of the request; may be given several times",
    )
    parser.add_argument(
        "--client", default="127.0.0.1", metavar="ADDRESS", help="the client; default: 127.0.0.1"
    )
    parser.add_argument(
        "--var",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="variables",
        help="another variable that a route asks for, such as tls.sni=a.example",
    )
    parser.add_argument("url", metavar="URL", help="http://host/path, or a path alone")


class Request(NamedTuple):
    """What of a request decides its route."""

    method: str
    scheme: str
    authority: str
    host: str
    path: str
    query: str | None

    @property
    def variables(self) -> dict[str, str]:
        """What templates may name; {query} comes with its question mark."""
        query = "" if self.query is None else f"?{self.query}"
        return {"scheme": self.scheme, "host": self.authority, "path": self.path, "query": query}


def main(args: argparse.Namespace) -> int:
    """Print the decision."""
    # Imported here: the other commands work where the extension is not built.
    from pyproxy._wire import Router, WireError

    config = load(args.config, files=False)
    request = read_request(args.method, args.url)
    router = Router()
    for i, route in enumerate(config.routes):
        if route.enabled:
            add_route(router, i, route)
    asked = question(args, request)
    lines = [
        f"{request.method} {args.url}",
        f"  host {request.host or '(none)'}, path {request.path}",
        "",
    ]
    candidates = router.explain(request.host, request.path, request.method, **asked)
    if candidates:
        lines.append("candidates, in the order in which they are weighed:")
    width = max((len(route_name(config, i)) for i, _, _ in candidates), default=0)
    for i, chosen, reason in candidates:
        lines.append(f"  {'->' if chosen else '  '} {route_name(config, i):<{width}}  {reason}")
    status = 0
    try:
        index, captures = router.find(request.host, request.path, request.method, **asked)
        lines += ["", *describe(config, index, captures, request)]
    except KeyError:
        lines += ["", "no route matches: 404"]
        status = 1
    except WireError as error:
        allowed = ", ".join(getattr(error, "allowed", ()))
        lines += ["", f"no route takes {request.method} here: 405; allowed: {allowed}"]
        status = 1
    sys.stdout.write("\n".join(lines).replace("\n\n\n", "\n\n") + "\n")
    return status


def add_route(router: Router, index: int, route: Route) -> None:
    """Add every pattern of a route. A condition in Python holds here: nobody can be asked."""
    match = route.match
    predicate = match.predicate(lambda _use, _section: lambda _request: True)
    for host in match.all_hosts or ("",):
        for path in match.all_paths:
            router.add(
                index,
                path,
                host=host,
                methods=match.methods,
                priority=route.priority,
                predicate=predicate,
            )


def question(args: argparse.Namespace, request: Request) -> dict[str, Any]:
    """What else of the request conditions are about. StartError: it makes no sense."""
    from pyproxy._wire import WireError, check_variable

    headers = []
    for text in args.headers:
        name, colon, value = text.partition(":")
        if not colon or not is_token(name.strip()):
            raise StartError(f'"{text}" is not a header; write NAME: VALUE')
        headers.append((name.strip(), value.strip()))
    variables = {"scheme": request.scheme, "authority": request.authority, "protocol": "HTTP/1.1"}
    for text in args.variables:
        name, equals, value = text.partition("=")
        try:
            check_variable(name)
        except WireError:
            equals = ""
        if not equals:
            raise StartError(f'"{text}" is not a variable; write NAME=VALUE')
        variables[name] = value
    try:
        ip_address(args.client)
    except ValueError:
        raise StartError(f'"{args.client}" is not an IP address') from None
    return {
        "client": args.client,
        "headers": headers,
        "query": request.query,
        "variables": variables,
    }


def read_request(method: str, url: str) -> Request:
    """Take a URL apart and bring its path to the form on which routes are matched.

    StartError: it is none.
    """
    from pyproxy._wire import WireError, normal_path, parse_authority, split_target

    try:
        if url.startswith("/"):
            path, mark, query = url.partition("?")
            scheme, authority, host, found = "http", "", "", query if mark else None
        else:
            if "://" not in url:
                url = f"http://{url}"
            scheme, authority, path, found = split_target(url)
            host = parse_authority(authority)[0].lower()
        return Request(method, scheme, authority, host, normal_path(path).decode("ascii"), found)
    except WireError as error:
        raise StartError(f'"{url}" would get 400: {error}') from None


def describe(config: Config, index: int, captures: dict[str, str], request: Request) -> list[str]:
    """The rows about the chosen route.

    Where it stands, what it captures, what becomes of the request.
    """
    route = config.routes[index]
    rows = [("route", route_name(config, index))]
    if route.place.file:
        rows[0] = ("route", f"{route_name(config, index)} ({route.place.file}:{route.place.line})")
    rows += [
        ("captures" if i == 0 else "", f"{name} = {value}")
        for i, (name, value) in enumerate(captures.items())
    ]
    if config.filters or route.filters:
        from pyproxy.config.filters.order import chain

        labels = [ref.label for _, ref in chain(config, index)]
        rows.append(("filters", ", ".join(labels) or "none"))
    values = captures | request.variables
    rows += _action(config, route, values)
    if not (route.respond or route.redirect):
        rows += _upstream_request(route, request, values)
        rows.append(
            ("max body", format_size(route.max_body_bytes) if route.max_body_bytes else "unlimited")
        )
        if route.timeout_ms:
            rows.append(("timeout", format_duration(route.timeout_ms)))
    return [f"{label:<11}{text}".rstrip() for label, text in rows]


def _action(config: Config, route: Route, values: dict[str, str]) -> list[tuple[str, str]]:
    if route.upstream is not None:
        rows = [("upstream", route.upstream)]
        for endpoint in config.upstreams[route.upstream].endpoints:
            weight = f" (weight {endpoint.weight})" if endpoint.weight != 1 else ""
            rows.append(("", endpoint.address + weight))
        discover = config.upstreams[route.upstream].discover
        return rows + ([("", f"and what is found by {discover.title}")] if discover else [])
    if route.split is not None:
        total = sum(arm.weight for arm in route.split.arms)
        rows = [
            ("", f"{arm.weight * 100 / total:.4g} % to {arm.upstream}") for arm in route.split.arms
        ]
        by = f", by {route.split.by}" if route.split.by else ""
        return [("split", f"{len(rows)} arms{by}"), *rows]
    if route.redirect:
        return [("redirect", f"{route.redirect.status} {render(route.redirect.location, values)}")]
    if route.respond:
        return [("respond", f"{route.respond.status}, {len(route.respond.body.encode())} bytes")]
    return [("action", "a filter answers or names where to connect")]


def _upstream_request(
    route: Route, request: Request, values: dict[str, str]
) -> list[tuple[str, str]]:
    """The request line and Host that the origin would get."""
    path = request.path if route.rewrite.path is None else render(route.rewrite.path, values)
    host = render(route.rewrite.host, values) if route.rewrite.host else request.authority
    rows = [("sends", f"{request.method} {path}{request.variables['query']}")]
    if host:
        rows.append(("", f"Host: {host}"))
    return rows
