"""`pyproxy.testing` with real processes, its pytest plugin, and `pyproxy new filter`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pyproxy
from pyproxy.errors import StartError
from pyproxy.testing import Origin, Proxy
from testenv import get

AUDIT = """
from pyproxy import Filter

class Audit(Filter):
    def response(self, exchange):
        exchange.response.headers["x-audit"] = "one"
"""


def one_route(address: str, **more: object) -> dict[str, object]:
    return {
        "upstreams": {"app": {"endpoints": address}},
        "routes": [{"upstream": "app", **more}],
    }


def test_a_proxy_in_two_lines() -> None:
    with Origin("hello") as origin, Proxy(one_route(origin.address)) as proxy:
        assert get(proxy.port).text == "hello"
        assert origin.requests[0].headers["via"]
        pid = proxy.pid
    assert not Path(f"/proc/{pid}").exists()


def test_a_text_is_a_file_and_its_filters_lie_beside_it() -> None:
    config = """
        listeners: {web: {bind: "127.0.0.1:0"}, more: {bind: "127.0.0.1:0"}}
        workers: 1
        admin: "127.0.0.1:0"
        filters: [{python: {use: "audit:Audit"}}]
        routes: [{respond: {body: here}}]
    """
    with Proxy(config, files={"audit.py": AUDIT}) as proxy:
        assert len(proxy.urls()) == 2
        assert proxy.urls("web") == [proxy.url]
        assert proxy.admin_url.startswith("http://127.0.0.1:")
        assert get(proxy.port).headers["x-audit"] == "one"
        proxy.write({"audit.py": AUDIT.replace("one", "two")})
        proxy.reload()
        assert get(proxy.port).headers["x-audit"] == "two"
        with pytest.raises(StartError, match=r"pyproxy\.yaml:1:"):
            proxy.reload("nonsense: 1\n")
        assert get(proxy.port).headers["x-audit"] == "two"


def test_modules_of_the_test_can_be_filters(tmp_path, monkeypatch) -> None:
    (tmp_path / "audit_of_test.py").write_text(AUDIT)
    monkeypatch.syspath_prepend(str(tmp_path))
    filters = [{"python": {"use": "audit_of_test:Audit"}}]
    with Origin("hello") as origin, Proxy(one_route(origin.address, filters=filters)) as proxy:
        assert get(proxy.port).headers["x-audit"] == "one"


def test_a_proxy_that_cannot_start_says_why() -> None:
    with pytest.raises(StartError, match="1 fault"), Proxy({"routes": [{"upstream": "nobody"}]}):
        pass


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(pyproxy.__file__).parents[1])},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )


def test_the_fixtures_make_and_end_them(tmp_path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import urllib.request\n"
        "PIDS = []\n"
        "def test_one(pyproxy_proxy, pyproxy_origin):\n"
        "    config = {'upstreams': {'app': {'endpoints': pyproxy_origin('hi').address}},\n"
        "              'routes': [{'upstream': 'app'}]}\n"
        "    proxies = [pyproxy_proxy(config) for _ in range(2)]\n"
        "    for proxy in proxies:\n"
        "        assert urllib.request.urlopen(proxy.url).read() == b'hi'\n"
        "    open('pids', 'w').write(' '.join(str(p.pid) for p in proxies))\n"
    )
    done = run(tmp_path, "pytest", "-q", "-p", "pyproxy.testing.plugin", "test_it.py")
    assert done.returncode == 0, done.stdout + done.stderr
    for pid in (tmp_path / "pids").read_text().split():
        assert not Path(f"/proc/{pid}").exists()


def test_what_new_filter_writes_passes_its_test(tmp_path) -> None:
    made = run(tmp_path, "pyproxy", "new", "filter", "rate-audit")
    assert made.returncode == 0, made.stderr
    done = run(tmp_path, "pytest", "-q", "test_rate_audit.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 passed" in done.stdout


def test_what_new_filter_writes_has_the_types_it_says(tmp_path) -> None:
    assert run(tmp_path, "pyproxy", "new", "filter", "audit").returncode == 0
    checked = run(tmp_path, "mypy", "--strict", "--config-file", "/dev/null", "audit.py")
    assert checked.returncode == 0, checked.stdout
    for words in (["check", "--select=E,F,I,B,UP"], ["format", "--check"]):
        tidy = run(tmp_path, "ruff", *words, "--isolated", "--line-length=100", ".")
        assert tidy.returncode == 0, tidy.stdout + tidy.stderr


def test_the_yaml_that_new_filter_prints_is_served(tmp_path) -> None:
    made = run(tmp_path, "pyproxy", "new", "filter", "audit")
    yaml = made.stdout.partition("filters:\n")[2].partition("\n\n")[0]
    config = (
        'listeners: {web: {bind: "127.0.0.1:0"}}\n'
        f"routes:\n  - respond: {{body: hello}}\n    filters:\n{yaml}\n"
    )
    files = {"audit.py": (tmp_path / "audit.py").read_text()}
    with Proxy(config, files=files) as proxy:
        assert get(proxy.port).status == 401
        assert get(proxy.port, headers={"x-user": "ann"}).headers["x-served-to"] == "ann"
