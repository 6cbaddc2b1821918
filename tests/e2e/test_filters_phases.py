"""Python filters: every phase, what it sees, what it may change, and how it answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from testenv import Proxy, Reply, origin, running, wait_until
from testenv.raw import RawOrigin, chunked, dial, fields_of, request, same_workers

# One module for all tests here; every test has a route of its own, so that none disturbs another.
MODULE = '''
import asyncio
import json
import os

from pyproxy.filters.base import Filter, Reply

NOTES = os.environ["NOTES"]


def note(*words):
    with open(NOTES, "a") as file:
        file.write(json.dumps(words) + "\\n")


class Trace(Filter):
    """Notes every phase."""

    class Config(Filter.Config):
        tag: str

    def _note(self, phase, exchange, *more):
        note(self.config.tag, phase, exchange.request.path, *more)

    def request(self, exchange):
        exchange.state["seen"] = ["request"]
        self._note("request", exchange)

    def request_body(self, exchange, chunk, last):
        self._note("request_body", exchange, chunk.decode(), last)

    def upstream_peer(self, exchange):
        self._note("upstream_peer", exchange)

    def upstream_request(self, exchange):
        self._note("upstream_request", exchange, exchange.endpoint)

    def connected(self, exchange):
        self._note("connected", exchange, exchange.attempts)

    def connect_failed(self, exchange):
        self._note("connect_failed", exchange, exchange.fault)

    def upstream_response(self, exchange):
        self._note("upstream_response", exchange, exchange.response.status)

    def response(self, exchange):
        self._note("response", exchange, exchange.response.status)

    def response_body(self, exchange, chunk, last):
        self._note("response_body", exchange, chunk.decode(), last)

    def response_trailers(self, exchange):
        self._note("response_trailers", exchange, exchange.trailers)

    def proxy_error(self, exchange):
        self._note("proxy_error", exchange, exchange.fault)

    def log(self, exchange):
        self._note("log", exchange, exchange.status, exchange.state.get("seen"))


def make_async(name):
    plain = getattr(Trace, name)
    if name.endswith("_body"):
        async def phase(self, exchange, chunk, last):
            await asyncio.sleep(0)
            return plain(self, exchange, chunk, last)
    else:
        async def phase(self, exchange):
            await asyncio.sleep(0)
            return plain(self, exchange)
    return phase


AsyncTrace = type("AsyncTrace", (Trace,), {
    name: make_async(name)
    for name in vars(Trace)
    if not name.startswith("_") and name != "Config"
})


class Early(Filter):
    """Global: sees every request before it has a route."""

    def early_request(self, exchange):
        if exchange.request.path == "/early/reply":
            return Reply(418, {"x-early": "1"}, b"short")
        if exchange.request.path == "/early/move":
            exchange.request.path = "/moved"
        if exchange.request.path == "/early/async":
            return self._later(exchange)
        assert exchange.route == "-"

    async def _later(self, exchange):
        await asyncio.sleep(0.01)
        return Reply(200, body="later")


class Headers(Filter):
    def request(self, exchange):
        h = exchange.request.headers
        note("headers", {
            "get": h.get("X-One"),
            "absent": h.get("x-none"),
            "default": h.get("x-none", "d"),
            "in": "x-ONE" in h,
            "item": h["x-one"],
            "all": h.get_all("x-many"),
            "lookup": [h.lookup(n, {"1": "found", "a": "first"}) for n in (
                "x-one", "x-many", "x-none", "x-gone")],
            "keys": [k for k in h if k.lower().startswith("x-")],
            "items": [i for i in h.items() if i[0].lower().startswith("x-")],
            "len": len(h) == len(h.items()),
            "bytes": h[b"x-one"],
        })
        try:
            h["x-none"]
        except KeyError:
            note("KeyError")
        for name, value in [
            ("content-length", "5"), ("Transfer-Encoding", "chunked"), ("connection", "close"),
            ("te", "gzip"), ("upgrade", "x"), ("bad name", "x"), ("x", "a\\r\\nb: c"),
            ("x", "a\\0"), ("", "x"), ("x", "\\n"),
        ]:
            for act in (h.__setitem__, h.add):
                try:
                    act(name, value)
                    note("accepted", name, value)
                except ValueError:
                    pass
        try:
            h["x"] = 5
            note("accepted a number")
        except TypeError:
            pass
        try:
            h["x"] = "\\u20ac"
            note("accepted a euro")
        except UnicodeEncodeError:
            pass
        h["x-one"] = "new"
        h["x-set"] = "set"
        h["X-Many"] = "only"
        h.add("x-added", "1")
        h.add("x-added", "2")
        h[b"x-bytes"] = b"\\xff"
        del h["x-gone"]
        try:
            del h["x-gone"]
        except KeyError:
            note("KeyError again")
        note("popped", h.pop_all("x-twice"), h.pop_all("x-twice"))
        h["host"] = "chosen.example:81"

    def response(self, exchange):
        h = exchange.response.headers
        h["x-resp"] = h.get("x-from", "?") + "!"
        h.add("Set-Cookie", "a=1")
        h.add("Set-Cookie", "b=2")
        h.pop_all("x-secret")
        exchange.response.status = 203


class Facts(Filter):
    def response(self, exchange):
        r = exchange.request
        facts = {
            "method": r.method, "target": r.target, "path": r.path, "query": r.query,
            "host": r.host, "scheme": r.scheme, "version": r.version, "listener": exchange.listener,
            "route": exchange.route, "captures": exchange.captures, "upstream": exchange.upstream,
            "endpoint": exchange.endpoint, "attempts": exchange.attempts, "fault": exchange.fault,
            "client": exchange.client_address, "port": exchange.client_port > 0,
            "id": exchange.id > 0, "upstream_status": exchange.upstream_status,
            "status": exchange.status, "reason": exchange.response.reason,
        }
        return Reply(200, body=json.dumps(facts))


class Answer(Filter):
    """Answers in the phase that the path names."""

    def _answer(self, phase, exchange):
        if exchange.request.path.rsplit("/", 1)[-1] == phase:
            return Reply(299, [("x-phase", phase), ("x-two", "a"), ("x-two", "b")], "own")

    def request(self, exchange):
        return self._answer("request", exchange)

    def upstream_peer(self, exchange):
        return self._answer("upstream_peer", exchange)

    def connected(self, exchange):
        return self._answer("connected", exchange)

    def upstream_request(self, exchange):
        return self._answer("upstream_request", exchange)

    def upstream_response(self, exchange):
        return self._answer("upstream_response", exchange)

    def response(self, exchange):
        if exchange.response.status != 299:
            return self._answer("response", exchange)

    def connect_failed(self, exchange):
        return self._answer("connect_failed", exchange)

    def proxy_error(self, exchange):
        return self._answer("proxy_error", exchange)


class Path(Filter):
    def request(self, exchange):
        query = exchange.request.query or ""
        try:
            exchange.request.path = query
        except ValueError as error:
            return Reply(422, body=str(error))


class Peer(Filter):
    class Config(Filter.Config):
        address: str
        later: bool = False

    def upstream_peer(self, exchange):
        return self._later() if self.config.later else self.config.address

    async def _later(self):
        await asyncio.sleep(0.01)
        return self.config.address


class First(Filter):
    def request(self, exchange):
        exchange.request.headers["x-order"] = "1"
        exchange.state["words"] = ["first"]

    def log(self, exchange):
        note("order", exchange.state["words"])


class Second(Filter):
    def request(self, exchange):
        exchange.request.headers["x-order"] += "2"
        exchange.state["words"].append("second")

    def response(self, exchange):
        exchange.state["words"].append("response")


class Replace(Filter):
    """Replaces every response; `later` in an async way."""

    class Config(Filter.Config):
        name: str
        later: bool = False

    def response(self, exchange):
        note(self.config.name, exchange.response.status)
        return self._later() if self.config.later else Reply(250, body=self.config.name)

    async def _later(self):
        await asyncio.sleep(0)
        return Reply(251, body=self.config.name)


class Config(Filter):
    class Config(Filter.Config):
        level: str = "info"
        limits: list[int] = []
        names: dict[str, str] = {}

    def request(self, exchange):
        c = self.config
        return Reply(200, body=f"{c.level} {c.limits} {c.names}")
'''


@pytest.fixture(scope="module")
def notes(tmp_path_factory):
    return tmp_path_factory.mktemp("notes") / "notes"


@pytest.fixture(scope="module")
def app():
    def answer(seen) -> Reply:
        if seen.path == "/trailers":
            return Reply(
                raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + chunked(b"abc", trailers=b"X-Sum: 1\r\n")
            )
        body = json.dumps({"target": seen.target, "headers": seen.fields, "body": len(seen.body)})
        headers = {"x-from": "origin", "x-secret": "s"}
        return Reply(headers=headers, body=b"ok" if seen.path == "/ok" else body.encode())

    with origin(answer) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(notes, app) -> Iterator[Proxy]:
    def one(use: str, config: str = "{}") -> str:
        return f'filters: [{{python: {{use: "mine:{use}", config: {config}}}}}]'

    with (
        RawOrigin() as raw,
        running(
            f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams:
              app: {{endpoints: ["{app.address}"]}}
              down: {{endpoints: ["127.0.0.1:1"]}}
            filters: [{{python: {{use: "mine:Early"}}}}]
            routes:
              - {{match: {{path: "/sync/*"}}, rewrite: {{path: "/ok"}}, upstream: app,
                  {one("Trace", "{tag: sync}")}}}
              - {{match: {{path: "/async/*"}}, rewrite: {{path: "/ok"}}, upstream: app,
                  {one("AsyncTrace", "{tag: async}")}}}
              - {{match: {{path: /sync/down}}, upstream: down, {one("Trace", "{tag: sync}")}}}
              - {{match: {{path: /async/down}}, upstream: down,
                  {one("AsyncTrace", "{tag: async}")}}}
              - {{match: {{path: /sync/trailers}}, rewrite: {{path: /trailers}}, upstream: app,
                  {one("Trace", "{tag: sync}")}}}
              - {{match: {{path: /async/trailers}}, rewrite: {{path: /trailers}}, upstream: app,
                  {one("AsyncTrace", "{tag: async}")}}}
              - {{match: {{path: /headers}}, upstream: app, {one("Headers")}}}
              - {{name: facts, match: {{path: "/facts/{{who}}/*rest"}}, upstream: app,
                  {one("Facts")}}}
              - {{match: {{path: "/answer/*"}}, upstream: app, {one("Answer")}}}
              - {{match: {{path: "/answer-down/*"}}, upstream: down, {one("Answer")}}}
              - {{match: {{path: "/answer-own/*"}}, respond: {{body: x}}, {one("Answer")}}}
              - {{match: {{path: /path}}, upstream: app, {one("Path")}}}
              - {{match: {{path: /peer}}, {one("Peer", "{address: '" + app.address + "'}")}}}
              - {{match: {{path: /peer-later}}, upstream: down,
                  {one("Peer", "{address: '" + app.address + "', later: true}")}}}
              - {{match: {{path: /peer-bad}}, {one("Peer", "{address: nonsense}")}}}
              - match: {{path: /order}}
                upstream: app
                filters: [{{python: {{use: "mine:First"}}}}, {{python: {{use: "mine:Second"}}}}]
              - {{match: {{path: /config}},
                  {one("Config", "{level: high, limits: [1, 2], names: {a: b}}")}}}
              - match: {{path: "/replace/{{kind}}"}}
                rewrite: {{path: /ok}}
                upstream: app
                filters:
                  - {{python: {{use: "mine:Replace", config: {{name: a}}}}}}
                  - {{python: {{use: "mine:Replace", config: {{name: b, later: true}}}}}}
                  - {{python: {{use: "mine:Replace", config: {{name: c}}}}}}
              - match: {{path: "/replace-own"}}
                respond: {{body: own}}
                filters:
                  - {{python: {{use: "mine:Replace", config: {{name: a, later: true}}}}}}
                  - {{python: {{use: "mine:Replace", config: {{name: b}}}}}}
              - {{match: {{path: /moved}}, respond: {{body: moved}}}}
        """,
            files={"mine.py": MODULE},
            env={"NOTES": str(notes)},
        ) as running_proxy,
    ):
        running_proxy.raw = raw
        with same_workers(running_proxy):
            yield running_proxy


