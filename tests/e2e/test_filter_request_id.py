"""The filter `request_id` against real traffic."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator

import pytest

from testenv import OriginRequest, Proxy, Reply, filter_example, origin, running, wait_until

EXAMPLE = json.dumps(filter_example("request_id"))

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-%s[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def echo(request: OriginRequest) -> Reply:
    return Reply(body=json.dumps(request.headers).encode())


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    with origin(echo) as app:
        config = f"""
        workers: 1
        access_log: stdout
        listeners:
          web: {{bind: "127.0.0.1:0"}}
          inside: {{bind: "127.0.0.1:0", trusted_proxies: [127.0.0.0/8]}}
        upstreams: {{app: {{endpoints: "{app.address}"}}}}
        filters: {EXAMPLE}
        routes:
          - match: {{path: /own}}
            upstream: app
            filters:
              - request_id: {{header: X-Trace, response: off}}
              - headers: {{response: {{set: {{x-copy: "{{request.id}}"}}}}}}
          - {{match: {{path: /never}}, upstream: app, filters: [{{request_id: {{trust: never}}}}]}}
          - upstream: app
        """
        with running(config) as started:
            yield started


def test_everybody_gets_the_same_id(proxy: Proxy) -> None:
    response = proxy.get("/example")
    name = response.headers["x-request-id"]
    assert re.fullmatch(UUID % "7", name)
    assert json.loads(response.text)["x-request-id"] == name
    wait_until(lambda: f'"id":"{name}"' in proxy.stdout, "the access log has it")


def test_ids_of_version_7_begin_with_the_time(proxy: Proxy) -> None:
    names = [proxy.get("/").headers["x-request-id"] for _ in range(20)]
    assert len(set(names)) == 20
    stamps = [int(name.replace("-", "")[:12], 16) for name in names]
    assert stamps == sorted(stamps)
    assert abs(stamps[0] / 1000 - time.time()) < 60


def test_a_clients_own_is_kept_from_those_who_are_trusted(proxy: Proxy) -> None:
    fields = {"X-Request-Id": "from-the-edge:1"}
    assert proxy.get("/", headers=fields).headers["x-request-id"] != "from-the-edge:1"
    response = proxy.get("/", "inside", headers=fields)
    assert response.headers["x-request-id"] == "from-the-edge:1"
    assert json.loads(response.text)["x-request-id"] == "from-the-edge:1"


@pytest.mark.parametrize("name", ["", "a b", "a,b", "x" * 129, '"a"', "<script>"])
def test_what_is_no_id_is_replaced(proxy: Proxy, name: str) -> None:
    response = proxy.get("/", "inside", headers={"X-Request-Id": name})
    assert re.fullmatch(UUID % "7", response.headers["x-request-id"])


def test_a_route_may_name_its_own_field(proxy: Proxy) -> None:
    response = proxy.get("/own")
    assert "x-request-id" not in response.headers
    assert json.loads(response.text)["x-trace"] == response.headers["x-copy"]


def test_the_answer_to_what_is_no_request_has_one_too(proxy: Proxy) -> None:
    assert re.fullmatch(UUID % "7", proxy.get("/%zz").headers["x-request-id"])
