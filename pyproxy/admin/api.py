"""The admin endpoints. All but one are GET and change nothing.

/                overview for people
/healthz         200 while the control process runs
/ready           200 while every worker serves; 503 with the reasons otherwise
/metrics         Prometheus text
/listeners       where the proxy can be reached, real ports included
/certificates    the certificates in force, their days and what is wrong with them; never a key
/upstreams       endpoints: state, weight, requests in progress; what sources of them say
/config/summary  listeners, routes and upstreams in force; no filter configuration, no header values

POST /upstreams/NAME/endpoints/ADDRESS with {"state": "ready" | "drain" | "down" | "configured",
"weight": number, 0 for the configuration's} changes what is given, in all workers at once. It must
come as application/json and without Origin: no page in a browser can send that unasked.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pyproxy._version import __version__
from pyproxy.config import model
from pyproxy.supervise.endpoints import Endpoints, OrderError, UnknownEndpoint
from pyproxy.supervise.pressure import Pressure
from pyproxy.tls.held import certificates_of, rows_of

from . import discovery_metrics, metrics, page

# The pages are pictures of the moment.
_FRESH = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_PAGE_HEADERS = {
    **_FRESH,
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
}


_MAX_BODY = 4096


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """What is to change of an endpoint."""

    state: str | None = None
    weight: int | None = None


_CHANGE = msgspec.json.Decoder(Change)


@dataclass(slots=True)
class Overview:
    """What the endpoints show. `state` is the supervisor's last STATE message."""

    config: model.Config
    segment: metrics.Segment
    listeners: list[dict[str, Any]]
    start_time: float
    endpoints: Endpoints | None = None
    pressure: Pressure | None = None
    state: dict[str, Any] = field(
        default_factory=lambda: {"phase": "starting", "pid": 0, "workers": []}
    )
    shared: metrics.Table | None = None
    # What sources of endpoints say, by upstream.
    discovery: Callable[[], dict[str, dict[str, Any]]] = dict
    clock: Callable[[], float] = time.time

    def not_ready(self) -> list[str]:
        """Why the proxy should get no traffic now; empty: it should."""
        phase = self.state["phase"]
        reasons = [] if phase == "running" else [f"the service is {phase}"]
        reasons += [
            f"worker {w['slot']} is {w['state']}"
            for w in self.state["workers"]
            if w["state"] != "ready"
        ]
        return reasons

    def groups(self) -> dict[str, dict[str, Any]]:
        """What is going on at each upstream as a whole."""
        return self.pressure.rows(self.config) if self.pressure else {}

    def page(self) -> str:
        """The overview for people."""
        summary, groups = config_summary(self.config), self.groups()
        return page.render(self.not_ready(), summary, self.listeners, self.state["workers"], groups)

    def metrics_page(self) -> str:
        """The Prometheus text."""
        now = self.clock()
        age = max(now - self.start_time, 0.0)
        families = metrics.process_families(self.state["workers"], age, self.start_time)
        if self.shared is not None:
            families += metrics.shared_families(self.shared, time.monotonic_ns())
        families += discovery_metrics.families(self.discovery())
        families.append(metrics.certificate_family(certificates_of(self.config), now))
        return metrics.render(self.segment, [family for family in families if family.lines])


def application(overview: Overview) -> Starlette:
    """The ASGI application over <overview>, which the caller keeps up to date."""

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_FRESH)

    async def ready(request: Request) -> Response:
        reasons = overview.not_ready()
        return JSONResponse(
            {"ready": not reasons, "reasons": reasons}, 503 if reasons else 200, _FRESH
        )

    async def metrics_text(request: Request) -> Response:
        return Response(
            overview.metrics_page(), headers={**_FRESH, "content-type": metrics.CONTENT_TYPE}
        )

    async def listeners(request: Request) -> Response:
        return JSONResponse({"listeners": overview.listeners}, headers=_FRESH)

    async def certificates(request: Request) -> Response:
        rows = rows_of(overview.config, overview.clock())
        return JSONResponse({"certificates": rows}, headers=_FRESH)

    async def summary(request: Request) -> Response:
        return JSONResponse(config_summary(overview.config), headers=_FRESH)

    async def upstreams(request: Request) -> Response:
        rows = overview.endpoints.rows(overview.config) if overview.endpoints else {}
        groups = overview.groups()
        found = overview.discovery()
        return JSONResponse(
            {"upstreams": rows, "groups": groups, "discovery": found}, headers=_FRESH
        )

    async def endpoint(request: Request) -> Response:
        status, body = await change_endpoint(overview, request)
        return JSONResponse(body, status, _FRESH)

    async def index(request: Request) -> Response:
        return HTMLResponse(overview.page(), headers=_PAGE_HEADERS)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/healthz", healthz),
            Route("/ready", ready),
            Route("/metrics", metrics_text),
            Route("/listeners", listeners),
            Route("/certificates", certificates),
            Route("/upstreams", upstreams),
            Route("/upstreams/{name}/endpoints/{address:path}", endpoint, methods=["POST"]),
            Route("/config/summary", summary),
        ]
    )


async def change_endpoint(overview: Overview, request: Request) -> tuple[int, dict[str, Any]]:
    """Status and body of the answer to a POST."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if "origin" in request.headers:
        return 403, {"error": "a page in a browser may change nothing"}
    if kind != "application/json":
        return 415, {"error": "send application/json"}
    if overview.endpoints is None:
        return 503, {"error": "there is nothing to change yet"}
    if int(request.headers.get("content-length") or _MAX_BODY + 1) > _MAX_BODY:
        return 413, {"error": f"send at most {_MAX_BODY} bytes, and say how many"}
    try:
        change = _CHANGE.decode(await request.body())
        row = overview.endpoints.order(
            overview.config,
            request.path_params["name"],
            request.path_params["address"],
            state=change.state,
            weight=change.weight,
        )
    except msgspec.MsgspecError as error:
        return 400, {"error": str(error)}
    except UnknownEndpoint as error:
        return 404, {"error": str(error)}
    except OrderError as error:
        return 400, {"error": str(error)}
    return 200, row


def config_summary(config: model.Config) -> dict[str, Any]:
    """Names, addresses and order: enough to see what is in force.

    And nothing that could be a secret.
    """
    return {
        "version": __version__,
        "listeners": {
            name: {"bind": [bind.address for bind in listener.bind], "protocol": listener.protocol}
            for name, listener in config.listeners.items()
        },
        "upstreams": {
            name: {
                "balance": upstream.balance.policy,
                "endpoints": [
                    {"address": e.address, "weight": e.weight} for e in upstream.endpoints
                ],
            }
            for name, upstream in config.upstreams.items()
        },
        "filters": [ref.name for ref in config.filters],
        "routes": [_route_summary(config, i) for i in range(len(config.routes))],
    }


def _route_summary(config: model.Config, index: int) -> dict[str, Any]:
    route = config.routes[index]
    return {
        "name": model.route_name(config, index),
        "hosts": list(route.match.all_hosts),
        "paths": list(route.match.all_paths),
        "methods": list(route.match.methods),
        "priority": route.priority,
        "filters": [ref.name for ref in route.filters],
        "action": _action(route),
    }


def _action(route: model.Route) -> str:
    if route.upstream is not None:
        return f"upstream {route.upstream}"
    if route.split is not None:
        arms = ", ".join(f"{arm.upstream} ({arm.weight})" for arm in route.split.arms)
        return f"split {arms}"
    if route.respond is not None:
        return f"respond {route.respond.status}"
    if route.redirect is not None:
        return f"redirect {route.redirect.status}"
    return "filters"