@pytest.fixture
def noted(notes):
    """What the filters noted during this test."""
    before = len(notes.read_text().splitlines()) if notes.exists() else 0

    def lines() -> list:
        text = notes.read_text() if notes.exists() else ""
        return [json.loads(line) for line in text.splitlines()[before:]]

    return lines


def until_logged(noted) -> list:
    wait_until(lambda: any(line[1] == "log" for line in noted()), "the log phase ran")
    return noted()


# ---- order of phases


@pytest.mark.parametrize("tag", ["sync", "async"])
def test_phases_of_a_request_that_goes_well(proxy, noted, tag) -> None:
    assert proxy.get(f"/{tag}/x", method="POST", body=b"question").text == "ok"
    path = f"/{tag}/x"
    assert until_logged(noted) == [
        [tag, "request", path],
        [tag, "upstream_peer", path],
        [tag, "connected", path, 1],
        [tag, "upstream_request", path, noted()[3][3]],
        [tag, "request_body", path, "question", True],
        [tag, "upstream_response", path, 200],
        [tag, "response", path, 200],
        [tag, "response_body", path, "ok", True],
        [tag, "log", path, 200, ["request"]],
    ]


@pytest.mark.parametrize("tag", ["sync", "async"])
def test_phases_when_the_origin_is_down(proxy, noted, tag) -> None:
    assert proxy.get(f"/{tag}/down").status == 502
    path = f"/{tag}/down"
    failed = [tag, "connect_failed", path, "connect_refused"]
    assert until_logged(noted) == [
        [tag, "request", path],
        [tag, "upstream_peer", path],
        failed,
        [tag, "upstream_peer", path],
        failed,
        [tag, "proxy_error", path, "connect_refused"],
        [tag, "response", path, 502],
        [tag, "log", path, 502, ["request"]],
    ]


