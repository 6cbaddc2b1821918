"""Python filters that raise, dawdle, hold on to things, or meet clients that leave."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from testenv import Proxy, running, wait_until
from testenv.raw import RawOrigin, Wire, dial, fields_of, request, response, same_workers

PHASES = (
    "request", "upstream_peer", "connected", "upstream_request", "upstream_response", "response",
)  # fmt: skip

MODULE = '''
import asyncio
import gc
import json
import os

from pyproxy.filters.base import Filter, Reply

NOTES = os.environ["NOTES"]


def note(*words):
    with open(NOTES, "a") as file:
        file.write(json.dumps(words) + "\\n")


def raiser(phase, later, body=False):
    def fail(self, exchange, *_):
        if exchange.request.path.rsplit("/", 1)[-1] == phase:
            raise RuntimeError(f"trouble in {phase}")

    async def fail_later(self, exchange, *_):
        await asyncio.sleep(0)
        fail(self, exchange)

    return fail_later if later else fail


NAMES = ("request", "request_body", "upstream_peer", "connected", "upstream_request",
         "upstream_response", "response", "response_body", "proxy_error", "connect_failed", "log")
Raise = type("Raise", (Filter,), {name: raiser(name, False) for name in NAMES})
RaiseLater = type("RaiseLater", (Filter,), {name: raiser(name, True) for name in NAMES})


class Exit(Filter):
    def request(self, exchange):
        raise SystemExit(3)


class ExitLater(Filter):
    async def request(self, exchange):
        await asyncio.sleep(0)
        kinds = {"exit": SystemExit, "interrupt": KeyboardInterrupt}
        raise kinds.get(exchange.request.query, asyncio.CancelledError)


class RaiseTooLate(Filter):
    async def request(self, exchange):
        try:
            await asyncio.sleep(3600)
        finally:
            exchange.request.headers["x"] = "y"


class Dawdle(Filter):
    async def request(self, exchange):
        note("began")
        try:
            await asyncio.sleep(float(exchange.request.query or "3600"))
        except asyncio.CancelledError:
            note("cancelled")
            raise


class DawdleBody(Filter):
    async def response_body(self, exchange, chunk, last):
        await asyncio.sleep(3600)


class DawdleLog(Filter):
    async def log(self, exchange):
        await asyncio.sleep(0.01)
        note("logged", exchange.request.path, exchange.status, exchange.fault)


class Log(Filter):
    def log(self, exchange):
        note("log", exchange.request.path, exchange.status, exchange.fault)


class Gate(Filter):
    """Lets nobody through until somebody asks for /open."""

    waiting = []

    async def request(self, exchange):
        if exchange.request.path == "/gate/open":
            count = len(self.waiting)
            for event in self.waiting:
                event.set()
            self.waiting.clear()
            return Reply(200, body=str(count))
        event = asyncio.Event()
        self.waiting.append(event)
        await event.wait()
        return Reply(200, body="passed " + exchange.request.query)


class Hoard(Filter):
    """Keeps everything it ever saw, and uses it later."""

    kept = []

    def request(self, exchange):
        if exchange.request.path == "/hoard/use":
            results = []
            for ex, req, headers, response, rheaders, state in self.kept:
                for use in (
                    lambda: ex.id, lambda: ex.request.method, lambda: req.path,
                    lambda: headers["host"],
                    lambda: list(headers), lambda: headers.get("x"), lambda: "x" in headers,
                    lambda: headers.__setitem__("x", "y"), lambda: headers.add("x", "y"),
                    lambda: headers.pop_all("x"), lambda: len(headers), lambda: headers.items(),
                    lambda: response.status, lambda: setattr(response, "status", 200),
                    lambda: rheaders.get("x"), lambda: ex.state, lambda: ex.captures,
                    lambda: setattr(req, "path", "/x"), lambda: ex.fault, lambda: ex.trailers,
                    lambda: ex.endpoint, lambda: ex.client_address, lambda: ex.listener,
                    lambda: req.query, lambda: req.host, lambda: req.version, lambda: req.scheme,
                    lambda: response.reason, lambda: ex.request_bytes, lambda: ex.status,
                ):
                    try:
                        use()
                        results.append("worked")
                    except Exception as error:
                        results.append(type(error).__name__)
                repr(headers), repr(ex)
            count = len(self.kept)
            return Reply(200, body=json.dumps([count, sorted(set(results))]))
        ex = exchange
        ex.state["own"] = exchange
        parts = (ex.request, ex.request.headers, ex.response, ex.response.headers, ex.state)
        self.kept.append((ex, *parts))
        if exchange.request.path == "/hoard/parts":
            self.kept[-1] = self.kept[-1][:]


class Busy(Filter):
    """Touches everything a little."""

    def request(self, exchange):
        exchange.state["n"] = exchange.id
        exchange.request.headers["x-a"] = "1"

    def request_body(self, exchange, chunk, last):
        return chunk

    def upstream_request(self, exchange):
        exchange.request.headers.add("x-b", exchange.client_address)

    async def upstream_response(self, exchange):
        await asyncio.sleep(0)

    def response(self, exchange):
        exchange.response.headers["x-n"] = str(exchange.state["n"])

    def response_body(self, exchange, chunk, last):
        return chunk

    def log(self, exchange):
        exchange.request.target
'''


def one(use: str, more: str = "") -> str:
    return f'filters: [{{python: {{use: "trouble:{use}"{more}}}}}]'


@pytest.fixture(scope="module")
def notes(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("notes") / "notes"
    path.write_text("")
    return path


@pytest.fixture(scope="module")
def shared(notes) -> Iterator[tuple[Proxy, RawOrigin]]:
    with (
        RawOrigin() as app,
        running(
            f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams:
              app: {{endpoints: ["{app.address}"], pool: {{max_idle: 0}}}}
              down: {{endpoints: ["127.0.0.1:1"]}}
            routes:
              - {{match: {{path: "/raise/*"}}, upstream: app, {one("Raise")}}}
              - {{match: {{path: "/raise-later/*"}}, upstream: app, {one("RaiseLater")}}}
              - {{match: {{path: "/raise-down/*"}}, upstream: down, {one("Raise")}}}
              - {{match: {{path: "/raise-down-later/*"}}, upstream: down, {one("RaiseLater")}}}
              - {{match: {{path: "/raise-own/*"}}, respond: {{body: own}}, {one("Raise")}}}
              - {{match: {{path: "/raise-own-later/*"}}, respond: {{body: own}},
                  {one("RaiseLater")}}}
              - {{match: {{path: "/exit"}}, {one("Exit")}}}
              - {{match: {{path: "/exit-later"}}, {one("ExitLater")}}}
              - {{match: {{path: "/too-late"}}, {one("RaiseTooLate", ", timeout: 100ms")}}}
              - {{match: {{path: "/dawdle"}}, {one("Dawdle", ", timeout: 100ms")}}}
              - {{match: {{path: "/dawdle-long"}}, upstream: app, {one("Dawdle", ", timeout: 0")}}}
              - {{match: {{path: "/dawdle-body"}}, upstream: app,
                  {one("DawdleBody", ", timeout: 100ms")}}}
              - {{match: {{path: "/dawdle-log"}}, upstream: app, {one("DawdleLog")}}}
              - {{match: {{path: "/log"}}, upstream: app, {one("Log")}}}
              - {{match: {{path: "/log-down"}}, upstream: down, {one("Log")}}}
              - {{match: {{path: "/gate/*"}}, {one("Gate")}}}
              - {{match: {{path: "/hoard/*"}}, respond: {{body: ok}}, {one("Hoard")}}}
              - {{match: {{path: "/hello"}}, respond: {{body: hello}}}}
        """,
            files={"trouble.py": MODULE},
            env={"NOTES": str(notes)},
        ) as proxy,
        same_workers(proxy),
    ):
        yield proxy, app


