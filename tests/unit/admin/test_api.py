"""The admin endpoints without a proxy behind them."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from pyproxy.admin import page
from pyproxy.admin.api import Overview, application, config_summary
from pyproxy.config.load import loads
from testenv.certificates import certificates

CONFIG = """
listeners: {web: {bind: "127.0.0.1:0"}}
upstreams: {app: {endpoints: ["127.0.0.1:9000", {address: "127.0.0.1:9001", weight: 2}]}}
routes:
  - name: api
    match: {host: API.example.com, path: "/v1/*", methods: [GET]}
    upstream: app
  - {name: made, match: {path: /a}, respond: {status: 201, headers: {x-key: s3cret}}}
  - {match: {path: /b}, redirect: "https://{host}{path}"}
"""


class Empty:
    def records(self):
        return []

    def sum(self, index: int) -> int:
        raise AssertionError(index)


def worker(slot: int, state: str = "ready") -> dict[str, object]:
    return {"slot": slot, "pid": 100 + slot, "state": state, "restarts": 0}


@pytest.fixture
def overview() -> Overview:
    listeners = [{"name": "web", "url": "http://127.0.0.1:4711", "port": 4711}]
    made = Overview(loads(CONFIG), Empty(), listeners, 1000.0, clock=lambda: 1010.0)
    made.state = {"phase": "running", "pid": 1, "workers": [worker(0), worker(1)]}
    return made


class Client:
    """Calls the application without a server."""

    def __init__(self, app) -> None:
        self._transport = httpx.ASGITransport(app)

    def get(self, path: str) -> httpx.Response:
        async def request() -> httpx.Response:
            async with httpx.AsyncClient(
                transport=self._transport, base_url="http://admin"
            ) as client:
                return await client.get(path)

        return asyncio.run(request())


@pytest.fixture
def client(overview) -> Client:
    return Client(application(overview))


def test_ready_when_every_worker_is(client) -> None:
    response = client.get("/ready")
    assert (response.status_code, response.json()) == (200, {"ready": True, "reasons": []})


@pytest.mark.parametrize("state", ["starting", "draining", "down"])
def test_not_ready_while_a_worker_is_not(client, overview, state) -> None:
    overview.state["workers"][1] = worker(1, state)
    response = client.get("/ready")
    assert response.status_code == 503
    assert response.json()["reasons"] == [f"worker 1 is {state}"]


@pytest.mark.parametrize("phase", ["starting", "draining", "stopping"])
def test_not_ready_while_the_service_is_not(client, overview, phase) -> None:
    overview.state["phase"] = phase
    assert client.get("/ready").json()["reasons"] == [f"the service is {phase}"]


def test_alive_even_when_not_ready(client, overview) -> None:
    overview.state["phase"] = "draining"
    assert client.get("/healthz").status_code == 200


def test_before_the_first_message_nothing_is_ready() -> None:
    assert Overview(loads(CONFIG), Empty(), [], 0.0).not_ready() == ["the service is starting"]


def test_metrics_have_the_content_type_of_the_format(client) -> None:
    response = client.get("/metrics")
    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "pyproxy_uptime_seconds 10.0\n" in response.text
    assert response.text.endswith("\n")


def test_the_summary_says_where_requests_go(client) -> None:
    routes = client.get("/config/summary").json()["routes"]
    assert [r["action"] for r in routes] == ["upstream app", "respond 201", "redirect 302"]
    assert routes[0]["hosts"] == ["api.example.com"]
    assert routes[2]["name"] == "route-2"


def test_the_summary_holds_no_header_values() -> None:
    assert "s3cret" not in str(config_summary(loads(CONFIG)))


def test_the_page_escapes_what_it_shows() -> None:
    evil = "<b>&"
    route = {
        "name": evil,
        "hosts": [evil],
        "paths": [evil],
        "methods": [evil],
        "filters": [evil],
        "action": evil,
    }
    upstream = {"balance": evil, "endpoints": [{"address": evil}]}
    summary = {"filters": [evil], "routes": [route], "upstreams": {evil: upstream}}
    shown = page.render([evil], summary, [{"name": evil, "url": evil}], [])
    assert evil not in shown
    assert shown.count("&lt;b&gt;&amp;") == 13


def test_the_page_shows_every_part(client) -> None:
    shown = client.get("/").text
    for text in ("http://127.0.0.1:4711", "api.example.com", "/v1/*", "127.0.0.1:9001", "101"):
        assert text in shown


def test_the_page_forbids_scripts(client) -> None:
    assert "default-src 'none'" in client.get("/").headers["content-security-policy"]


def test_listeners_are_told_as_they_are(client) -> None:
    assert client.get("/listeners").json()["listeners"][0]["port"] == 4711


@pytest.fixture
def secured() -> Client:
    pair = certificates().server
    text = CONFIG.replace(':0"', f':0", tls: {{cert: {pair.cert}, key: {pair.key}}}')
    end = int(pair.x509.not_valid_after_utc.timestamp())
    return Client(application(Overview(loads(text), Empty(), [], 0.0, clock=lambda: end - 86_400)))


def test_certificates_are_listed_without_their_keys(secured) -> None:
    (row,) = secured.get("/certificates").json()["certificates"]
    assert row["listener"] == "web"
    assert row["names"] == ["localhost", "app.test", "www.app.test"]
    assert row["days_left"] == 1.0
    assert row["remarks"] == []
    assert not {"key", "chain", "read"} & set(row)


def test_the_time_that_certificates_have_is_a_metric(secured, client) -> None:
    serial = f"{certificates().server.x509.serial_number:x}"
    labels = f'listener="web",use="server",subject="localhost",serial="{serial}"'
    page = secured.get("/metrics").text
    assert f"pyproxy_certificate_expiry_seconds{{{labels}}} 86400\n" in page
    assert "certificate_expiry" not in client.get("/metrics").text