@pytest.mark.parametrize("tag", ["sync", "async"])
def test_trailers_are_seen_before_they_go_out(proxy, noted, tag) -> None:
    with dial(proxy.port()) as client:
        client.send(request(f"/{tag}/trailers"))
        client.read_head()
        assert client.read_chunked().endswith(b"0\r\nX-Sum: 1\r\n\r\n")
    found = [line for line in until_logged(noted) if line[1] == "response_trailers"]
    assert found == [[tag, "response_trailers", f"/{tag}/trailers", [["X-Sum", "1"]]]]


def test_early_request_may_answer(proxy) -> None:
    answer = proxy.get("/early/reply")
    assert answer.status == 418
    assert answer.headers["x-early"] == "1"
    assert answer.text == "short"
    assert proxy.get("/early/async").text == "later"


def test_early_request_may_choose_another_path_to_route_by(proxy) -> None:
    assert proxy.get("/early/move").text == "moved"


def test_filters_run_in_order_and_share_their_state(proxy, noted) -> None:
    answer = proxy.get("/order")
    assert ["x-order", "12"] in json.loads(answer.text)["headers"]
    wait_until(noted, "the log phase ran")
    assert noted() == [["order", ["first", "second", "response"]]]


# ---- headers


def test_headers_are_read_and_written_in_place(proxy, noted) -> None:
    fields = [
        "X-One: 1", "X-Many: a", "x-many: b", "X-Gone: x", "X-Twice: 1", "X-Twice: 2",
    ]  # fmt: skip
    with dial(proxy.port()) as client:
        client.send(request("/headers", *fields))
        head = client.read_head()
        body = client.take(int(fields_of(head)["content-length"]))
    assert noted() == [
        [
            "headers",
            {
                "get": "1",
                "absent": None,
                "default": "d",
                "in": True,
                "item": "1",
                "all": ["a", "b"],
                "lookup": ["found", None, None, None],  # repeated, absent, not in the table
                "keys": ["X-One", "X-Many", "x-many", "X-Gone", "X-Twice", "X-Twice"],
                "items": [
                    ["X-One", "1"], ["X-Many", "a"], ["x-many", "b"], ["X-Gone", "x"],
                    ["X-Twice", "1"], ["X-Twice", "2"],
                ],
                "len": True,
                "bytes": "1",
            },
        ],
        ["KeyError"],
        ["KeyError again"],
        ["popped", 2, 0],
    ]  # fmt: skip
    seen = [(name.lower(), value) for name, value in json.loads(body)["headers"]]
    own = [pair for pair in seen if pair[0].startswith("x-") and "forwarded" not in pair[0]]
    assert sorted(own) == [
        ("x-added", "1"),
        ("x-added", "2"),
        ("x-bytes", "\xff"),
        ("x-many", "only"),
        ("x-one", "new"),
        ("x-set", "set"),
    ]
    assert dict(seen)["host"] == "chosen.example:81"
    assert dict(seen)["x-forwarded-host"] == "test"


