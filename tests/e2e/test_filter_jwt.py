"""The filter `jwt` against real traffic."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from testenv import Origin, OriginRequest, Proxy, Reply, filter_example, origin, running, wait_until

SECRET = "a-secret-of-at-least-32-bytes-which-should-be-secret://env/JWT_SECRET"
ONE = RSAKey.generate_key(2048, {"kid": "one"})
TWO = ECKey.generate_key("P-256", {"kid": "two"})


def echo(request: OriginRequest) -> Reply:
    seen = {"target": request.target, "headers": request.headers}
    return Reply(body=json.dumps(seen).encode())


def key_set(*keys: RSAKey | ECKey) -> bytes:
    return json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode()


def token(key: RSAKey | ECKey, **claims: object) -> str:
    algorithm = "RS256" if isinstance(key, RSAKey) else "ES256"
    header = {"alg": algorithm, "kid": key.kid}
    return jwt.encode(header, {"sub": "ann", "exp": int(time.time()) + 600, **claims}, key)


def shared(**claims: object) -> str:
    plain = {
        "iss": "https://login.example",
        "aud": "shop",
        "sub": "ann",
        "exp": int(time.time()) + 600,
    }
    return jwt.encode({"alg": "HS256"}, {**plain, **claims}, OctKey.import_key(SECRET))


class Signer:
    """An origin that hands out a key set."""

    def __init__(self) -> None:
        self.body, self.status = key_set(ONE), 200

    def __call__(self, _request: OriginRequest) -> Reply:
        return Reply(status=self.status, body=self.body)


@contextmanager
def guarded(options: dict[str, object]) -> Iterator[Proxy]:
    with origin(echo) as app:
        config = {
            "workers": 1,
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "upstreams": {"app": {"endpoints": app.address}},
            "routes": [{"upstream": "app", "filters": [{"jwt": options}]}],
        }
        with running(json.dumps(config)) as proxy:
            yield proxy


def status(proxy: Proxy, text: str) -> int:
    return proxy.get("/", headers={"authorization": f"Bearer {text}"}).status


@pytest.fixture(scope="module")
def example() -> Iterator[Proxy]:
    options = filter_example("jwt")[0]["jwt"]
    with guarded({**options, "query": "token", "cookie": "token", "hide_credentials": True}) as p:
        yield p


def test_who_shows_a_token_goes_on_with_its_claims(example: Proxy) -> None:
    text = shared(realm={"roles": ["a", "b"]})
    for _ in range(2):
        headers = {"Authorization": f"Bearer {text}", "X-User": "root"}
        seen = json.loads(example.get("/", headers=headers).text)["headers"]
        assert (seen["x-user"], seen["x-roles"]) == ("ann", "a,b")
        assert "authorization" not in seen


def test_a_query_or_a_cookie_does_as_well(example: Proxy) -> None:
    text = shared()
    for _ in range(2):
        seen = json.loads(example.get(f"/?a=1&token={text}").text)
        assert (seen["target"], seen["headers"]["x-user"]) == ("/?a=1", "ann")
        seen = json.loads(example.get("/", headers={"cookie": f"token={text}; b=2"}).text)
        assert (seen["headers"]["cookie"], seen["headers"]["x-user"]) == ("b=2", "ann")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer a.b.c",
        "Bearer " + "a" * 15000,
        "Bearer " + "a." * 3000,
        "Bearer =.=.=",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        "Bearer \xff\xfe.\xff.\xff",
        "Basic YTpi",
    ],
)
def test_all_others_are_refused(example: Proxy, value: str | None) -> None:
    answer = example.get("/", headers={} if value is None else {"authorization": value})
    assert answer.status == 401
    said = answer.headers["www-authenticate"]
    assert said.startswith('Bearer realm="pyproxy"')
    assert ('error="invalid_token"' in said) == (value is not None)


def test_several_tokens_are_refused(example: Proxy) -> None:
    text = shared()
    headers = {"authorization": f"Bearer {text}", "Authorization": f"Bearer {text}"}
    assert example.get("/", headers=headers).status == 401
    assert example.get(f"/?token={text}&token={text}").status == 401


def test_a_key_set_is_asked_for_when_it_is_needed_and_kept() -> None:
    signer = Signer()
    with origin(signer) as keys, guarded(_url(keys, jwks_cooldown="1s")) as proxy:
        assert keys.requests == []
        for _ in range(3):
            assert status(proxy, token(ONE)) == 200
            assert status(proxy, token(ONE, aud="any")) == 200
        assert len(keys.requests) == 1
        # It is gone: the keys from before go on.
        signer.status = 500
        time.sleep(1.1)
        assert status(proxy, token(TWO)) == 401
        assert len(keys.requests) == 2
        assert status(proxy, token(ONE)) == 200


def test_a_key_that_is_not_known_is_asked_for_at_once() -> None:
    signer = Signer()
    with origin(signer) as keys, guarded(_url(keys, jwks_cooldown="1ms")) as proxy:
        assert status(proxy, token(ONE)) == 200
        signer.body = key_set(TWO)
        assert status(proxy, token(TWO)) == 200
        # What was good with a key that is gone is so no longer.
        assert status(proxy, token(ONE)) == 401


def test_but_not_for_every_token_that_names_one() -> None:
    with origin(Signer()) as keys, guarded(_url(keys, jwks_cooldown="1h")) as proxy:
        for _ in range(5):
            assert status(proxy, token(TWO)) == 401
        assert len(keys.requests) == 1


def test_a_key_set_is_asked_for_again_after_its_time() -> None:
    signer = Signer()
    options = {"jwks_cooldown": "1ms", "jwks_refresh": "50ms"}
    with origin(signer) as keys, guarded(_url(keys, **options)) as proxy:
        known = token(ONE)
        assert status(proxy, known) == 200
        signer.body = key_set(TWO)
        wait_until(lambda: status(proxy, known) == 401, "the key set of now")


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[" * 100_000, b'{"keys": [1, {}, {"kty": "RSA"}]}', b"x" * 2**21]
)
def test_without_any_keys_nobody_is_let_in(body: bytes) -> None:
    signer = Signer()
    signer.body = body
    with origin(signer) as keys, guarded(_url(keys, jwks_cooldown="1ms")) as proxy:
        answer = proxy.get("/", headers={"authorization": f"Bearer {token(ONE)}"})
        assert (answer.status, json.loads(answer.text)) == (503, {"error": "keys_unavailable"})
        assert proxy.get("/").status == 401
        signer.body = key_set(ONE)
        assert status(proxy, token(ONE)) == 200


def test_a_file_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(key_set(ONE))
    with guarded({"algorithms": ["RS256", "ES256"], "jwks": str(path)}) as proxy:
        known = token(ONE)
        assert status(proxy, known) == 200
        path.write_bytes(b"{")
        assert status(proxy, known) == 200
        path.write_bytes(key_set(TWO))
        wait_until(lambda: status(proxy, token(TWO)) == 200, "the file of now")
        assert status(proxy, known) == 401


def _url(keys: Origin, **options: str) -> dict[str, object]:
    url = f"http://{keys.address}/jwks.json"
    return {"algorithms": ["RS256", "ES256"], "jwks": url, **options}
