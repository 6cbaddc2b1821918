"""The filter `hmac_auth` against real traffic."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator

import pytest

from testenv import OriginRequest, Proxy, Reply, Response, filter_example, origin, running

KEY = b"a-shared-secret-from-secret://env/SHOP_SECRET"
FIRST = ("@method", "@authority", "@path", "@query", "date")


def echo(request: OriginRequest) -> Reply:
    seen = {"headers": request.headers, "body": request.body.decode()}
    return Reply(body=json.dumps(seen).encode())


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    plain = {"keys": {"shop": KEY.decode()}, "hide_credentials": True, "max_skew": "10s"}
    with origin(echo) as app:
        config = {
            "workers": 1,
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "upstreams": {"app": {"endpoints": app.address}},
            "routes": [
                {
                    "match": {"path": "/example"},
                    "upstream": "app",
                    "filters": filter_example("hmac_auth"),
                },
                {
                    "match": {"path": "/plain"},
                    "upstream": "app",
                    "filters": [{"hmac_auth": plain}],
                },
            ],
        }
        with running(json.dumps(config)) as started:
            yield started


def digest(body: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def signed(
    target: str,
    *,
    method: str = "GET",
    covered: tuple[str, ...] = FIRST,
    fields: dict[str, str] | None = None,
    more: str = ';keyid="shop"',
    created: float | None = None,
    key: bytes = KEY,
) -> dict[str, str]:
    """The fields of a request that is signed."""
    headers = {"date": "Tue, 20 Apr 2021 02:07:55 GMT", **(fields or {})}
    path, _, query = target.partition("?")
    known = {
        "@method": method,
        "@authority": "test",
        "@path": path,
        "@query": f"?{query}",
        "@target-uri": f"http://test{target}",
        **headers,
    }
    names = " ".join(f'"{name}"' for name in covered)
    parameters = f"({names});created={int(time.time() if created is None else created)}{more}"
    lines = [f'"{name}": {known[name]}' for name in covered]
    base = "\n".join([*lines, f'"@signature-params": {parameters}'])
    signature = base64.b64encode(hmac.digest(key, base.encode(), "sha256")).decode()
    return {**headers, "signature-input": f"s={parameters}", "signature": f"s=:{signature}:"}


def ask(proxy: Proxy, target: str, headers: dict[str, str], **more: object) -> Response:
    return proxy.get(target, headers=headers, **more)


def test_who_signs_is_the_consumer(proxy: Proxy) -> None:
    headers = {**signed("/example?a=%20b"), "X-Consumer": "root"}
    answer = ask(proxy, "/example?a=%20b", headers)
    assert answer.status == 200
    seen = json.loads(answer.text)["headers"]
    assert seen["x-consumer"] == "shop"
    assert "signature" in seen
    covered = ("@method", "@target-uri")
    answer = ask(proxy, "/plain?x", signed("/plain?x", covered=covered))
    assert "signature" not in json.loads(answer.text)["headers"]
    assert "signature-input" not in json.loads(answer.text)["headers"]


def test_what_was_signed_cannot_be_changed(proxy: Proxy) -> None:
    good = signed("/example?a=1")
    assert ask(proxy, "/example?a=1", good).status == 200
    assert ask(proxy, "/example?a=2", good).status == 401
    assert ask(proxy, "/example", good).status == 401
    assert ask(proxy, "/example?a=1", good, method="DELETE").status == 401
    assert ask(proxy, "/example?a=1", good, host="other").status == 401
    assert ask(proxy, "/example?a=1", {**good, "date": "now"}).status == 401


@pytest.mark.parametrize(
    "options",
    [
        {"key": b"another secret that is not it"},
        {"more": ';keyid="nobody"'},
        {"more": ""},
        {"more": ";keyid=1"},
        {"more": ';keyid="shop";alg="rsa-v1_5-sha256"'},
        {"more": ';keyid="shop";expires=1'},
        {"more": ';keyid="shop";expires="x"'},
        {"covered": FIRST[:-1]},
        {"covered": ()},
        {"created": time.time() - 1000},
        {"created": time.time() + 1000},
    ],
)
def test_signatures_that_do_not_hold_are_refused(proxy: Proxy, options: dict[str, object]) -> None:
    answer = ask(proxy, "/example", signed("/example", **options))  # type: ignore[arg-type]
    assert (answer.status, json.loads(answer.text)) == (401, {"error": "invalid_signature"})
    assert answer.headers["www-authenticate"] == 'Signature realm="pyproxy"'
    assert answer.headers["accept-signature"].startswith('sig=("@method" "@authority"')


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({}, "missing_signature"),
        ({"signature": "s=:AA==:"}, "missing_signature"),
        ({"signature-input": "s=()"}, "invalid_signature"),
        ({"signature-input": "s=()", "signature": "s=:AA==:"}, "invalid_signature"),
        ({"signature-input": "x" * 10000, "signature": "s=:AA==:"}, "invalid_signature"),
        ({"signature-input": '"\xff', "signature": "\xff"}, "invalid_signature"),
        ({"signature-input": "", "signature": ""}, "invalid_signature"),
    ],
)
def test_malformed_ones_too(proxy: Proxy, headers: dict[str, str], word: str) -> None:
    answer = ask(proxy, "/example", headers)
    assert (answer.status, json.loads(answer.text)) == (401, {"error": word})


def test_a_body_is_covered_by_its_digest(proxy: Proxy) -> None:
    def send(body: bytes, fields: dict[str, str], *names: str, **more: str) -> Response:
        headers = signed("/example", method="POST", covered=(*FIRST, *names), fields=fields)
        return ask(proxy, "/example", {**headers, **more}, method="POST", body=body)

    right = {"content-digest": digest(b"hello")}
    answer = send(b"hello", right, "content-digest")
    assert (answer.status, json.loads(answer.text)["body"]) == (200, "hello")
    assert json.loads(send(b"hellO", right, "content-digest").text) == {"error": "invalid_digest"}
    assert json.loads(send(b"hello", right).text) == {"error": "missing_digest"}
    assert json.loads(send(b"hello", {}).text) == {"error": "missing_digest"}
    assert json.loads(send(b"", right, "content-digest").text) == {"error": "invalid_digest"}
    wrong = {"content-digest": "md5=:AA==:"}
    assert json.loads(send(b"", wrong, "content-digest").text) == {"error": "invalid_digest"}
    assert send(b"", {"content-digest": digest(b"")}, "content-digest").status == 200
    large = b"x" * 70_000
    assert send(large, {"content-digest": digest(large)}, "content-digest").status == 413
