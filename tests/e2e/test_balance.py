"""Which endpoint serves whom, with real origins."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from testenv import connect, free_port, get, origin, read_response, running, send, wait_until
from testenv.origin import echo

CONFIG = """
    workers: {workers}
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {upstream}}}
    routes: [{{upstream: app}}]
    admin: "127.0.0.1:0"
    access_log: off
"""


def endpoints(origins, *more: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [{"address": o.address} for o in origins]
    for row, extra in zip(rows, more, strict=False):
        row.update(extra)
    return rows


def text_of(upstream: dict[str, Any], workers: int = 1) -> str:
    return CONFIG.format(workers=workers, upstream=json.dumps(upstream))


@contextlib.contextmanager
def served_by(n: int, *more: dict[str, Any], workers: int = 1, **upstream: Any) -> Iterator[Any]:
    """A proxy and its origins; <more> is what the endpoints have besides an address."""
    with contextlib.ExitStack() as stack:
        origins = [stack.enter_context(origin()) for _ in range(n)]
        text = text_of({"endpoints": endpoints(origins, *more), **upstream}, workers)
        yield stack.enter_context(running(text)), origins


def counts(origins) -> list[int]:
    return [len(o.requests) for o in origins]


def place(origins, response) -> int:
    """Who has answered: targets are used once."""
    target = json.loads(response.body)["target"]
    found = [i for i, o in enumerate(origins) if any(r.target == target for r in o.requests)]
    assert len(found) == 1
    return found[0]


numbers = iter(range(10**9))


def ask(proxy, origins, *, path: str = "", headers: dict[str, str] | None = None) -> int:
    """The index of the origin that answers one more request."""
    response = proxy.get(path or f"/{next(numbers)}", headers=headers or {})
    assert response.status == 200
    return place(origins, response)


def change(proxy, address: str, body: object, *, upstream: str = "app", **headers: str):
    path = f"/upstreams/{upstream}/endpoints/{address}"
    fields = {"content-type": "application/json", **headers}
    raw = json.dumps(body).encode()
    return get(proxy.admin_port, path, method="POST", headers=fields, body=raw)


def rows(proxy) -> list[dict[str, Any]]:
    return json.loads(proxy.admin("/upstreams").body)["upstreams"]["app"]


def test_weights_are_shares() -> None:
    with served_by(3, {"weight": 2}, {}, {"weight": 3}) as (proxy, origins):
        for _ in range(60):
            ask(proxy, origins)
        assert counts(origins) == [20, 10, 30]


@pytest.mark.parametrize(
    ("policy", "least"),
    # Who is a little slower at the first request is asked seldom by the last: that is its point.
    [("random", 6), ("least_request", 6), ("peak_ewma", 1)],
)
def test_policies_that_draw_reach_everybody(policy, least) -> None:
    with served_by(3, balance=policy) as (proxy, origins):
        for _ in range(90):
            ask(proxy, origins)
        assert min(counts(origins)) >= least


@pytest.mark.parametrize("policy", ["ring_hash", "maglev"])
@pytest.mark.parametrize(
    ("key", "request_of"),
    [
        ("header.x-user", lambda user: {"headers": {"x-user": user}}),
        ("cookie.session", lambda user: {"headers": {"cookie": f"a=b; session={user}"}}),
        ("query.id", lambda user: {"path": f"/{next(numbers)}?id={user}"}),
    ],
)
def test_a_key_always_leads_to_the_same_endpoint(policy, key, request_of) -> None:
    balance = {"policy": policy, "key": key}
    with served_by(4, workers=2, balance=balance) as (proxy, origins):
        homes = {}
        for user in (f"user{i}" for i in range(24)):
            seen = {ask(proxy, origins, **request_of(user)) for _ in range(3)}
            assert len(seen) == 1
            homes[user] = seen.pop()
        assert len(set(homes.values())) == 4
        # One of four goes: its keys move, no others.
        assert change(proxy, origins[0].address, {"state": "down"}).status == 200
        for user, home in homes.items():
            now = ask(proxy, origins, **request_of(user))
            assert now == home if home != 0 else now != 0


def test_requests_without_the_key_are_spread() -> None:
    balance = {"policy": "maglev", "key": "header.x-user"}
    with served_by(3, balance=balance) as (proxy, origins):
        assert {ask(proxy, origins) for _ in range(60)} == {0, 1, 2}


def test_clients_are_told_apart_by_their_address() -> None:
    with served_by(3, balance="ring_hash") as (proxy, origins):
        assert len({ask(proxy, origins) for _ in range(10)}) == 1


def test_a_busy_endpoint_gets_fewer_requests_whichever_worker_sends_them() -> None:
    """Requests that one worker has in progress are seen by the other."""
    held = threading.Event()

    def wait(request):
        if request.target == "/slow":
            held.wait(30)
        return None if request.target == "/slow" else echo(request)

    with origin(wait) as first, origin(wait) as second, contextlib.ExitStack() as stack:
        both = [first, second]
        text = text_of({"endpoints": endpoints(both), "balance": "least_request"}, workers=2)
        proxy = stack.enter_context(running(text))
        try:
            change(proxy, second.address, {"state": "drain"})
            for _ in range(8):
                send(stack.enter_context(connect(proxy.port())), "/slow")
            wait_until(lambda: len(first.requests) == 8, "the first is busy")
            change(proxy, second.address, {"state": "ready"})
            before = len(first.requests)
            assert {ask(proxy, both) for _ in range(40)} == {1}
            assert len(first.requests) == before
        finally:
            held.set()


def test_a_slow_endpoint_is_avoided() -> None:
    pause = threading.Event()  # never set: a sleep

    def slow(request):
        pause.wait(0.2)
        return echo(request)

    with origin(slow) as first, origin() as second, contextlib.ExitStack() as stack:
        both = [first, second]
        text = text_of({"endpoints": endpoints(both), "balance": "peak_ewma"})
        proxy = stack.enter_context(running(text))
        seen = Counter(ask(proxy, both) for _ in range(60))
        assert seen[0] <= 3
        assert seen[1] >= 57


def test_a_backup_is_used_when_the_others_are_gone() -> None:
    with served_by(3, {}, {}, {"backup": True}) as (proxy, origins):
        for _ in range(10):
            ask(proxy, origins)
        assert counts(origins)[2] == 0
        for i in (0, 1):
            change(proxy, origins[i].address, {"state": "down"})
        assert {ask(proxy, origins) for _ in range(5)} == {2}


def test_a_retry_goes_to_the_backup() -> None:
    with origin() as app:
        group = [f"127.0.0.1:{free_port()}", {"address": app.address, "backup": True}]
        with running(text_of({"endpoints": group})) as proxy:
            assert [proxy.get().status for _ in range(5)] == [200] * 5


def test_an_endpoint_that_drains_by_configuration_gets_nothing() -> None:
    with served_by(2, {"drain": True}) as (proxy, origins):
        assert {ask(proxy, origins) for _ in range(6)} == {1}
        assert [row["state"] for row in rows(proxy)] == ["drain", "ready"]
        change(proxy, origins[0].address, {"state": "ready"})
        assert {ask(proxy, origins) for _ in range(6)} == {0, 1}
        change(proxy, origins[0].address, {"state": "configured"})
        assert {ask(proxy, origins) for _ in range(6)} == {1}


def test_without_a_usable_endpoint_the_answer_is_503() -> None:
    with served_by(1) as (proxy, origins):
        change(proxy, origins[0].address, {"state": "down"})
        assert proxy.get().status == 503
        change(proxy, origins[0].address, {"state": "ready"})
        assert proxy.get().status == 200


def test_states_and_weights_change_at_run_time_in_all_workers() -> None:
    with served_by(2, workers=2) as (proxy, origins):
        done = change(proxy, origins[0].address, {"weight": 9, "state": "ready"})
        assert (done.status, json.loads(done.body)["weight"]) == (200, 9)
        # Each worker takes turns by itself.
        for _ in range(200):
            ask(proxy, origins)
        assert 160 <= counts(origins)[0] <= 196
        row = rows(proxy)[0]
        assert (row["weight"], row["state"], row["requests"]) == (9, "ready", counts(origins)[0])
        change(proxy, origins[0].address, {"state": "drain"})
        assert {ask(proxy, origins) for _ in range(20)} == {1}
        label = f'endpoint="app/{origins[0].address}"'
        metrics = proxy.metrics()
        assert metrics[f"pyproxy_endpoint_state{{{label}}}"] == 1
        assert metrics[f"pyproxy_endpoint_weight{{{label}}}"] == 9


def test_a_change_outlives_workers_and_reloads_while_the_endpoint_stays() -> None:
    with served_by(2, workers=2) as (proxy, origins):
        change(proxy, origins[0].address, {"state": "down"})
        for pid in proxy.workers():
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda gone=pid: gone not in proxy.workers(), "it has gone")
        wait_until(lambda: proxy.admin("/ready").status == 200, "others are there")
        assert {ask(proxy, origins) for _ in range(10)} == {1}
        path = proxy.folder / "pyproxy.yaml"
        text = path.read_text()
        both = text_of({"endpoints": endpoints(origins), "retries": 0}, workers=2)
        path.write_text(both)
        assert proxy.ask("reload").returncode == 0
        assert {ask(proxy, origins) for _ in range(10)} == {1}
        # It goes, and what was said of it is forgotten.
        path.write_text(text_of({"endpoints": endpoints(origins[1:])}, workers=2))
        assert proxy.ask("reload").returncode == 0
        path.write_text(text)
        assert proxy.ask("reload").returncode == 0
        assert {ask(proxy, origins) for _ in range(20)} == {0, 1}


def test_the_command_shows_and_changes_endpoints() -> None:
    with served_by(2) as (proxy, origins):
        first = origins[0].address
        done = proxy.ask("upstream", "app", first, "--state", "drain", "--weight", "3")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.match(rf"app  {first}  drain  weight 3 ", done.stdout)
        assert {ask(proxy, origins) for _ in range(5)} == {1}
        shown = proxy.ask("upstream").stdout.splitlines()
        assert len(shown) == 2
        assert shown[1].startswith(f"app  {origins[1].address}  ready  weight 1 ")
        assert proxy.ask("upstream", "nobody").returncode == 1
        refused = proxy.ask("upstream", "app", "127.0.0.1:1", "--weight", "3")
        assert refused.returncode == 1
        assert "has no endpoint" in refused.stderr


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"state": "asleep"}, 400),
        ({"weight": -1}, 400),
        ({"weight": 65_536}, 400),
        ({"weight": "many"}, 400),
        ({"colour": "red"}, 400),
        ([], 400),
    ],
)
def test_what_cannot_be_is_refused(shared, body, status) -> None:
    proxy, origins = shared
    assert change(proxy, origins[0].address, body).status == status
    assert rows(proxy)[0]["state"] == "ready"


@pytest.fixture(scope="module")
def shared():
    with served_by(1) as both:
        yield both


def test_only_programs_may_change_something(shared) -> None:
    proxy, origins = shared
    down, address = {"state": "down"}, origins[0].address
    assert change(proxy, address, down, origin="http://evil.example").status == 403
    assert change(proxy, address, down, **{"content-type": "text/plain"}).status == 415
    assert change(proxy, address, {"state": "x" * 5000}).status == 413
    assert change(proxy, "127.0.0.1:1", down).status == 404
    assert change(proxy, address, down, upstream="nobody").status == 404
    assert get(proxy.admin_port, f"/upstreams/app/endpoints/{address}").status == 405
    assert rows(proxy)[0]["state"] == "ready"


# ---- clients that stick


def cookie_of(response) -> tuple[str, str]:
    """Value and attributes of the cookie that an answer sets."""
    name, _, rest = response.headers["set-cookie"].partition("=")
    assert name == "srv"
    value, _, attributes = rest.partition("; ")
    return value, attributes


def test_a_cookie_brings_a_client_back() -> None:
    sticky = {"cookie": "srv", "ttl": "1h", "domain": "example.com", "secure": True}
    with served_by(3, workers=2, sticky=sticky) as (proxy, origins):
        values = {}
        for _ in range(30):
            response = proxy.get(f"/{next(numbers)}")
            value, attributes = cookie_of(response)
            wanted = "Path=/; Domain=example.com; Max-Age=3600; Secure; HttpOnly; SameSite=Lax"
            assert attributes == wanted
            assert re.fullmatch("[0-9a-f]{16}", value)
            assert values.setdefault(value, place(origins, response)) == place(origins, response)
        assert len(values) == 3
        for value, home in values.items():
            for _ in range(4):
                path = f"/{next(numbers)}"
                response = proxy.get(path, headers={"cookie": f"x=1; srv={value}"})
                assert place(origins, response) == home
                assert "set-cookie" not in response.headers


@pytest.mark.parametrize("value", ["", "nonsense", "0" * 16, "F" * 16, "0" * 17, '"'])
def test_a_cookie_that_names_nobody_is_replaced(value) -> None:
    with served_by(2, sticky="srv") as (proxy, _):
        response = proxy.get("/", headers={"cookie": f"srv={value}"})
        assert response.status == 200
        new, attributes = cookie_of(response)
        assert new != value
        assert attributes == "Path=/; HttpOnly; SameSite=Lax"


def test_a_draining_endpoint_keeps_its_clients_and_one_that_is_down_does_not() -> None:
    with served_by(2, sticky="srv") as (proxy, origins):
        response = proxy.get("/first")
        home, (value, _) = place(origins, response), cookie_of(response)
        cookie = {"cookie": f"srv={value}"}
        change(proxy, origins[home].address, {"state": "drain"})
        assert {ask(proxy, origins, headers=cookie) for _ in range(5)} == {home}
        assert {ask(proxy, origins) for _ in range(5)} == {1 - home}
        change(proxy, origins[home].address, {"state": "down"})
        response = proxy.get("/later", headers=cookie)
        assert place(origins, response) == 1 - home
        assert cookie_of(response)[0] != value


def test_a_client_whose_endpoint_is_dead_gets_another_one() -> None:
    with origin() as app:
        dead = f"127.0.0.1:{free_port()}"
        group = {"endpoints": [dead, app.address], "sticky": "srv"}
        with running(text_of(group)) as proxy:
            first = proxy.get("/")  # tried there, perhaps, and retried
            value, _ = cookie_of(first)
            again = proxy.get("/", headers={"cookie": f"srv={value}"})
            assert again.status == 200
            assert "set-cookie" not in again.headers


def test_a_cookie_means_the_same_after_a_restart() -> None:
    with contextlib.ExitStack() as stack:
        origins = [stack.enter_context(origin()) for _ in range(4)]
        homes = []
        value = ""
        for order in (origins, origins[::-1]):
            text = text_of({"endpoints": endpoints(order), "sticky": "srv"})
            with running(text) as proxy:
                headers = {"cookie": f"srv={value}"} if value else {}
                response = proxy.get(f"/{next(numbers)}", headers=headers)
                homes.append(place(origins, response))
                value = value or cookie_of(response)[0]
        assert homes[0] == homes[1]


def test_connections_of_a_tcp_listener_go_by_their_address() -> None:
    with contextlib.ExitStack() as stack:
        origins = [stack.enter_context(origin()) for _ in range(4)]
        text = f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0", protocol: tcp, upstream: app}}}}
            upstreams:
              app: {{endpoints: {json.dumps(endpoints(origins))}, balance: maglev}}
        """
        proxy = stack.enter_context(running(text))
        for _ in range(6):
            with connect(proxy.port()) as sock:
                send(sock, "/")
                assert read_response(sock).status == 200
        assert sorted(counts(origins)) == [0, 0, 0, 6]
