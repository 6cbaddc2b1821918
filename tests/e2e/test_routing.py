"""Routes that ask for more than host, path and method; splits; routes that are switched off."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from testenv import Origin, Proxy, origin, running
from testenv.raw import Wire, dial, same_workers

# The example of the gateway literature, in its own words.
LITERATURE = """
  - name: route-1
    match: {path: /aa, host: foo.com, methods: [GET, POST], clients: 127.0.0.1}
    respond: {body: "1"}
  - name: route-2
    match:
      path: "/bb*"
      hosts: ["*.bar.com", gloo.com]
      methods: [GET, POST, PUT]
      clients: ["fe80:fe80::/64"]
      query: {name: jack}
    respond: {body: "2"}
"""

CONDITIONS = """
  - {name: equals, match: {path: /h, headers: {x-v: "1"}}, respond: {body: equals}}
  - {name: one-of, match: {path: /h, headers: {x-v: ["2", "3"]}}, respond: {body: one-of}}
  - {name: prefix, match: {path: /h, headers: {x-v: {prefix: "v4."}}}, respond: {body: prefix}}
  - {name: regex, match: {path: /h, headers: {x-v: {regex: "^v[5-9]$"}}}, respond: {body: regex}}
  - {name: range, match: {path: /h, headers: {x-v: {ge: 100, lt: 200}}}, respond: {body: range}}
  - {name: absent, match: {path: /h, headers: {x-v: {exists: off}}}, respond: {body: absent}}
  - {name: not, match: {path: /h, headers: {x-v: {not: {contains: "~"}}}}, respond: {body: not}}
  - {name: cookie, match: {path: /c, cookies: {beta: "yes"}}, respond: {body: cookie}}
  - {name: query, match: {path: /q, query: {a b: {suffix: "!"}}}, respond: {body: query}}
  - name: tree
    match:
      path: /t
      when:
        any:
          - all: [{var: query.a, equals: "1"}, {not: {var: query.b, exists: on}}]
          - {var: header.host, prefix: "tree."}
    respond: {body: tree}
  - name: python
    match: {path: /python, when: {python: "routing_rules:is_even"}}
    respond: {body: even}
  - {name: odd, match: {path: /python}, respond: {body: odd}}
  - {name: raising, match: {path: /raises, when: {python: "routing_rules:fails"}}, respond: {}}
  - {name: off, enabled: off, match: {path: /off}, respond: {body: on}}
  - {name: fall-narrow, match: {path: /fall/x, headers: {x: "1"}}, respond: {body: narrow}}
  - {name: fall-wide, match: {path: "/fall/*"}, respond: {body: wide}}
  - {name: posts, match: {path: /m, methods: POST, headers: {x: "1"}}, respond: {body: posts}}
"""

RULES = """
def is_even(request):
    return int(request.request.headers.get("x-n", "1")) % 2 == 0


def fails(request):
    raise LookupError("a rule of yours")
"""

CONFIG = """
workers: 1
admin: "127.0.0.1:0"
listeners:
  web: {bind: "127.0.0.1:0"}
  front: {bind: "127.0.0.1:0", proxy_protocol: {trusted: 127.0.0.1}}
upstreams:
  stable: {endpoints: ["$stable"]}
  canary: {endpoints: ["$canary"]}
routes:
"""

SPLITS = """
  - name: sticky
    match: {path: /sticky}
    split:
      by: cookie.sid
      arms: [{upstream: stable, weight: 50}, {upstream: canary, weight: 50, name: new}]
  - name: all-new
    match: {path: /new}
    split: {arms: [{upstream: stable, weight: 0}, {upstream: canary}]}
