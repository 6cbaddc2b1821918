"""The filter `basic_auth` against real traffic."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bcrypt
import pytest

from testenv import OriginRequest, Proxy, Reply, filter_example, origin, running, wait_until

RIGHT = {"authorization": "Basic " + base64.b64encode(b"ann:correct horse").decode()}


def echo(request: OriginRequest) -> Reply:
    return Reply(body=json.dumps(request.headers).encode())


def shown(pair: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "htpasswd"
    path.write_text(line("bob", "one"))
    return path


def line(name: str, password: str, rounds: int = 4) -> str:
    return f"{name}:{bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds)).decode()}\n"


@pytest.fixture(scope="module")
def proxy(users: Path) -> Iterator[Proxy]:
    slow = line("slow", "x", 10).strip().partition(":")[2]
    with origin(echo) as app:
        config = {
            "workers": 1,
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "upstreams": {"app": {"endpoints": app.address}},
            "routes": [
                {
                    "match": {"path": "/example"},
                    "upstream": "app",
                    "filters": filter_example("basic_auth"),
                },
                {
                    "match": {"path": "/file"},
                    "upstream": "app",
                    "filters": [{"basic_auth": {"htpasswd": str(users)}}],
                },
                {
                    "match": {"path": "/slow"},
                    "upstream": "app",
                    "filters": [{"basic_auth": {"users": {"slow": slow}, "cache_time": 0}}],
                },
                {"match": {"path": "/open"}, "respond": {"status": 200}},
            ],
        }
        with running(json.dumps(config)) as started:
            yield started


def test_who_knows_the_password_is_let_in(proxy: Proxy) -> None:
    for _ in range(2):  # verified, then remembered
        answer = proxy.get("/example", headers={**RIGHT, "X-Consumer": "root"})
        assert answer.status == 200
        assert json.loads(answer.text)["x-consumer"] == "ann"
        assert "authorization" not in json.loads(answer.text)


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ({}, "missing_credentials"),
        (shown("ann:wrong"), "invalid_credentials"),
        (shown("ann:"), "invalid_credentials"),
        (shown("nobody:correct horse"), "invalid_credentials"),
        (shown("ann"), "invalid_credentials"),
        (shown("ann:correct horse\0"), "invalid_credentials"),
        ({"authorization": ""}, "invalid_credentials"),
        ({"authorization": "Basic ="}, "invalid_credentials"),
        ({"authorization": "Basic " + "A" * 15000}, "invalid_credentials"),
        ({**RIGHT, "Authorization": RIGHT["authorization"]}, "invalid_credentials"),
    ],
)
def test_all_others_are_refused(proxy: Proxy, headers: dict[str, str], word: str) -> None:
    assert proxy.get("/example", headers=RIGHT).status == 200
    answer = proxy.get("/example", headers=headers)
    assert (answer.status, json.loads(answer.text)) == (401, {"error": word})
    assert answer.headers["www-authenticate"] == 'Basic realm="staff only", charset="UTF-8"'


def test_a_file_is_read_again_when_it_has_changed(proxy: Proxy, users: Path) -> None:
    assert proxy.get("/file", headers=shown("bob:one")).status == 200
    users.write_text("nonsense")
    assert proxy.get("/file", headers=shown("bob:one")).status == 200
    users.write_text(line("bob", "two"))
    new = shown("bob:two")
    wait_until(lambda: proxy.get("/file", headers=new).status == 200, "the users of now")
    assert proxy.get("/file", headers=shown("bob:one")).status == 401


def test_a_worker_serves_others_while_it_verifies_and_does_not_verify_for_all(proxy: Proxy) -> None:
    with ThreadPoolExecutor(80) as clients:
        many = [clients.submit(proxy.get, "/slow", headers=shown(f"slow:{i}")) for i in range(80)]
        assert proxy.get("/open").status == 200
        found = {call.result().status for call in many}
    assert found <= {401, 503}
    assert proxy.get("/slow", headers=shown("slow:x")).status == 200
