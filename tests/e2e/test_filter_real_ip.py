"""The filter `real_ip` against real traffic."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from testenv import (
    OriginRequest,
    Proxy,
    Reply,
    connect,
    filter_example,
    origin,
    read_response,
    running,
)


def echo(request: OriginRequest) -> Reply:
    return Reply(body=json.dumps(request.headers).encode())


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with origin(echo) as app:
        config = f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0", trusted_proxies: [127.0.0.0/8]}}}}
        upstreams: {{app: {{endpoints: "{app.address}"}}}}
        filters:
          - {json.dumps(filter_example("real_ip")[0])}
          - headers: {{response: {{set: {{x-client: "{{client.address}}", x-route: "{{route}}"}}}}}}
        routes:
          - {{name: theirs, match: {{clients: [203.0.113.0/24]}}, upstream: app}}
          - name: single
            match: {{path: /single}}
            upstream: app
            filters:
              - {{real_ip: , enabled: off}}
              - {{real_ip: {{trusted: [127.0.0.1], header: x-real-ip, recursive: off}}, name: b}}
          - {{name: rest, upstream: app}}
        """
        with running(config) as started:
            yield started


@pytest.mark.parametrize(
    ("said", "client"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("1.1.1.1, 198.51.100.7, 10.1.2.3", "198.51.100.7"),
        ("10.0.0.1, 10.0.0.2", "10.0.0.1"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::7]:4711,127.0.0.9", "2001:db8::7"),
        ("2001:DB8::7", "2001:db8::7"),
        ("198.51.100.7, , 10.1.1.1,", "198.51.100.7"),
        ("1.1.1.1, nonsense", "127.0.0.1"),
        ("1.1.1.1, nonsense, 10.9.9.9", "10.9.9.9"),
        ("unknown", "127.0.0.1"),
        ("[::1", "127.0.0.1"),
        ("1.2.3.4:99999", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_the_client_is_the_last_that_is_not_trusted(proxy: Proxy, said: str, client: str) -> None:
    assert proxy.get("/", headers={"X-Forwarded-For": said}).headers["x-client"] == client


def test_several_lines_are_one_list(proxy: Proxy) -> None:
    lines = b"X-Forwarded-For: 198.51.100.1\r\nX-Forwarded-For: 198.51.100.2\r\n"
    with connect(proxy.port()) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
        assert read_response(sock).headers["x-client"] == "198.51.100.2"


def test_routes_are_chosen_by_the_address_that_was_found(proxy: Proxy) -> None:
    response = proxy.get("/", headers={"X-Forwarded-For": "203.0.113.9"})
    assert response.headers["x-route"] == "theirs"
    assert proxy.get("/").headers["x-route"] == "rest"


def test_the_origin_is_told_the_way_as_it_was(proxy: Proxy) -> None:
    response = proxy.get("/", headers={"X-Forwarded-For": "198.51.100.7, 10.1.2.3"})
    assert json.loads(response.text)["x-forwarded-for"] == "198.51.100.7, 10.1.2.3, 127.0.0.1"


def test_another_field_and_only_its_last_address(proxy: Proxy) -> None:
    # The filter of all routes has been at work before the route was known.
    response = proxy.get("/single", headers={"X-Real-Ip": "198.51.100.1, 127.0.0.1"})
    assert response.headers["x-client"] == "127.0.0.1"
    response = proxy.get("/single", headers={"X-Real-Ip": "198.51.100.1"})
    assert response.headers["x-client"] == "198.51.100.1"
