"""Who is fit to serve: active checks of real origins that turn bad and good again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from testenv import Reply, free_port, origin, running, wait_until
from testenv.certificates import Authority
from testenv.origin import echo

CONFIG = """
    workers: {workers}
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {upstreams}
    routes: [{{upstream: app}}]
    {admin}
    access_log: off
"""
ADMIN = 'admin: "127.0.0.1:0"'
NO_PANIC = {"panic_threshold": 0}
QUICK = {"interval": "20ms", "timeout": "2s", "jitter": 0}


class Patient:
    """An origin whose health check says what the test says."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b"fine"
        self.checks = 0

    def __call__(self, request) -> Reply:
        if request.path != "/healthz":
            return echo(request)
        self.checks += 1
        return Reply(self.status, {}, self.body)


def text_of(upstreams: dict[str, Any], workers: int = 1, admin: str = ADMIN) -> str:
    return CONFIG.format(workers=workers, upstreams=json.dumps(upstreams), admin=admin)


def group(origins, **check: Any) -> dict[str, Any]:
    """An upstream whose endpoints are checked quickly."""
    how = {} if {"tcp", "grpc", "http"} & set(check) else {"http": "/healthz"}
    return {
        "endpoints": [o if isinstance(o, str) else o.address for o in origins],
        "health_check": {**QUICK, **how, **check},
    }


@contextlib.contextmanager
def patients(n: int) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:
        all_of_them = [Patient() for _ in range(n)]
        yield all_of_them, [stack.enter_context(origin(p)) for p in all_of_them]


def health(proxy, upstream: str = "app") -> list[str]:
    found = json.loads(proxy.admin("/upstreams").body)["upstreams"][upstream]
    return [row["health"]["state"] for row in found]


def rows(proxy) -> list[dict[str, Any]]:
    return json.loads(proxy.admin("/upstreams").body)["upstreams"]["app"]


def until(proxy, *states: str, upstream: str = "app") -> None:
    wait_until(lambda: health(proxy, upstream) == list(states), f"the health is {states}")


def asked(origins) -> list[int]:
    return [sum(r.path == "/x" for r in o.requests) for o in origins]


def ask(proxy, n: int = 6) -> None:
    for _ in range(n):
        assert proxy.get("/x").status == 200


def test_an_endpoint_that_turns_bad_gets_nothing_until_it_is_good_again() -> None:
    with patients(2) as (ill, origins), running(text_of({"app": group(origins)}, 2)) as proxy:
        until(proxy, "up", "up")
        ill[0].status = 500
        until(proxy, "down", "up")
        before = asked(origins)
        ask(proxy, 12)
        assert asked(origins) == [before[0], before[1] + 12]
        row = rows(proxy)[0]
        assert row["state"] == "unhealthy"
        assert row["health"]["reason"] == "status 500"
        assert row["health"]["since"] > 1_600_000_000
        label = f'endpoint="app/{origins[0].address}"'
        metrics = proxy.metrics()
        assert metrics[f"pyproxy_endpoint_health{{{label}}}"] == 2
        assert metrics[f'pyproxy_endpoint_health_checks_total{{{label},result="answer"}}'] >= 3
        assert metrics[f'pyproxy_endpoint_health_checks_total{{{label},result="passed"}}'] >= 1
        assert not any("pyproxy__" in name for name in metrics)
        assert f"app/{origins[0].address} is down, after" in proxy.stderr
        assert "checks: down for" in proxy.ask("upstream").stdout
        ill[0].status = 204
        until(proxy, "up", "up")
        wait_until(lambda: (ask(proxy), asked(origins)[0] > before[0])[1], "it serves again")
        assert f"app/{origins[0].address} is up, after" in proxy.stderr


def test_it_goes_down_after_as_many_bad_checks_as_the_file_says() -> None:
    with patients(2) as (ill, origins):
        slow = group(origins, fall=4, rise=3, interval="50ms")
        with running(text_of({"app": slow})) as proxy:
            until(proxy, "up", "up")
            ill[0].status, ill[0].checks = 503, 0
            until(proxy, "down", "up")
            assert ill[0].checks >= 4
            ill[0].status, ill[0].checks = 200, 0
            until(proxy, "up", "up")
            assert ill[0].checks >= 3


@pytest.mark.parametrize(
    ("how", "body", "good"),
    [
        ({"status": ["201", "300-302"]}, b"", False),
        ({"status": "100-200"}, b"", True),
        ({"body": "alive"}, b"still alive", True),
        ({"body": "alive"}, b"dead", False),
        ({"body_regex": '"state": *"(up|ok)"'}, b'{"state":  "ok"}', True),
        ({"body_regex": "^up$"}, b"not up", False),
        ({"headers": {"x-key": "1"}, "host": "health.example", "method": "POST"}, b"", True),
    ],
)
def test_what_is_a_good_answer(how, body, good) -> None:
    with patients(1) as (ill, origins):
        ill[0].body = body
        checked = group(origins, http={"path": "/healthz?full", **how})
        with running(text_of({"app": checked})) as proxy:
            until(proxy, "up" if good else "down")
        request = next(r for r in origins[0].requests if r.target == "/healthz?full")
        assert request.method == how.get("method", "GET")
        assert request.headers["host"] == how.get("host", origins[0].address)
        assert request.headers["user-agent"].startswith("pyproxy-health/")
        assert request.headers.get("x-key", "1") == "1"


