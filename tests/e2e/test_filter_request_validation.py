"""The filter `request_validation` against real traffic."""

from __future__ import annotations

import json

import pytest

from testenv import Proxy, filter_example, origin, running
from testenv.h2 import h2_dial

JSON = {"Content-Type": "application/json", "X-Tenant": "acme"}


@pytest.fixture(scope="module")
def proxy() -> Proxy:
    config = """
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    upstreams: {{app: {{endpoints: "{address}"}}}}
    routes:
      - {{match: {{path: /example}}, upstream: app, filters: {example}}}
      - match: {{path: /list}}
        upstream: app
        filters:
          - request_validation:
              max_body: 100KiB
              status: 422
              details: off
              required: off
              body: {{type: array, items: {{$ref: "#/$defs/n"}}, $defs: {{n: {{type: integer}}}}}}
    """
    with origin() as app:
        example = json.dumps(filter_example("request_validation"))
        with running(config.format(address=app.address, example=example)) as started:
            yield started


def post(proxy: Proxy, path: str, body: bytes, **headers: str) -> tuple[int, dict[str, object]]:
    answer = proxy.get(path, method="POST", body=body, headers={**JSON, **headers})
    return answer.status, json.loads(answer.text)


def test_the_example_does_what_it_says(proxy: Proxy) -> None:
    status, seen = post(proxy, "/example", b'{"name": "a", "tags": ["b"]}')
    assert (status, seen["body_bytes"]) == (200, 28)
    status, said = post(proxy, "/example", b'{"name": "a", "tags": ["b", 7]}')
    assert (status, said["error"], said["in"]) == (400, "invalid_request", "body")
    assert said["path"] == "$.tags[1]"
    assert said["detail"] == "7 is not of type 'string'"
    status, said = post(proxy, "/example", b'{"name": "a", "other": 1}')
    assert (status, said["path"]) == (400, "$")
    status, said = post(proxy, "/example", b'{"name": "a"}', **{"X-Tenant": "Ac me"})
    assert (status, said["in"], said["path"]) == (400, "headers", "$['x-tenant']")


def test_a_body_is_json_and_there(proxy: Proxy) -> None:
    for body in (b"{", b"\xff", b'{"name": "a", "name": "b"}', b"[" * 15_000):
        status, said = post(proxy, "/example", body)
        assert (status, said["path"]) == (400, "$")
        assert str(said["detail"]).startswith("not JSON: ")
    assert post(proxy, "/example", b"")[1]["detail"] == "there is no body"
    assert post(proxy, "/example", b"{}", **{"Content-Type": "text/plain"})[0] == 415
    assert proxy.get("/example", headers=JSON).status == 200
    assert post(proxy, "/list", b"")[0] == 200


def test_bodies_that_no_field_tells_of_are_looked_at(proxy: Proxy) -> None:
    """A stream of HTTP/2 says by its end alone whether it has one."""

    def ask(body: bytes | None, kind: str = "application/json") -> tuple[int, bytes]:
        fields = (("content-type", kind), ("x-tenant", "acme"))
        with h2_dial(proxy.port()) as client:
            number = client.request("POST", "/example", *fields, end=body is None)
            if body is not None:
                client.send(number, body, end=True)
            answer = client.response(number)
            return answer.status, bytes(answer.body)

    assert ask(b'{"name": "a", "tags": ["b"]}')[0] == 200
    assert ask(b'{"name": "a", "tags": [7]}')[0] == 400
    assert ask(b'{"name": "a"}', "text/plain")[0] == 415
    status, said = ask(None)
    assert (status, json.loads(said)["detail"]) == (400, "there is no body")


def test_long_bodies_are_looked_at_too(proxy: Proxy) -> None:
    valid = json.dumps(list(range(10_000))).encode()
    status, seen = post(proxy, "/list", valid)
    assert (status, seen["body_bytes"]) == (200, len(valid))
    status, said = post(proxy, "/list", valid[:-1] + b', "x"]')
    assert (status, said["detail"]) == (422, "the request is not valid")
    assert "path" not in said
    assert post(proxy, "/list", valid + b" " * 100_000)[0] == 413
