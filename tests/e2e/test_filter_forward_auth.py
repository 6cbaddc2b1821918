"""The filter `forward_auth` against real traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from testenv import (
    Origin,
    OriginRequest,
    Proxy,
    Reply,
    connect,
    filter_example,
    free_port,
    origin,
    read_response,
    running,
)
from testenv.h2 import H2Client


def echo(request: OriginRequest) -> Reply:
    return Reply(headers={"x-from": "app"}, body=json.dumps(request.headers).encode())


class Service:
    """An authorisation service that answers what the test says."""

    def __init__(self) -> None:
        self.reply: Reply | None = Reply()

    def __call__(self, _request: OriginRequest) -> Reply | None:
        return self.reply


@contextmanager
def guarded(url: str, **options: object) -> Iterator[Proxy]:
    example = filter_example("forward_auth")[0]["forward_auth"]
    others = {"url": url, "timeout": "20s", **options}  # no machine is that slow
    with origin(echo) as app:
        config = {
            "workers": 1,
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "upstreams": {"app": {"endpoints": app.address}},
            "routes": [
                {"match": {"path": "/open"}, "respond": {"status": 200}},
                {
                    "upstream": "app",
                    "filters": [{"forward_auth": {**example, **others}}],
                },
            ],
        }
        with running(json.dumps(config)) as proxy:
            yield proxy


@pytest.fixture(scope="module")
def service() -> Service:
    return Service()


@pytest.fixture(scope="module")
def auth(service: Service) -> Iterator[Origin]:
    with origin(service) as started:
        yield started


@pytest.fixture(scope="module")
def proxy(auth: Origin) -> Iterator[Proxy]:
    with guarded(f"http://{auth.address}/verify?a=b", success_headers=["set-cookie"]) as started:
        yield started


def test_what_is_asked_for_is_told(proxy: Proxy, service: Service, auth: Origin) -> None:
    service.reply = Reply()
    headers = {"Authorization": "t", "X-Other": "o", "X-Forwarded-Uri": "/forged", "cookie": "a=b"}
    assert proxy.get("/x?y=z", method="POST", body=b"hi", headers=headers).status == 200
    asked = auth.requests[-1]
    assert (asked.method, asked.target, asked.body) == ("GET", "/verify?a=b", b"")
    assert asked.headers["host"] == auth.address
    assert asked.headers["authorization"] == "t"
    assert asked.headers["cookie"] == "a=b"
    assert "x-other" not in asked.headers
    assert asked.headers["x-forwarded-method"] == "POST"
    assert asked.headers["x-forwarded-proto"] == "http"
    assert asked.headers["x-forwarded-host"] == "test"
    assert asked.headers["x-forwarded-uri"] == "/x?y=z"
    assert asked.headers["x-forwarded-for"] == "127.0.0.1"


def test_who_is_let_in_goes_on_as_the_service_says(proxy: Proxy, service: Service) -> None:
    service.reply = Reply(204, {"X-User": "ann", "Set-Cookie": "s=1", "X-Other": "o"})
    answer = proxy.get("/", headers={"x-user": "root", "x-roles": "admin"})
    seen = json.loads(answer.text)
    assert seen["x-user"] == "ann"
    assert "x-roles" not in seen
    assert "x-other" not in seen
    assert answer.headers["set-cookie"] == "s=1"
    # Cookies of the service are those of one client.
    service.reply = Reply()
    assert "set-cookie" not in proxy.get("/").headers


def test_nobody_gets_the_cookies_of_others(proxy: Proxy, service: Service, auth: Origin) -> None:
    service.reply = Reply(200, {"Set-Cookie": "session=of-somebody; Path=/"})
    proxy.get("/")
    proxy.get("/")
    assert "cookie" not in auth.requests[-1].headers


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 429])
def test_a_refusal_is_what_the_client_gets(proxy: Proxy, service: Service, status: int) -> None:
    fields = {
        "WWW-Authenticate": "Basic",
        "Location": "/login",
        "X-Secret": "no",
        "Content-Type": "text/x",
    }
    service.reply = Reply(status, fields, b"no entry")
    answer = proxy.get("/")
    assert (answer.status, answer.text) == (status, "no entry")
    assert answer.headers["www-authenticate"] == "Basic"
    assert answer.headers["location"] == "/login"
    assert answer.headers["content-type"] == "text/x"
    assert "x-secret" not in answer.headers
    assert "x-from" not in answer.headers


def test_connections_are_kept_open(proxy: Proxy, service: Service, auth: Origin) -> None:
    service.reply = Reply()
    proxy.get("/")
    before = auth.connections
    for _ in range(5):
        assert proxy.get("/").status == 200
    assert auth.connections == before


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500),
        Reply(503, body=b"x"),
        Reply(raw=b"nonsense\r\n\r\n", close=True),
        Reply(raw=b"", close=True),
        Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab", close=True),
        Reply(200, body=b"x" * 70_000),
        Reply(403, body=b"x" * 70_000),
    ],
)
def test_no_answer_is_no_permission(proxy: Proxy, service: Service, reply: Reply) -> None:
    service.reply = reply
    answer = proxy.get("/")
    assert (answer.status, json.loads(answer.text)) == (503, {"error": "authorization_unavailable"})
    service.reply = Reply()
    assert proxy.get("/").status == 200


def test_a_service_that_is_gone() -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    with guarded(url, status_on_error=403) as proxy:
        assert proxy.get("/").status == 403
    with guarded(url, on_error="allow") as proxy:
        answer = proxy.get("/", headers={"x-user": "root"})
        assert answer.status == 200
        assert "x-user" not in json.loads(answer.text)


def test_a_service_that_says_nothing_is_not_waited_for_long() -> None:
    silent = origin(lambda _request: Reply(raw=b"HTTP/1.1 100 C\r\n\r\n"))
    with silent as auth, guarded(f"http://{auth.address}/", timeout="50ms") as proxy:
        assert proxy.get("/").status == 503
        assert proxy.get("/open").status == 200


@pytest.fixture(scope="module")
def reader(auth: Origin) -> Iterator[Proxy]:
    """A proxy that shows bodies to the service."""
    with guarded(f"http://{auth.address}/verify", body="8B") as started:
        yield started


def test_a_body_is_shown_and_goes_on(reader: Proxy, service: Service, auth: Origin) -> None:
    service.reply = Reply(200, {"x-user": "ann"})
    fields = {"Content-Type": "text/x", "Content-Encoding": "identity"}
    answer = reader.get("/", method="PUT", body=b"a=b&c=d", headers=fields)
    assert answer.status == 200
    assert (json.loads(answer.text)["x-user"], json.loads(answer.text)["content-length"]) == (
        "ann",
        "7",
    )
    asked = auth.requests[-1]
    assert (asked.method, asked.body) == ("POST", b"a=b&c=d")
    assert asked.headers["content-length"] == "7"
    assert asked.headers["content-type"] == "text/x"
    assert asked.headers["content-encoding"] == "identity"
    assert asked.headers["x-forwarded-method"] == "PUT"


def test_a_request_without_a_body_is_asked_about_too(
    reader: Proxy, service: Service, auth: Origin
) -> None:
    service.reply = Reply()
    assert reader.get("/").status == 200
    asked = auth.requests[-1]
    assert (asked.method, asked.body, asked.headers["content-length"]) == ("POST", b"", "0")
    service.reply = Reply(401)
    assert reader.get("/").status == 401
    assert reader.get("/", method="POST", body=b"abc").status == 401


def test_chunks_are_put_together(reader: Proxy, service: Service, auth: Origin) -> None:
    service.reply = Reply()
    chunked = "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connect(reader.port("web")) as sock:
        sock.sendall(f"{chunked}2\r\nab\r\n1\r\nc\r\n0\r\n\r\n".encode())
        assert read_response(sock).status == 200
        assert auth.requests[-1].body == b"abc"
        assert auth.requests[-1].headers["content-length"] == "3"
        before = len(auth.requests)
        sock.sendall(f"{chunked}9\r\nabcdefghi\r\n0\r\n\r\n".encode())
        assert read_response(sock).status == 413
        assert len(auth.requests) == before


def test_streams_of_http_2_without_a_length_are_shown(
    reader: Proxy, service: Service, auth: Origin
) -> None:
    service.reply = Reply()
    with connect(reader.port("web")) as sock:
        client = H2Client(sock)
        stream = client.request("POST", "/", end=False)
        client.send(stream, b"abc", end=True)
        assert client.response(stream).status == 200
    assert auth.requests[-1].body == b"abc"


def test_a_body_that_another_filter_may_take_is_too_large_to_be_shown(auth: Origin) -> None:
    both = [
        {"forward_auth": {"url": f"http://{auth.address}/", "body": "4B"}},
        {"forward_auth": {"url": f"http://{auth.address}/", "body": "100B"}, "name": "other"},
    ]
    config = {
        "workers": 1,
        "listeners": {"web": {"bind": "127.0.0.1:0"}},
        "routes": [{"respond": {}, "filters": both}],
    }
    with running(json.dumps(config)) as proxy:
        assert proxy.get("/", method="POST", body=b"abcde").status == 413