def test_the_response_can_be_changed(proxy) -> None:
    with dial(proxy.port()) as client:
        client.send(
            request("/headers", "X-One: 1", "X-Gone: x"),
        )
        head = client.read_head()
    assert head.startswith(b"HTTP/1.1 203 Non-Authoritative Information\r\n")
    fields = fields_of(head)
    assert fields["x-resp"] == "origin!"
    assert fields["set-cookie"] == "a=1, b=2"
    assert "x-secret" not in fields


def test_what_an_exchange_tells(proxy, app) -> None:
    answer = proxy.get("/facts/ann/a/b?q=1", host="api.test:8080")
    facts = json.loads(answer.text)
    assert facts.pop("endpoint")
    assert facts == {
        "method": "GET",
        "target": "/facts/ann/a/b?q=1",
        "path": "/facts/ann/a/b",
        "query": "q=1",
        "host": "api.test:8080",
        "scheme": "http",
        "version": "1.1",
        "listener": "web",
        "route": "facts",
        "captures": {"who": "ann", "rest": "a/b"},
        "upstream": "app",
        "attempts": 1,
        "fault": None,
        "client": "127.0.0.1",
        "port": True,
        "id": True,
        "upstream_status": 200,
        "status": 0,
        "reason": "X",
    }
    assert json.loads(proxy.get("/facts/b/c").text)["query"] is None