def test_chunked_and_interim_answers_are_understood() -> None:
    raw = (
        b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
        b"transfer-encoding: chunked\r\n\r\n2\r\nal\r\n3\r\nive\r\n0\r\n\r\n"
    )
    with origin(lambda r: Reply(raw=raw, close=True)) as app:
        checked = group([app], http={"path": "/healthz", "body": "alive"})
        with running(text_of({"app": checked})) as proxy:
            until(proxy, "up")


@pytest.mark.parametrize("raw", [b"220 hello\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\ncontent-le"])
def test_what_is_no_answer_is_a_bad_one(raw) -> None:
    with contextlib.ExitStack() as stack:
        app = stack.enter_context(origin(lambda r: Reply(raw=raw, close=True)))
        proxy = stack.enter_context(running(text_of({"app": group([app])})))
        until(proxy, "down")
        assert "malformed" in rows(proxy)[0]["health"]["reason"]


def test_who_does_not_listen_or_answer_is_down() -> None:
    pause = threading.Event()

    def wait(request) -> None:
        pause.wait(20)

    with origin(wait) as mute, origin() as fine:
        nobody = f"127.0.0.1:{free_port()}"
        upstream = {**group([nobody, mute, fine], timeout="300ms"), "balance": NO_PANIC}
        with running(text_of({"app": upstream})) as proxy:
            until(proxy, "down", "down", "up")
            reasons = [row["health"]["reason"] for row in rows(proxy)]
            assert reasons == ["cannot connect: Connection refused", "no answer in time", ""]
            ask(proxy)
        pause.set()


def test_with_all_down_everybody_is_asked() -> None:
    with patients(2) as (ill, origins), running(text_of({"app": group(origins)})) as proxy:
        until(proxy, "up", "up")
        for one in ill:
            one.status = 500
        until(proxy, "down", "down")
        ask(proxy)
        assert min(asked(origins)) > 0
        assert proxy.metrics()['pyproxy_upstream_panic_total{upstream="app"}'] == 6


def test_what_must_be_checked_first_is_not_used_before() -> None:
    with patients(2) as (ill, origins):
        ill[0].status = 500
        checked = group(origins, start="down")
        checked["balance"] = NO_PANIC
        with running(text_of({"app": checked})) as proxy:
            until(proxy, "down", "up")
            ask(proxy)
            assert asked(origins)[0] == 0


def test_each_endpoint_is_checked_once_however_many_upstreams_and_workers() -> None:
    with patients(1) as (ill, origins):
        both = {
            "app": group(origins, interval="1h"),
            "other": group(origins, interval="1h"),
            "third": group(origins, interval="1h", rise=5),
        }
        with running(text_of(both, workers=2)) as proxy:
            for name in both:
                until(proxy, "up", upstream=name)
            assert ill[0].checks == 2  # one of the two that are alike, and the third
            assert len(proxy.children("pyproxy-contr")) == 1


def test_a_health_port_of_its_own() -> None:
    with patients(2) as (ill, origins):
        port = int(origins[1].address.rpartition(":")[2])
        with running(text_of({"app": group(origins[:1], port=port)})) as proxy:
            until(proxy, "up")
            assert (ill[0].checks, ill[1].checks > 0) == (0, True)


def test_without_an_admin_server_endpoints_are_checked_too() -> None:
    with patients(2) as (ill, origins):
        ill[0].status = 500
        with running(text_of({"app": group(origins)}, admin="")) as proxy:
            proxy.wait_for("is down")
            ask(proxy)
            assert asked(origins)[0] == 0
            assert "checks: down" in proxy.ask("upstream").stdout


def test_states_outlive_a_reload_and_the_process_that_checks() -> None:
    with patients(2) as (ill, origins):
        ill[0].status = 500
        text = text_of({"app": group(origins, interval="1h", down_interval="1h")})
        with running(text) as proxy:
            until(proxy, "down", "up")
            checks = [one.checks for one in ill]
            same = {"app": group(origins, interval="1h", down_interval="1h"), "b": group(origins)}
            assert proxy.reload(text_of(same)).returncode == 0
            until(proxy, "down", "up", upstream="b")
            assert health(proxy) == ["down", "up"]
            assert proxy.reload(text).returncode == 0
            assert [row["state"] for row in rows(proxy)] == ["unhealthy", "ready"]
            ask(proxy)
            assert asked(origins)[0] == 0
            since = rows(proxy)[0]["health"]["since"]
            # Its successor knows what it knew.
            (pid,) = proxy.children("pyproxy-contr").values()
            os.kill(pid, signal.SIGKILL)
            proxy.wait_for("control (pid")
            wait_until(lambda: proxy.children("pyproxy-contr"), "another one is there")
            shown = proxy.ask("upstream").stdout
            assert "checks: down" in shown
            ask(proxy)
            assert asked(origins)[0] == 0
            assert checks[0] >= 1
            until(proxy, "down", "up")
            assert rows(proxy)[0]["health"]["since"] == since


