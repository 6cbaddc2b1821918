"""Endpoints of an upstream, and how one is chosen. The engine's side is csrc/route/balance.h."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.section import HIDDEN, Count, Section
from pyproxy.config.units import Duration

# Steps of a slow start, and a whole weight in them (csrc/proxy/cluster.h).
RAMP = 32
FULL = 1000
TIERS = 16

_CLIENT = "client.address"
# Variables that tell no client from another.
_NO_KEYS = ("upstream", "request.id", "time")
_COOKIE = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"
# Without ";", spaces and controls (RFC 6265 section 4.1.1).
_ATTRIBUTE = r"^[!-:<-~]{0,256}$"


def _is_key(name: str) -> bool:
    if name == _CLIENT:  # by far the most, and no reason to load the extension
        return True
    from pyproxy._wire import WireError, check_variable

    try:
        check_variable(name)
    except WireError:
        return False
    return name not in _NO_KEYS


class SlowStart(Section, frozen=True, kw_only=True):
    """An endpoint that comes back, or is new, gets less at first.

    One word stands for `{window: word}`.
    """

    shorthand: ClassVar[str] = "window"

    window_ms: Annotated[
        Duration, Meta(ge=0, le=86_400_000, description="Until it has its whole weight.")
    ] = field(name="window")
    min_weight: Annotated[
        int, Meta(ge=1, le=100, description="Percent of its weight that it has at once.")
    ] = 10
    aggression: Annotated[
        float,
        Meta(
            ge=0.1,
            le=10,
            description="How the weight grows with time: 1 evenly, above 1 faster at first, below "
            "1 slower at first.",
        ),
    ] = 1.0

    def ramp(self) -> tuple[int, ...]:
        """The weight in each step."""
        share = ((step / RAMP) ** (1 / self.aggression) for step in range(RAMP))
        return tuple(max(FULL * self.min_weight // 100, round(FULL * part)) for part in share)


class Balance(Section, frozen=True, kw_only=True):
    """How an endpoint is chosen. One word stands for `{policy: word}`."""

    shorthand: ClassVar[str] = "policy"

    policy: Annotated[
        Literal["round_robin", "least_request", "random", "ring_hash", "maglev", "peak_ewma"],
        Meta(
            description="`round_robin`: in turn, evenly spread. `least_request`: of two drawn by "
            "weight, who has fewer requests in all workers. `random`: drawn by weight. "
            "`ring_hash`, `maglev`: by a hash of `key`, so that few keys move when endpoints "
            "change. `peak_ewma`: of two, who answers sooner."
        ),
    ] = "round_robin"
    key: Annotated[
        str,
        Meta(
            description="What `ring_hash` and `maglev` hash: a request variable. Requests that "
            "have no such thing are spread at random; on TCP and UDP listeners it is always the "
            "client's address.",
            examples=["header.x-user", "cookie.session", "query.id", "path", "client.address"],
        ),
    ] = _CLIENT
    points: Annotated[
        int,
        Meta(ge=1, le=65_536, description="Points of an endpoint of mean weight on `ring_hash`."),
    ] = 256
    bounded_load: Annotated[
        float,
        Meta(
            ge=0,
            le=100,
            description="Most that an endpoint may have of the requests in progress, as a multiple "
            "of its fair share: 1.25, for instance. What is more goes on to the next one. 0: no "
            "bound. Of `ring_hash` and `maglev`.",
        ),
    ] = 0.0
    panic_threshold: Annotated[
        int,
        Meta(
            ge=0,
            le=100,
            description="When fewer percent of the endpoints are healthy in every tier, all are "
            "used; 0: never.",
        ),
    ] = 50
    slow_start: Annotated[
        SlowStart | None,
        Meta(
            description="Endpoints that come back, or are new, get less at first; not with "
            "`ring_hash` and `maglev`. Absent: none.",
            examples=["30s", {"window": "1m", "min_weight": 5, "aggression": 1.5}],
        ),
    ] = None

    def __post_init__(self) -> None:
        if not _is_key(self.key):
            raise ValueError(f'"{self.key}" is no request variable; write header.NAME or the like')
        if 0 < self.bounded_load <= 1:
            raise ValueError("bounded_load must be more than 1, or 0")

    def numbers(self) -> dict[str, Any]:
        """What the engine wants to know besides the policy."""
        slow = self.slow_start
        return {
            "key": self.key,
            "points": self.points,
            "bound_percent": round(self.bounded_load * 100),
            "panic_percent": self.panic_threshold,
            "slow_start_ms": slow.window_ms if slow else 0,
            "ramp": slow.ramp() if slow else (),
        }


class Sticky(Section, frozen=True, kw_only=True):
    """A cookie that brings a client back to its endpoint. One word stands for `{cookie: word}`."""

    shorthand: ClassVar[str] = "cookie"

    cookie: Annotated[str, Meta(pattern=_COOKIE, description="Its name.")]
    ttl_ms: Annotated[
        Duration,
        Meta(ge=0, description="How long the client keeps it; 0: until the browser is closed."),
    ] = field(name="ttl", default=0)
    path: Annotated[
        str, Meta(pattern=_ATTRIBUTE, description="Where it is sent. Empty: below the request's.")
    ] = "/"
    domain: Annotated[
        str, Meta(pattern=_ATTRIBUTE, description="To which hosts. Empty: the one that set it.")
    ] = ""
    secure: Annotated[bool, Meta(description="Over TLS only.")] = False
    http_only: Annotated[bool, Meta(description="Hidden from scripts.")] = True
    same_site: Annotated[
        Literal["strict", "lax", "none", "unset"],
        Meta(description="Whether other sites' requests carry it; `none` needs `secure`."),
    ] = "lax"

    def __post_init__(self) -> None:
        if self.same_site == "none" and not self.secure:
            raise ValueError("same_site: none needs secure: true, or browsers drop the cookie")

    def attributes(self) -> str:
        """What follows its value."""
        parts = [f"Path={self.path}"] if self.path else []
        if self.domain:
            parts.append(f"Domain={self.domain}")
        if self.ttl_ms:
            parts.append(f"Max-Age={-(-self.ttl_ms // 1000)}")
        if self.secure:
            parts.append("Secure")
        if self.http_only:
            parts.append("HttpOnly")
        if self.same_site != "unset":
            parts.append(f"SameSite={self.same_site.capitalize()}")
        return "".join(f"; {part}" for part in parts)


class Endpoint(Section, frozen=True, kw_only=True):
    """One address of an upstream. One word stands for `{address: word}`."""

    shorthand: ClassVar[str] = "address"

    address: Annotated[
        str,
        Meta(
            description="`host:port`, `[v6]:port`, `unix:/path`, or `demo:` for the built-in "
            "demonstration origin. "
            "A host name is resolved once, at start and by a reload; `discover` follows names.",
            examples=["127.0.0.1:9000", "app.internal:80", "unix:/run/app.sock", "demo:"],
        ),
    ]
    weight: Annotated[
        int, Meta(ge=1, le=65_535, description="Its share of the requests, relative to the others.")
    ] = 1
    priority: Annotated[
        int,
        Meta(
            ge=0,
            le=TIERS - 1,
            description="Its tier: endpoints of a higher number are used when too few of the lower "
            "ones are healthy.",
        ),
    ] = 0
    backup: Annotated[bool, Meta(description="The same as `priority: 1`.")] = False
    drain: Annotated[
        bool, Meta(description="It gets nothing new, but clients that stick to it come back.")
    ] = False
    max_requests: Annotated[
        Count,
        Meta(
            description="Requests in progress at once, in all workers together, and at all "
            "addresses of a host name; a full endpoint is not chosen. 0: no limit."
        ),
    ] = 0
    max_connections: Annotated[
        Count,
        Meta(description="Connections open at once, in each worker, to each address. 0: no limit."),
    ] = 0
    resolved: Annotated[tuple[str, ...], HIDDEN] = ()
    # It was found while the service runs, by the name <host> if it has one (config/found.py).
    found: Annotated[bool, HIDDEN] = False
    host: Annotated[str, HIDDEN] = ""

    def __post_init__(self) -> None:
        if self.backup and self.priority > 1:
            raise ValueError("a backup has priority 1; remove one of them")

    @property
    def role(self) -> dict[str, Any]:
        """What is not usual about it, as the engine calls it."""
        named = {
            "tier": self.tier,
            "drain": self.drain,
            "max_requests": self.max_requests,
            "max_connections": self.max_connections,
        }
        return {name: value for name, value in named.items() if value}

    @property
    def is_limited(self) -> bool:
        """Has it limits of its own?"""
        return bool(self.max_requests or self.max_connections)

    @property
    def tier(self) -> int:
        """`priority`, or what `backup` stands for."""
        return max(self.priority, int(self.backup))
