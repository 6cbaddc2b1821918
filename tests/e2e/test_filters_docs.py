"""The examples of docs/filters.md do what the text says."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyproxy
from testenv import Origin, OriginRequest, Proxy, Reply, free_port, get, origin, running, wait_until
from testenv.client import connect
from testenv.raw import same_workers

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def blocks(root) -> list[str]:
    text = (root / "docs" / "filters.md").read_text(encoding="utf-8")
    return [match[1] for match in BLOCK.finditer(text)]


def echo(request: OriginRequest) -> Reply:
    seen = {"headers": request.headers, "body": request.body.decode("latin-1")}
    return Reply(body=json.dumps(seen).encode())


@pytest.fixture(scope="module")
def shared(blocks) -> Iterator[tuple[Proxy, Origin]]:
    """All classes of the document in one module, each on a route of its own."""
    module = "\n\n".join(block for block in blocks if "(Filter)" in block)
    names = re.findall(r"^class (\w+)\(Filter\)", module, re.MULTILINE)
    with origin(echo) as app:
        configs = {"Pick": {"addresses": [app.address]}, "Quota": {"limit": 2}}
        routes = [
            {
                "match": {"path": f"/{name.lower()}"},
                "upstream": "down" if name == "ErrorPage" else "app",
                "filters": [{"python": {"use": f"docs:{name}", "config": configs.get(name, {})}}],
            }
            for name in names
        ]
        config = {
            "workers": 1,
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "upstreams": {
                "app": {"endpoints": app.address},
                "down": {"endpoints": "127.0.0.1:1"},
            },
            "routes": routes,
        }
        files = {"docs.py": module}
        with running(json.dumps(config), files=files) as proxy, same_workers(proxy):
            yield proxy, app


@pytest.fixture
def proxy(shared) -> Proxy:
    return shared[0]


def test_audit(proxy) -> None:
    answer = proxy.get("/audit")
    assert (answer.status, answer.text) == (401, "who are you?\n")
    answer = proxy.get("/audit", headers={"X-User": "ann"})
    assert answer.headers["x-served-to"] == "ann"
    assert json.loads(answer.text)["headers"]["x-audit"] == "ann"


def test_maintenance(proxy) -> None:
    assert proxy.get("/maintenance").status == 200
    answer = proxy.get("/maintenance", method="DELETE")
    assert (answer.status, answer.headers["retry-after"]) == (503, "60")


def test_fields(proxy) -> None:
    fields = {
        "X-Debug": "1",
        "Accept-Language": "de-DE",
        "Cookie": "a=b",
        "X-Internal": "y",
        "X-Plan": "gold",
    }
    answer = proxy.get("/fields", headers=fields)
    seen = json.loads(answer.text)["headers"]
    assert not {"x-debug", "x-internal"} & set(seen)
    assert (seen["x-language"], seen["x-cookies"], seen["x-level"]) == ("de", "1", "9")
    assert answer.headers["set-cookie"] == "seen=1"


def test_lookup(proxy) -> None:
    assert proxy.get("/lookup").status == 403
    assert proxy.get("/lookup", headers={"x-user": "ann"}).status == 200


def test_digest(proxy) -> None:
    body, _, rest = proxy.get("/digest").body.rpartition(b"\nsha256 ")
    assert rest.decode().strip() == hashlib.sha256(body).hexdigest()


def test_json(proxy) -> None:
    assert proxy.get("/json", method="POST", body=b"no").status == 400
    answer = proxy.get("/json", method="POST", body=b'{"a": 1}')
    assert json.loads(json.loads(answer.text)["body"]) == {"a": 1, "checked": True}


def test_pick(proxy) -> None:
    assert proxy.get("/pick").status == 200


def test_quota(proxy) -> None:
    answers = [proxy.get("/quota") for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].text == "more than 2 a minute\n"


def test_error_page(proxy) -> None:
    answer = proxy.get("/errorpage")
    assert answer.status == 502
    assert answer.text == "<h1>Sorry</h1><p>connect_refused</p>"
    wait_until(lambda: "lost: /errorpage connect_refused" in proxy.stdout, "the log phase ran")


def test_every_example_is_tested(blocks) -> None:
    names = re.findall(r"^class (\w+)\(Filter\)", "\n".join(blocks), re.MULTILINE)
    tests = {name.removeprefix("test_").replace("_", "") for name in globals()}
    assert {name.lower() for name in names} <= tests


def test_program(blocks, tmp_path: Path) -> None:
    (program,) = (block for block in blocks if "Proxy(" in block)
    with origin(echo) as app:
        port = free_port()
        program = program.replace("127.0.0.1:6188", f"127.0.0.1:{port}")
        program = program.replace("127.0.0.1:9000", app.address)
        path = tmp_path / "program.py"
        path.write_text(program)
        process = subprocess.Popen(
            [sys.executable, str(path)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
        )
        try:

            def answers() -> bool:
                try:
                    connect(port).close()
                except ConnectionRefusedError:
                    return process.poll() is not None
                return True

            wait_until(answers, "the program listens")
            assert get(port, "/hello").text == "hello\n"
            assert "via" in json.loads(get(port, "/other").text)["headers"]
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, process.stderr.read()
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def test_the_tests_of_the_page_pass(blocks, tmp_path: Path) -> None:
    (audit,) = (block for block in blocks if "class Audit(Filter)" in block)
    (tests,) = (block for block in blocks if "def test_" in block)
    (tmp_path / "myfilters.py").write_text(audit)
    (tmp_path / "test_audit.py").write_text(tests)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "test_audit.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(pyproxy.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