# ---- replies


@pytest.mark.parametrize(
    "path",
    [
        "/answer/request",
        "/answer/upstream_peer",
        "/answer/connected",
        "/answer/upstream_request",
        "/answer/upstream_response",
        "/answer/response",
        "/answer-down/connect_failed",
        "/answer-down/proxy_error",
        "/answer-own/response",
    ],
)
def test_a_phase_may_answer(proxy, path) -> None:
    with dial(proxy.port()) as client:
        for _ in range(2):  # the connection goes on
            client.send(request(path))
            head = client.read_head()
            assert head.startswith(b"HTTP/1.1 299 ")
            fields = fields_of(head)
            assert fields["x-phase"] == path.rpartition("/")[2]
            assert fields["x-two"] == "a, b"
            assert fields["content-type"] == "text/plain; charset=utf-8"
            assert client.take(int(fields["content-length"])) == b"own"


def test_an_answer_in_the_response_phase_is_seen_by_later_filters_only(proxy, noted) -> None:
    answer = proxy.get("/replace/x")
    assert (answer.status, answer.text) == (250, "c")
    assert noted() == [["a", 200], ["b", 250], ["c", 251]]
    answer = proxy.get("/replace-own")
    assert (answer.status, answer.text) == (250, "b")
    assert noted()[3:] == [["a", 200], ["b", 251]]


def test_a_reply_to_head_has_no_body(proxy) -> None:
    with dial(proxy.port()) as client:
        client.send(request("/answer/request", method="HEAD") + request("/moved"))
        assert fields_of(client.read_head())["content-length"] == "3"
        assert client.read_head().startswith(b"HTTP/1.1 200 ")


# ---- path and peer


def test_a_filter_may_send_on_another_path(proxy) -> None:
    answer = proxy.get("/path?/other/%7Ea/../b")
    assert json.loads(answer.text)["target"].startswith("/other/b?")


@pytest.mark.parametrize("bad", ["", "relative", "/a%00b", "/../up", "/a%2fb"])
def test_a_filter_may_not_send_on_a_bad_path(proxy, bad) -> None:
    assert proxy.get(f"/path?{bad}").status == 422


@pytest.mark.parametrize("path", ["/peer", "/peer-later"])
def test_a_filter_may_name_the_address_to_connect_to(proxy, app, path) -> None:
    for _ in range(3):
        assert json.loads(proxy.get(path).text)["target"] == path


def test_an_address_that_is_none_is_an_error_of_the_proxy(proxy) -> None:
    answer = proxy.get("/peer-bad")
    assert answer.status in (500, 503)
    assert proxy.get("/moved").status == 200


def test_the_configuration_reaches_the_filter(proxy) -> None:
    assert proxy.get("/config").text == "high [1, 2] {'a': 'b'}"


def test_nothing_was_reported(proxy) -> None:
    assert "Traceback" not in proxy.stderr