"""


Shared = tuple[Proxy, dict[str, Origin]]


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    with origin() as stable, origin() as canary:
        text = CONFIG.replace("$stable", stable.address).replace("$canary", canary.address)
        text += LITERATURE + CONDITIONS + SPLITS
        files = {"routing_rules.py": RULES}
        with running(text, files=files) as started, same_workers(started):
            yield started, {"stable": stable, "canary": canary}


@pytest.fixture
def proxy(shared: Shared) -> Proxy:
    return shared[0]


def ask_from(proxy: Proxy, client: str, host: str, target: str, method: str = "GET") -> str:
    """Status, and body of a 200, of a request that comes from that address."""
    family = "TCP6" if ":" in client else "TCP4"
    server = "::1" if ":" in client else "127.0.0.1"
    with dial(proxy.port("front")) as wire:
        wire.send(
            f"PROXY {family} {client} {server} 5000 80\r\n".encode(),
            f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode(),
        )
        return answer(wire)


def answer(wire: Wire) -> str:
    head = wire.read_head().decode("latin-1")
    status = head.split()[1]
    lines = [line.lower().partition(": ") for line in head.split("\r\n")]
    length = next(int(value) for name, _, value in lines if name == "content-length")
    body = wire.take(length).decode()
    return body if status == "200" else status


@pytest.mark.parametrize(
    ("client", "host", "target", "method", "expected"),
    [
        ("127.0.0.1", "foo.com", "/aa", "GET", "1"),
        ("127.0.0.1", "foo.com", "/aa", "POST", "1"),
        ("127.0.0.1", "foo.com", "/aa", "PUT", "405"),
        ("127.0.0.2", "foo.com", "/aa", "GET", "404"),
        ("127.0.0.2", "foo.com", "/aa", "PUT", "404"),
        ("127.0.0.1", "www.foo.com", "/aa", "GET", "404"),
        ("127.0.0.1", "foo.com", "/aab", "GET", "404"),
        ("fe80:fe80::1", "a.bar.com", "/bb?name=jack", "GET", "2"),
        ("fe80:fe80::1", "gloo.com", "/bb/x/y?x=1&name=jack", "PUT", "2"),
        ("fe80:fe80::ffff:1", "gloo.com", "/bbb?n%61me=j%61ck", "POST", "2"),
        ("fe80:fe80:0:1::1", "gloo.com", "/bb?name=jack", "GET", "404"),
        ("127.0.0.1", "gloo.com", "/bb?name=jack", "GET", "404"),
        ("fe80:fe80::1", "bar.com", "/bb?name=jack", "GET", "404"),
        ("fe80:fe80::1", "gloo.com", "/bb?name=joe", "GET", "404"),
        ("fe80:fe80::1", "gloo.com", "/bb?name=joe&name=jack", "GET", "404"),
        ("fe80:fe80::1", "gloo.com", "/bb", "GET", "404"),
        ("fe80:fe80::1", "gloo.com", "/bb?name=jack", "DELETE", "405"),
    ],
)
def test_the_example_of_the_literature(proxy, client, host, target, method, expected) -> None:
    assert ask_from(proxy, client, host, target, method) == expected


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/h", {"X-V": "1"}, "equals"),
        ("/h", {"X-V": "3"}, "one-of"),
        ("/h", {"X-V": "v4.2"}, "prefix"),
        ("/h", {"X-V": "v7"}, "regex"),
        ("/h", {"X-V": "150.5"}, "range"),
        ("/h", {"X-V": "200"}, "not"),
        ("/h", {}, "absent"),
        ("/h", {"X-V": "a~b"}, 404),
        ("/c", {"Cookie": 'a=1; beta="yes"'}, "cookie"),
        ("/c", {"Cookie": "beta=no"}, 404),
        ("/q?a+b=hello%21", {}, "query"),
        ("/q?ab=hello%21", {}, 404),
        ("/t?a=1", {}, "tree"),
        ("/t?a=1&b", {}, 404),
        ("/t?b", {"Host": "tree.example"}, "tree"),
        ("/python", {"X-N": "4"}, "even"),
        ("/python", {"X-N": "5"}, "odd"),
        ("/off", {}, 404),
        ("/fall/x", {"X": "1"}, "narrow"),
        ("/fall/x", {"X": "2"}, "wide"),
        ("/m", {"X": "1"}, 405),
        ("/m", {}, 404),
    ],
)
def test_conditions_choose(proxy, path, headers, expected) -> None:
    fields = dict(headers)
    found = proxy.get(path, host=fields.pop("Host", "t"), headers=fields)
    assert (found.body.decode() if found.status == 200 else found.status) == expected


def test_a_predicate_that_raises_is_an_error_of_ours(proxy) -> None:
    found = proxy.get("/raises")
    assert found.status == 500
    assert json.loads(found.body)["error"] == "filter_error"
    proxy.wait_for("LookupError: a rule of yours")
    assert proxy.metrics()["pyproxy_filter_errors_total"] == 1


def test_an_argument_flood_is_refused(proxy) -> None:
    """What rules do not look at would reach the origin all the same."""
    assert proxy.get("/q?" + "x&" * 256 + "a+b=!").status == 400
    assert proxy.get("/c", headers={"Cookie": "x=y;" * 256 + "beta=yes"}).status == 400
    assert proxy.get("/fall/y?" + "x&" * 400).body == b"wide"


def arm_of(shared: Shared, path: str, cookie: str) -> str:
    proxy, origins = shared
    for one in origins.values():
        one.requests.clear()
    assert proxy.get(path, headers={"Cookie": cookie}).status == 200
    (name,) = (name for name, one in origins.items() if one.requests)
    return name


def test_a_key_keeps_its_arm_and_arms_are_counted(shared: Shared) -> None:
    arms = []
    for user in range(40):
        seen = {arm_of(shared, "/sticky", f"sid={user}") for _ in range(2)}
        assert len(seen) == 1
        arms += seen
    assert set(arms) == {"stable", "canary"}
    metrics = shared[0].metrics()
    for name, arm in (("stable", "sticky/stable"), ("canary", "sticky/new")):
        key = f'pyproxy_split_requests_total{{arm="{arm}",code="2xx"}}'
        assert metrics[key] == 2 * arms.count(name)


def test_an_arm_without_weight_gets_nothing(shared: Shared) -> None:
    assert {arm_of(shared, "/new", f"sid={user}") for user in range(10)} == {"canary"}
