"""Sets of native filters, as entries of a route's `filters`, for the scenario `filters`.

Every one lets the benchmark's requests pass: what is measured is the price of the ordinary case.
"""

from __future__ import annotations

from typing import Any

from benchmarks.errors import Unavailable
from pyproxy.config.filters import FILTER_KINDS

SECRET = "0123456789abcdef0123456789abcdef"  # of the token in scenarios/http1.toml


def _twenty() -> list[dict[str, Any]]:
    """Twenty filters as a gateway has them, none of them without work."""
    found: list[dict[str, Any]] = [
        {"request_id": {}},
        {"real_ip": {"trusted": ["10.0.0.0/8"]}},
        {"cors": {"origins": ["https://app.example.com"]}},
        {"ip_restriction": {"deny": ["192.0.2.0/24"]}},
        {"ip_restriction": {"allow": ["127.0.0.0/8", "10.0.0.0/8"]}, "name": "inside"},
        {"ua_restriction": {"deny": ["(?i)bot|crawler"]}},
        {"referer_restriction": {"allow": ["example.com"]}},
        {"rate_limit": {"rate": "10000000/s"}},
        {"rate_limit": {"rate": "10000000/s", "key": "host"}, "name": "by-host"},
        {"concurrency_limit": {"max": 100_000}},
        {"body_limit": {"max": "1MiB"}},
        {"fault_injection": {"abort": {"percent": 0}}},
        {"rewrite": {"query": {"remove": ["debug"]}}},
        {"rewrite": {"strip_prefix": "/api"}, "name": "prefix"},
    ]
    for i in range(20 - len(found)):
        side = "request" if i % 2 else "response"
        edits = {"set": {f"x-bench-{i}": "{request.id}"}}
        found.append({"headers": {side: edits}, "name": f"headers-{i}"})
    return found


SETS: dict[str, list[dict[str, Any]]] = {
    "": [],
    "twenty": _twenty(),
    "rate-limit": [{"rate_limit": {"rate": "10000000/s"}}],
    "jwt": [{"jwt": {"algorithms": "HS256", "secret": SECRET}}],
}


def of_set(name: str) -> list[dict[str, Any]]:
    """The filters of a set. Unavailable when pyproxy has no such filter."""
    for entry in SETS[name]:
        kind = next(iter(entry))
        if kind not in FILTER_KINDS:
            raise Unavailable(f"pyproxy has no filter {kind!r}")
    return SETS[name]