@pytest.fixture
def proxy(shared) -> Proxy:
    return shared[0]


@pytest.fixture
def app(shared) -> Iterator[RawOrigin]:
    yield shared[1]
    shared[1].drop()


@pytest.fixture
def client(shared) -> Iterator[Wire]:
    with dial(shared[0].port()) as wire:
        yield wire


@pytest.fixture
def noted(notes):
    before = len(notes.read_text().splitlines())
    return lambda: [json.loads(line) for line in notes.read_text().splitlines()[before:]]


def body_of(client: Wire, head: bytes) -> bytes:
    return client.take(int(fields_of(head)["content-length"]))


# ---- exceptions


@pytest.mark.parametrize("kind", ["raise", "raise-later"])
@pytest.mark.parametrize("phase", PHASES)
def test_an_exception_is_500_and_a_traceback_in_the_log(proxy, client, app, kind, phase) -> None:
    (worker,) = proxy.workers()
    before = proxy.stderr.count(f"RuntimeError: trouble in {phase}")
    client.send(request(f"/{kind}/{phase}"))
    if phase not in ("request", "upstream_peer"):
        up = app.accept()
        if phase in ("upstream_response", "response"):
            up.read_head()
            up.send(response(b"secret"))
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 500 ")
    body = json.loads(body_of(client, head))
    assert body["error"] == "filter_error"
    assert "trouble" not in str(body), "what went wrong is not the client's business"
    client.send(request("/hello"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    proxy.wait_for(f"RuntimeError: trouble in {phase}", before + 1)
    assert "trouble.py" in proxy.stderr
    assert proxy.workers() == [worker]


@pytest.mark.parametrize("kind", ["raise", "raise-later"])
def test_an_exception_in_a_request_body(client, app, kind) -> None:
    client.send(request(f"/{kind}/request_body", method="POST", body=b"body"))
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("kind", ["raise", "raise-later"])
def test_an_exception_in_a_response_body_cuts_the_response(client, app, kind) -> None:
    client.send(request(f"/{kind}/response_body"))
    up = app.accept()
    up.read_head()
    up.send(response(b"body"))
    head = client.read_head()
    if head.startswith(b"HTTP/1.1 200 "):
        assert b"0\r\n\r\n" not in client.read_to_end()
    else:
        assert head.startswith(b"HTTP/1.1 500 ")


@pytest.mark.parametrize("kind", ["raise-own", "raise-own-later"])
def test_an_exception_in_the_response_phase_of_the_proxys_own_answer(client, kind) -> None:
    client.send(request(f"/{kind}/response") + request("/hello"))
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 500 ")
    body_of(client, head)
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("kind", ["raise-down", "raise-down-later"])
@pytest.mark.parametrize("phase", ["connect_failed", "proxy_error", "response"])
def test_an_exception_on_the_way_of_an_error(client, kind, phase) -> None:
    client.send(request(f"/{kind}/{phase}") + request("/hello"))
    head = client.read_head()
    assert head.split(b" ")[1] in (b"500", b"502")
    body_of(client, head)
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("kind", ["raise", "raise-later"])
def test_an_exception_in_the_log_phase_harms_nobody(proxy, client, app, kind) -> None:
    before = proxy.stderr.count("trouble in log")
    client.send(request(f"/{kind}/log"))
    up = app.accept()
    up.read_head()
    up.send(response(b"fine"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    assert client.read_chunked() == b"4\r\nfine\r\n0\r\n\r\n"
    client.send(request("/hello"))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    proxy.wait_for("trouble in log", before + 1)


@pytest.mark.parametrize(
    "target", ["/exit", "/exit-later?exit", "/exit-later?interrupt", "/exit-later?cancel"]
)
def test_a_filter_cannot_end_the_worker(proxy, client, target) -> None:
    (worker,) = proxy.workers()
    client.send(request(target))
    assert client.read_head().startswith(b"HTTP/1.1 500 ")
    assert proxy.get("/hello").status == 200
    assert proxy.workers() == [worker]


# ---- async: deadlines and concurrency


def test_an_async_filter_has_a_deadline(proxy, client, noted) -> None:
    client.send(request("/dawdle") + request("/hello"))
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 500 ")
    assert json.loads(body_of(client, head))["error"] == "filter_timeout"
    assert client.read_head().startswith(b"HTTP/1.1 200 ")
    wait_until(lambda: noted() == [["began"], ["cancelled"]], "the coroutine is cancelled")


def test_an_exception_after_the_deadline_is_reported(proxy, client) -> None:
    client.send(request("/too-late"))
    assert client.read_head().startswith(b"HTTP/1.1 500 ")
    proxy.wait_for("ExchangeOver")


def test_an_async_body_filter_has_a_deadline(client, app) -> None:
    client.send(request("/dawdle-body"))
    up = app.accept()
    up.read_head()
    up.send(response(b"body"))
    client.read_head()
    assert b"0\r\n\r\n" not in client.read_to_end()


def test_an_async_filter_holds_up_nobody_else(proxy, client) -> None:
    waiting = [dial(proxy.port()) for _ in range(50)]
    for n, wire in enumerate(waiting):
        wire.send(request(f"/gate/wait?{n}"))
    assert proxy.get("/hello").text == "hello"
    total = 0
    while total < 50:
        total += int(proxy.get("/gate/open").text)
    for n, wire in enumerate(waiting):
        head = wire.read_head()
        assert body_of(wire, head) == f"passed {n}".encode()
        wire.close()


def test_a_client_that_leaves_cancels_its_filter(client, noted) -> None:
    client.send(request("/dawdle-long"))
    wait_until(noted, "the filter runs")
    client.close()
    wait_until(lambda: noted() == [["began"], ["cancelled"]], "the coroutine is cancelled")


# ---- the log phase


def test_the_log_phase_runs_when_all_goes_well(client, app, noted) -> None:
    client.send(request("/log"))
    up = app.accept()
    up.read_head()
    up.send(response(b"ok"))
    client.read_head()
    wait_until(noted, "the log phase ran")
    assert noted() == [["log", "/log", 200, None]]


def test_the_log_phase_runs_when_the_origin_is_down(client, noted) -> None:
    client.send(request("/log-down"))
    assert client.read_head().startswith(b"HTTP/1.1 502 ")
    wait_until(noted, "the log phase ran")
    assert noted() == [["log", "/log-down", 502, "connect_refused"]]


@pytest.mark.parametrize("when", ["waiting", "body"])
def test_the_log_phase_runs_when_the_client_leaves(client, app, noted, when) -> None:
    client.send(request("/log"))
    up = app.accept()
    up.read_head()
    if when == "body":
        up.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        client.read_head()
    client.close()
    wait_until(noted, "the log phase ran")
    assert noted() == [["log", "/log", 200 if when == "body" else 0, "client_abort"]]
    assert up.read_to_end() == b""


def test_the_log_phase_runs_when_the_response_is_cut(client, app, noted) -> None:
    client.send(request("/log"))
    up = app.accept()
    up.read_head()
    up.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    up.close()
    client.read_to_end()
    wait_until(noted, "the log phase ran")
    assert noted() == [["log", "/log", 200, "upstream_reset"]]


def test_an_async_log_phase_ends_even_when_the_client_leaves(client, app, noted) -> None:
    client.send(request("/dawdle-log"))
    up = app.accept()
    up.read_head()
    up.send(response(b"ok"))
    client.read_head()
    client.abort()
    wait_until(noted, "the log phase ran")
    assert noted() == [["logged", "/dawdle-log", 200, None]]


# ---- what is kept too long


def test_what_was_kept_raises_after_the_exchange(proxy) -> None:
    for _ in range(200):
        assert proxy.get("/hoard/keep").status == 200
    count, results = json.loads(proxy.get("/hoard/use").text)
    assert count == 200
    assert results == ["ExchangeOver"]


def resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def test_memory_does_not_grow_with_the_number_of_exchanges(notes) -> None:
    def serve(app: RawOrigin) -> None:
        while True:
            try:
                up = app.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(up,), daemon=True).start()

    def answer(up: Wire) -> None:
        try:
            while True:
                up.read_head()
                up.read_chunked()
                up.send(response(b"answer"))
                up.seen.clear()
        except OSError:
            up.close()

    def load(port: int, count: int) -> None:
        block = request("/", method="POST", body=b"body") * 100
        with dial(port) as client:
            for _ in range(count // 100):
                client.send(block)
                for _ in range(100):
                    head = client.read_head()
                    assert head.startswith(b"HTTP/1.1 200 ")
                    client.read_chunked()
                client.seen.clear()

    with (
        RawOrigin() as app,
        running(
            f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
            routes: [{{upstream: app, {one("Busy")}}}]
        """,
            files={"trouble.py": MODULE},
            env={"NOTES": str(notes)},
        ) as proxy,
    ):
        threading.Thread(target=serve, args=(app,), daemon=True).start()
        (worker,) = proxy.workers()
        load(proxy.port(), 4000)
        before = resident(worker)
        load(proxy.port(), 20_000)
        # Sanitizers keep freed memory for a while.
        slack = (512 if os.environ.get("PYPROXY_SANITIZED") else 1) << 20
        assert resident(worker) - before < slack
        assert proxy.workers() == [worker]