def test_a_reload_brings_checks_and_takes_them_away() -> None:
    with patients(2) as (ill, origins):
        ill[0].status = 500
        plain = {"app": {"endpoints": [o.address for o in origins]}}
        with running(text_of(plain, admin="")) as proxy:
            assert not proxy.children("pyproxy-contr")
            assert proxy.reload(text_of({"app": group(origins)}, admin="")).returncode == 0
            proxy.wait_for("is down")
            before = asked(origins)[0]
            ask(proxy)
            assert asked(origins)[0] == before
            assert proxy.reload(text_of(plain, admin="")).returncode == 0
            ask(proxy)
            assert asked(origins)[0] > before


def test_states_outlive_an_upgrade() -> None:
    with patients(2) as (ill, origins):
        ill[0].status = 500
        with running(text_of({"app": group(origins)})) as proxy:
            until(proxy, "down", "up")
            assert proxy.ask("upgrade").returncode == 0
            ask(proxy)
            assert asked(origins)[0] == 0
            ill[0].status = 200
            wait_until(lambda: "checks: down" not in proxy.ask("upstream").stdout, "it is up")


# ---- other ways to ask


def test_a_connection_is_enough_where_that_was_said() -> None:
    with origin() as app:
        nobody = f"127.0.0.1:{free_port()}"
        with running(text_of({"app": group([nobody, app], tcp={})})) as proxy:
            until(proxy, "down", "up")


@pytest.mark.parametrize(("expect", "state"), [("200 X", "up"), ("418", "down")])
def test_a_conversation_over_tcp(expect, state) -> None:
    said = {"send": "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", "expect": expect}
    with contextlib.ExitStack() as stack:
        app = stack.enter_context(origin(lambda r: Reply(200, {}, b"", close=True)))
        proxy = stack.enter_context(running(text_of({"app": group([app], tcp=said)})))
        until(proxy, state)


@pytest.mark.parametrize("how", [{"tcp": {}}, {"http": "/healthz"}])
@pytest.mark.parametrize(
    ("names", "ca", "state", "reason"),
    [
        (["127.0.0.1"], True, "up", ""),
        (["other.test"], True, "down", "the certificate is for another address"),
        (["127.0.0.1"], False, "down", "the certificate's authority is not trusted"),
    ],
)
def test_certificates_are_verified_as_the_upstream_says(
    tmp_path, how, names, ca, state, reason
) -> None:
    authority, stranger = Authority(tmp_path, "Ours"), Authority(tmp_path, "Theirs")
    pair = authority.issue("app", names)
    with origin(Patient(), tls=server_context(pair)) as app:
        upstream = group([app], **how)
        upstream["tls"] = {"ca": str((authority if ca else stranger).cert)}
        with running(text_of({"app": upstream})) as proxy:
            until(proxy, state)
            assert rows(proxy)[0]["health"]["reason"] == reason


def server_context(pair):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    return context


class HealthService:
    """grpc.health.v1 of the real library, without its generated code."""

    def __init__(self) -> None:
        self.status = {b"": 1, b"app.Users": 1}

    def serve(self, stack) -> str:
        grpc = pytest.importorskip("grpc")

        def check(request: bytes, context) -> bytes:
            service = request[2:] if request else b""
            if service not in self.status:
                context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
            status = self.status[service]
            return bytes([8, status]) if status else b""

        handler = grpc.method_handlers_generic_handler(
            "grpc.health.v1.Health", {"Check": grpc.unary_unary_rpc_method_handler(check)}
        )
        server = grpc.server(ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers((handler,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stack.callback(lambda: server.stop(None).wait())
        return f"127.0.0.1:{port}"


def test_a_grpc_server_says_how_it_is() -> None:
    with contextlib.ExitStack() as stack:
        service = HealthService()
        address = service.serve(stack)
        upstreams = {
            "app": {**group([address], grpc="app.Users"), "protocol": "h2c"},
            "whole": {**group([address], grpc={}), "protocol": "h2c"},
            "none": {**group([address], grpc="app.Nobody"), "protocol": "h2c"},
        }
        proxy = stack.enter_context(running(text_of(upstreams)))
        until(proxy, "up")
        until(proxy, "up", upstream="whole")
        until(proxy, "down", upstream="none")
        service.status[b"app.Users"] = 2
        until(proxy, "down")
        assert rows(proxy)[0]["health"]["reason"] == "it says NOT_SERVING"
        assert health(proxy, "whole") == ["up"]
        service.status[b"app.Users"] = 1
        until(proxy, "up")
