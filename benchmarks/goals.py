"""The goals of the project, and what a result (the JSON of one run) says about each. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.stats import Spread

Result = Mapping[str, Any]
PEERS = ("nginx", "haproxy", "envoy", "pingora")
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table: a figure, and the limit that it must keep."""

    text: str
    limit: float
    unit: str
    find: Callable[[Result], Spread | None]
    at_least: bool = False

    @property
    def wanted(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {number(self.limit)}{self.unit}"

    def is_met(self, got: float) -> bool:
        return got >= self.limit if self.at_least else got <= self.limit


@dataclass(frozen=True, slots=True)
class Verdict:
    """A goal with what was measured: `word` is met, missed or not measured."""

    text: str
    wanted: str
    got: Spread | None
    unit: str
    word: str

    def as_json(self) -> dict[str, Any]:
        return {
            "figure": self.text,
            "goal": self.wanted,
            "got": self.got.as_json() if self.got else None,
            "unit": self.unit,
            "verdict": self.word,
        }


def number(value: float) -> str:
    """A figure for people: three digits or so, no exponent."""
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def dig(result: Result, *path: str) -> Any:
    """The value at `path`, or None where it ends early."""
    found: Any = result
    for key in path:
        if not isinstance(found, Mapping) or key not in found:
            return None
        found = found[key]
    return found


def exactly(value: float) -> Spread:
    """A figure that was measured once."""
    return Spread(value, value, value, 1)


def ratio(scenario: str, other: str, key: str = "cpu_us") -> Callable[[Result], Spread | None]:
    """pyproxy ÷ `other`, same rounds."""

    def find(result: Result) -> Spread | None:
        found = dig(result, "scenarios", scenario, "ratios", other, key)
        return Spread.from_json(found) if found else None

    return find


def best_ratio(scenario: str) -> Callable[[Result], Spread | None]:
    """pyproxy ÷ the peer that needs the least CPU, same rounds."""

    def find(result: Result) -> Spread | None:
        figures = dig(result, "scenarios", scenario, "figures") or {}
        there = {p: figures[p]["cpu_us"]["median"] for p in PEERS if dig(figures, p, "cpu_us")}
        if not there:
            return None
        return ratio(scenario, min(there, key=lambda p: there[p]))(result)

    return find


def single(part: str, *path: str, scale: float = 1.0) -> Callable[[Result], Spread | None]:
    """One of the figures that are not load over time."""

    def find(result: Result) -> Spread | None:
        found = dig(result, "singles", part, "figures", *path)
        if found is None:
            return None
        if isinstance(found, Mapping):
            s = Spread.from_json(found)
            return Spread(s.median / scale, s.low / scale, s.high / scale, s.n)
        return exactly(found / scale)

    return find


def micro(name: str) -> Callable[[Result], Spread | None]:
    """A figure of the micro-benchmarks."""

    def find(result: Result) -> Spread | None:
        found = dig(result, "micros", name)
        return Spread.from_json(found) if found else None

    return find


def lost_beyond_hands(result: Result) -> Spread | None:
    """Requests lost that were in no killed worker's hands; refused and hanging ones are such."""
    modes = dig(result, "singles", "kill", "figures")
    if not modes:
        return None
    beyond = 0
    for f in modes.values():
        beyond += max(0, f["lost"] - f["in_hand"]) + f["refused"] + f["other_errors"]
    return exactly(beyond)


def own(scenario: str, key: str) -> Callable[[Result], Spread | None]:
    """One of pyproxy's own figures of a scenario."""

    def find(result: Result) -> Spread | None:
        found = dig(result, "scenarios", scenario, "figures", "pyproxy", key)
        return Spread.from_json(found) if found else None

    return find


def added(scenario: str, slot: str) -> Callable[[Result], Spread | None]:
    """CPU µs per request of pyproxy's `slot` beyond those of pyproxy alone, same rounds."""

    def find(result: Result) -> Spread | None:
        rounds = dig(result, "scenarios", scenario, "rounds") or []
        beyond = [
            r[slot]["cpu_us"] - r["pyproxy"]["cpu_us"]
            for r in rounds
            if slot in r and "pyproxy" in r
        ]
        return Spread.of(beyond) if beyond else None

    return find


SMALL = "small keep-alive, 64 clients: CPU per request"
GOALS = (
    Goal(f"{SMALL} ÷ bare relay's", 1.15, "", ratio("small-64", "relay")),
    Goal(f"{SMALL} ÷ nginx's", 0.88, "", ratio("small-64", "nginx")),
    Goal(f"{SMALL} ÷ HAProxy's", 0.82, "", ratio("small-64", "haproxy")),
    Goal(f"{SMALL} ÷ Envoy's", 0.28, "", ratio("small-64", "envoy")),
    Goal(f"{SMALL} ÷ Pingora's", 0.6, "", ratio("small-64", "pingora")),
    Goal(
        "with a Python filter: CPU per request ÷ nginx+Lua's",
        0.90,
        "",
        ratio("filter", "nginx"),
    ),
    Goal(
        "20 native filters on one route, together", 2, " µs", added("filters", "pyproxy (twenty)")
    ),
    Goal("rate limit", 0.5, " µs", added("filters", "pyproxy (rate-limit)")),
    Goal("JSON Web Token, shown again", 2, " µs", added("filters", "pyproxy (jwt)")),
    Goal("new connection per request: CPU ÷ nginx's", 0.95, "", ratio("new-connection", "nginx")),
    Goal("1 MiB responses: CPU per request ÷ the best peer's", 0.90, "", best_ratio("down-1m")),
    Goal("1 MiB requests: CPU per request ÷ the best peer's", 0.90, "", best_ratio("up-1m")),
    Goal(
        "p99 latency, 64 clients, half of saturation ÷ nginx's",
        1.0,
        "",
        ratio("latency", "nginx", "p99_us"),
    ),
    Goal(
        "least requests, one of 5 endpoints late: p99 latency ÷ Envoy's",
        1.0,
        "",
        ratio("tail", "envoy", "p99_us"),
    ),
    Goal(
        "request-head parser, bytes/s ÷ httptools', both from Python",
        3,
        "",
        micro("parser_ratio"),
        at_least=True,
    ),
    Goal(
        "request-head parser in C with framing rules ÷ httptools without callbacks",
        3,
        "",
        micro("parser_c_ratio"),
        at_least=True,
    ),
    Goal("router, random lookups over 100 routes", 60, " ns", micro("router_100_ns")),
    Goal("router, random lookups over 100,000 routes", 250, " ns", micro("router_100000_ns")),
    Goal(
        "router, random lookups over 100,000 routes by host and header",
        400,
        " ns",
        micro("router_conditions_ns"),
    ),
    Goal(
        "memory for each idle keep-alive connection",
        700,
        " bytes",
        single("memory", "pyproxy", "idle_connection_bytes"),
    ),
    Goal(
        "one worker after start (PSS)",
        30,
        " MiB",
        single("memory", "pyproxy", "start_bytes", scale=MIB),
    ),
    Goal(
        "cold start: exec to the first 200, quickstart",
        150,
        " ms",
        single("cold-start", "pyproxy", "ms"),
    ),
    Goal(
        "1 GiB to a slow reader: peak memory over the base",
        4,
        " MiB",
        single("streaming", "pyproxy", "growth_bytes", scale=MIB),
    ),
    Goal(
        "kill -9 of each worker: requests lost that were in no killed worker's hands",
        0,
        "",
        lost_beyond_hands,
    ),
    Goal(
        "TLS 1.3 keep-alive, 64 clients: CPU per request ÷ nginx's",
        0.90,
        "",
        ratio("tls-64", "nginx"),
    ),
    Goal(
        "TLS 1.3 keep-alive, 64 clients: CPU per request ÷ HAProxy's",
        0.90,
        "",
        ratio("tls-64", "haproxy"),
    ),
    Goal("full TLS 1.3 handshake, X25519: CPU ÷ nginx's", 0.85, "", ratio("handshake", "nginx")),
    Goal(
        "full TLS 1.3 handshake, X25519MLKEM768: CPU ÷ nginx's with X25519",
        1.05,
        "",
        ratio("handshake-today", "nginx"),
    ),
    Goal(
        "resumed TLS 1.3 handshake, 2 workers: CPU ÷ nginx's", 0.9, "", ratio("resumption", "nginx")
    ),
    Goal(
        "resumed TLS 1.3 handshakes, 2 workers: share that was resumed",
        0.99,
        "",
        own("resumption", "resumed_share"),
        at_least=True,
    ),
    Goal(
        "HTTP/2 over TLS, 16 × 32 streams: CPU per request ÷ nginx's",
        0.70,
        "",
        ratio("http2", "nginx"),
    ),
    Goal(
        "HTTP/2 over TLS, 16 × 32 streams: CPU per request ÷ Envoy's",
        0.35,
        "",
        ratio("http2", "envoy"),
    ),
    Goal(
        "HTTP/2 over TLS, 16 × 32 streams: CPU per request ÷ h2o's", 1.0, "", ratio("http2", "h2o")
    ),
    Goal(
        "gRPC unary, HTTP/2 on both sides: CPU per call ÷ Envoy's", 0.40, "", ratio("grpc", "envoy")
    ),
    Goal("gzip of 64 KiB of JSON: CPU per request ÷ nginx's", 1.05, "", ratio("gzip", "nginx")),
    Goal("WebSocket echo, 1 KiB: CPU per message ÷ nginx's", 0.85, "", ratio("websocket", "nginx")),
    Goal(
        "WebSocket echo, 1 KiB: CPU per message ÷ HAProxy's",
        0.85,
        "",
        ratio("websocket", "haproxy"),
    ),
    Goal("TCP proxy: CPU per GiB ÷ HAProxy's", 0.9, "", ratio("tcp", "haproxy")),
    Goal("DNS over UDP: CPU per question ÷ nginx's", 0.8, "", ratio("udp", "nginx")),
    Goal("TLS, 1 MiB responses: CPU per request ÷ nginx's", 1.0, "", ratio("tls-1m", "nginx")),
)


def judge(result: Result) -> list[Verdict]:
    """A verdict for every goal, in the order of the table."""
    found = []
    for goal in GOALS:
        got = goal.find(result)
        word = "not measured"
        if got is not None:
            word = "met" if goal.is_met(got.median) else "missed"
        found.append(Verdict(goal.text, goal.wanted, got, goal.unit, word))
    return found
