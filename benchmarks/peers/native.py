"""Sets of native filters, as entries of a route's `filters`, for the scenario `filters`.

Every one lets the benchmark's requests pass: what is measured is the price of the ordinary case.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class Proof:
    """A request, and an answer to it that only the filter `of` can have brought about.

    `changes` are header fields other than those of the scenario; an empty one is left out. `fields`
    must be in the answer, with any value where that is empty.
    """

    of: str
    status: int = 200
    fields: Mapping[str, str] = field(default_factory=dict)
    changes: Mapping[str, str] = field(default_factory=dict)
    path: str = "/bytes/64"
    length: int | None = None


def _limit(name: str) -> str:
    return f'"{name}";q=10000000;w=1'


PROOFS: dict[str, Sequence[Proof]] = {
    "twenty": (
        Proof("request_id", fields={"x-request-id": ""}),
        Proof("cors", fields={"access-control-allow-origin": "https://app.example.com"}),
        Proof("rate_limit", fields={"ratelimit-policy": _limit("rate_limit")}),
        Proof("by-host", fields={"ratelimit-policy": _limit("by-host")}),
        *(Proof(f"headers-{i}", fields={f"x-bench-{i}": ""}) for i in (0, 2, 4)),
        Proof("prefix", path="/api/bytes/64", length=64),  # the origin knows no other such path
        Proof("ua_restriction", 403, changes={"user-agent": "a bot"}),
        Proof("referer_restriction", 403, changes={"referer": "https://other.example/"}),
        Proof("body_limit", 413, changes={"content-length": str(2 << 20)}),
    ),
    "rate-limit": (Proof("rate_limit", fields={"ratelimit-policy": _limit("rate_limit")}),),
    "jwt": (
        Proof("jwt"),
        Proof("jwt", 401, changes={"authorization": ""}),
        Proof("jwt", 401, changes={"authorization": "Bearer e30.e30.AA"}),
    ),
}


def prove(port: int, name: str, headers: Mapping[str, str]) -> None:
    """Every filter of a set whose work can be seen does it. Unavailable, with who does not.

    `headers` are those of the scenario.
    """
    for proof in PROOFS.get(name, ()):
        sent = {key: value for key, value in {**headers, **proof.changes}.items() if value}
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", proof.path, None, sent)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as exc:
            raise Unavailable(f"{proof.of} cannot be tried: {exc!r}") from exc
        finally:
            connection.close()
        if answer.status != proof.status:
            raise Unavailable(f"{proof.of}: {answer.status} instead of {proof.status}")
        if proof.length is not None and len(body) != proof.length:
            raise Unavailable(f"{proof.of}: {len(body)} bytes instead of {proof.length}")
        for field_name, value in proof.fields.items():
            # Not joined, for two filters may add lines of one name.
            found = answer.headers.get_all(field_name, [])
            if not found or (value and value not in found):
                raise Unavailable(f"{proof.of}: answers without {field_name}: {value}")


def of_set(name: str) -> list[dict[str, Any]]:
    """The filters of a set. Unavailable when pyproxy has no such filter."""
    for entry in SETS[name]:
        kind = next(iter(entry))
        if kind not in FILTER_KINDS:
            raise Unavailable(f"pyproxy has no filter {kind!r}")
    return SETS[name]
