"""Which connection a request takes, and when it may try another."""

from __future__ import annotations

import json
import socket
import threading

import pytest

from testenv import free_port, origin, run_to_end, running, wait_until
from testenv.raw import RawOrigin, dial, fields_of, request, response


def config(*endpoints: str, more: str = "") -> str:
    return f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams: {{app: {{endpoints: {json.dumps(endpoints)}{more}}}}}
        routes: [{{upstream: app}}]
        access_log: stdout
    """


def warm(client, app):
    """One exchange, so that a connection to the origin is idle afterwards."""
    client.send(request("/warm"))
    up = app.accept()
    up.read_head()
    up.send(response(b"ok"))
    client.read_head()
    client.take(2)
    return up


def log_of(proxy, target: str) -> dict:
    return dict(proxy.access_log(target=target)[0])


@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_a_safe_request_on_a_connection_that_dies_is_tried_again(method, how) -> None:
    with RawOrigin() as app, running(config(app.address)) as proxy, dial(proxy.port()) as client:
        up = warm(client, app)
        client.send(request("/again", method=method))
        up.read_head()
        up.close() if how == "close" else up.abort()
        other = app.accept()
        assert other.read_head().startswith(method.encode() + b" /again ")
        other.send(response(b"", 200, "OK"))
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
        line = log_of(proxy, "/again")
        assert line["upstream_attempts"] == 2
        assert line["fault"] is None


@pytest.mark.parametrize("method", ["POST", "PATCH", "CUSTOM"])
def test_an_unsafe_request_on_a_connection_that_dies_is_not_tried_again(method) -> None:
    with RawOrigin() as app, running(config(app.address)) as proxy, dial(proxy.port()) as client:
        up = warm(client, app)
        client.send(request("/once", method=method))
        up.read_head()
        up.close()
        assert client.read_head().startswith(b"HTTP/1.1 502 ")
        assert not app.has_connection
        assert log_of(proxy, "/once")["upstream_attempts"] == 1


def test_a_request_whose_body_has_begun_is_not_tried_again() -> None:
    with RawOrigin() as app, running(config(app.address)) as proxy, dial(proxy.port()) as client:
        up = warm(client, app)
        client.send(request("/once", method="PUT", body=b"body"))
        up.read_head()
        up.take(4)
        up.close()
        assert client.read_head().startswith(b"HTTP/1.1 502 ")
        assert not app.has_connection


def test_a_request_on_a_fresh_connection_is_not_tried_again() -> None:
    with RawOrigin() as app, running(config(app.address)) as proxy, dial(proxy.port()) as client:
        client.send(request("/once"))
        up = app.accept()
        up.read_head()
        up.close()
        assert client.read_head().startswith(b"HTTP/1.1 502 ")
        assert not app.has_connection


def test_a_request_that_was_half_answered_is_not_tried_again() -> None:
    with RawOrigin() as app, running(config(app.address)) as proxy, dial(proxy.port()) as client:
        up = warm(client, app)
        client.send(request("/once"))
        up.read_head()
        up.send(b"HTTP/1.1 200 OK\r\n")
        up.close()
        assert client.read_head().startswith(b"HTTP/1.1 502 ")
        assert not app.has_connection


def test_retries_can_be_turned_off() -> None:
    with (
        RawOrigin() as app,
        running(config(app.address, more=", retries: 0")) as proxy,
        dial(proxy.port()) as client,
    ):
        up = warm(client, app)
        client.send(request("/once"))
        up.read_head()
        up.close()
        assert client.read_head().startswith(b"HTTP/1.1 502 ")


def test_an_idle_connection_that_was_closed_is_not_used() -> None:
    with RawOrigin() as app, running(config(app.address)) as proxy, dial(proxy.port()) as client:
        up = warm(client, app)
        up.close()
        assert up.sock.fileno() < 0
        client.send(request("/next", method="POST", body=b"body"))
        other = app.accept()
        other.read_head()
        other.take(4)
        other.send(response(b"ok"))
        assert client.read_head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_endpoint_that_is_down_is_skipped(method) -> None:
    with origin() as app, running(config(f"127.0.0.1:{free_port()}", app.address)) as proxy:
        for n in range(6):
            assert proxy.get(f"/{n}", method=method, body=b"x").status == 200
        attempts = [log_of(proxy, f"/{n}")["upstream_attempts"] for n in range(6)]
        assert set(attempts) <= {1, 2}


def test_when_every_endpoint_is_down_the_answer_is_502() -> None:
    with running(config(f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}")) as proxy:
        assert proxy.get("/x").status == 502
        assert log_of(proxy, "/x")["upstream_attempts"] == 2


def test_requests_go_round_the_endpoints_by_weight() -> None:
    with origin() as one, origin() as two:
        text = config().replace(
            "endpoints: []",
            f'endpoints: ["{one.address}", {{address: "{two.address}", weight: 3}}]',
        )
        with running(text) as proxy:
            for n in range(40):
                assert proxy.get(f"/{n}").status == 200
            assert (len(one.requests), len(two.requests)) == (10, 30)


def test_the_last_used_connection_is_used_first() -> None:
    with RawOrigin() as app, running(config(app.address)) as proxy:
        clients = [dial(proxy.port()) for _ in range(3)]
        ups = []
        for n, client in enumerate(clients):
            client.send(request(f"/{n}"))
            ups.append(app.accept())
            ups[n].read_head()
        for n in (0, 2, 1):
            ups[n].send(response(b"ok"))
            clients[n].read_head()
            clients[n].take(2)
        for _ in range(3):
            clients[0].send(request("/again"))
            assert ups[1].read_head().startswith(b"GET /again ")
            ups[1].send(response(b"ok"))
            clients[0].read_head()
            clients[0].take(2)
        assert not app.has_connection
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    "pool",
    ["max_idle: 0", "max_requests: 1", "idle_timeout: 100ms", "max_age: 100ms"],
)
def test_connections_are_kept_as_the_pool_says(pool) -> None:
    with (
        RawOrigin() as app,
        running(config(app.address, more=f", pool: {{{pool}}}")) as proxy,
        dial(proxy.port()) as client,
    ):
        up = warm(client, app)
        threading.Event().wait(0.3)
        client.send(request("/next"))
        other = app.accept()
        other.read_head()
        other.send(response(b"ok"))
        assert client.read_head().startswith(b"HTTP/1.1 200 ")
        assert up.read_to_end() == b""


def test_no_more_connections_stay_idle_than_the_pool_allows() -> None:
    with RawOrigin() as app, running(config(app.address, more=", pool: {max_idle: 2}")) as proxy:
        clients = [dial(proxy.port()) for _ in range(5)]
        ups = []
        for client in clients:
            client.send(request())
            ups.append(app.accept())
            ups[-1].read_head()
        for up, client in zip(ups, clients, strict=True):
            up.send(response(b"ok"))
            client.read_head()
            client.take(2)
        wait_until(lambda: sum(not up.is_quiet for up in ups) == 3, "three of five are closed")
        for client in clients:
            client.close()


def test_a_unix_socket_can_be_an_endpoint(tmp_path) -> None:
    path = tmp_path / "app.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with running(config(f"unix:{path}")) as proxy, dial(proxy.port()) as client:
            client.send(request("/unix"))
            up, _ = server.accept()
            with up:
                up.settimeout(30)
                assert up.recv(4096).startswith(b"GET /unix HTTP/1.1\r\n")
                up.sendall(response(b"ok"))
                assert fields_of(client.read_head())["content-length"] == "2"


def test_the_path_of_an_endpoint_is_absolute() -> None:
    ended = run_to_end(config("unix:app.sock"))
    assert ended.status == 2
    assert '"unix:app.sock" is not absolute; write unix:/run/app.sock' in ended.stderr
