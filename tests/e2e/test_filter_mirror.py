"""The filter `mirror` against real traffic."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from testenv import (
    Origin,
    OriginRequest,
    Proxy,
    Reply,
    filter_example,
    free_port,
    origin,
    running,
    wait_until,
)
from testenv.h2 import h2_dial

CONFIG = """
workers: 1
admin: "127.0.0.1:0"
listeners:
  web: {{bind: "127.0.0.1:0"}}
  shadow: {{bind: "127.0.0.1:{port}"}}
upstreams:
  app: {{endpoints: "{app}"}}
  copy: {{endpoints: "{copy}"}}
  copy-h2: {{endpoints: "127.0.0.1:{port}", protocol: h2c}}
  gone: {{endpoints: "127.0.0.1:1"}}
routes:
  - {{match: {{path: /example}}, upstream: app, filters: {example}}}
  - match: {{path: "/some/*"}}
    name: some
    upstream: app
    filters: [{{mirror: {{upstream: copy}}, when: {{var: header.x-copy, exists: on}}}}]
  - match: {{path: "/gone"}}
    name: gone
    upstream: app
    filters: [{{mirror: {{upstream: gone}}}}]
  - match: {{path: "/h2"}}
    name: h2
    upstream: app
    filters:
      - mirror:
          upstream: copy-h2
          headers: {{set: {{host: a.shadow, x-mirrored: "{{method}}"}}}}
  - match: {{path: "/slow"}}
    name: slow
    upstream: app
    filters: [{{mirror: {{upstream: copy}}}}]
  - {{match: {{path: "/h2", host: "*.shadow"}}, upstream: copy}}
"""


@dataclass
class World:
    proxy: Proxy
    app: Origin
    copy: Origin
    open: threading.Event  # the mirror answers /slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    is_open = threading.Event()

    def answer(request: OriginRequest) -> Reply:
        if request.path == "/slow":
            is_open.wait(60)
        return Reply(500, body=b"nobody sees this")

    with ExitStack() as stack:
        app = stack.enter_context(origin(lambda request: Reply(body=request.body)))
        copy = stack.enter_context(origin(answer))
        stack.callback(is_open.set)
        text = CONFIG.format(
            app=app.address,
            copy=copy.address,
            port=free_port(),
            example=json.dumps(filter_example("mirror")),
        )
        yield World(stack.enter_context(running(text, folder=tmp_path)), app, copy, is_open)


def metric(world: World, name: str, route: str) -> float:
    return world.proxy.metrics()[f'pyproxy_mirror_{name}_total{{route="{route}"}}']


def test_the_example_sends_each_request_twice(world: World) -> None:
    answer = world.proxy.get("/example", headers={"Cookie": "a=b"})
    assert answer.status == 200
    wait_until(lambda: len(world.app.requests) == 2, "the copy")
    plain, copy = sorted(world.app.requests, key=lambda request: "x-mirrored" in request.headers)
    assert plain.headers["cookie"] == "a=b"
    assert "cookie" not in copy.headers
    assert copy.headers["x-mirrored"] == "1"
    assert copy.headers["host"] == plain.headers["host"] + "-shadow"
    assert copy.headers["x-forwarded-for"] == plain.headers["x-forwarded-for"]


def test_only_some_requests_are_copied_and_all_keep_their_framing(world: World) -> None:
    for i in range(4):
        headers = {"X-Copy": "1"} if i % 2 else {}
        answer = world.proxy.get(
            f"/some/{i}", method="POST", headers=headers, body=b"x" * (i + 1) * 10000
        )
        assert (answer.status, len(answer.body)) == (200, (i + 1) * 10000)
    wait_until(lambda: len(world.copy.requests) == 2, "the copies")
    assert [request.path for request in world.copy.requests] == ["/some/1", "/some/3"]
    assert [len(request.body) for request in world.copy.requests] == [20000, 40000]
    lengths = [request.headers.get("content-length") for request in world.app.requests]
    assert lengths == ["10000", "20000", "30000", "40000"]
    assert metric(world, "requests", "some") == 2


def test_a_client_hears_nothing_of_a_mirror_that_is_gone(world: World) -> None:
    assert [world.proxy.get("/gone").status for _ in range(20)] == [200] * 20
    wait_until(lambda: metric(world, "failures", "gone") == 20, "the failures")
    metrics = world.proxy.metrics()
    assert metrics['pyproxy_requests_total{route="gone",code="2xx"}'] == 20
    assert metrics['pyproxy_requests_total{route="gone",code="5xx"}'] == 0


def test_clients_and_mirrors_may_speak_http_2(world: World) -> None:
    with h2_dial(world.proxy.port()) as client:
        stream = client.request("POST", "/h2", end=False)
        client.send(stream, b"abc", end=True)
        assert client.response(stream).status == 200
    wait_until(lambda: len(world.copy.requests) == 1, "the copy")
    request = world.copy.requests[0]
    assert (request.method, request.body) == ("POST", b"abc")
    assert request.headers["x-mirrored"] == "POST"


def test_a_drain_waits_for_the_copies(world: World) -> None:
    assert world.proxy.get("/slow").status == 200
    wait_until(lambda: len(world.copy.requests) == 1, "the copy")
    world.proxy.signal(signal.SIGTERM)
    world.proxy.wait_for("drain")
    assert world.proxy.running
    world.open.set()
    assert world.proxy.wait() == 0


def test_a_reload_leaves_the_copies_alone(world: World) -> None:
    assert world.proxy.get("/slow").status == 200
    wait_until(lambda: len(world.copy.requests) == 1, "the copy")
    text = (world.proxy.folder / "pyproxy.yaml").read_text()
    assert world.proxy.reload(text.replace("/some/*", "/other/*")).returncode == 0
    world.open.set()
    wait_until(lambda: metric(world, "requests", "slow") == 1, "the count")
    assert world.proxy.get("/slow").status == 200
    wait_until(lambda: len(world.copy.requests) == 2, "the next copy")
    assert metric(world, "failures", "slow") == 0
