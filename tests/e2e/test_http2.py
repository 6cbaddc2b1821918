"""HTTP/2 towards clients, as real clients speak it: over TLS, and with prior knowledge."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
from pathlib import Path

import httpx
import pytest

from testenv import GUARD_SECONDS, Proxy, Reply, origin, running, wait_until
from testenv.certificates import certificates
from testenv.h2 import h2_dial
from testenv.raw import RawOrigin, chunked, response

PKI = certificates()

CONFIG = """
workers: 1
admin: "127.0.0.1:0"
listeners:
  web: {{bind: "127.0.0.1:0"}}
  tls: {{bind: "127.0.0.1:0", tls: {{cert: {cert}, key: {key}}}}}
upstreams: {{app: {{endpoints: ["{app}"]}}}}
routes: [{{upstream: app, max_body: 64MiB}}]
"""


def config(app: str, more: str = "") -> str:
    return CONFIG.format(app=app, cert=PKI.server.cert, key=PKI.server.key) + more


def sized(request) -> Reply:
    """As many bytes as the target says, or the size of what came."""
    if request.target == "/fields":
        return Reply(body=json.dumps(request.headers).encode())
    digits = re.search(r"\d+", request.target)
    return Reply(body=b"x" * int(digits[0]) if digits else str(len(request.body)).encode())


@pytest.fixture(scope="module")
def proxy():
    with origin(sized) as app, running(config(app.address)) as proxy:
        yield proxy


@pytest.fixture
def wires():
    """A proxy, and an origin whose every byte the test says."""
    with RawOrigin() as app, running(config(app.address)) as proxy:
        yield proxy, app


def curl(proxy: Proxy, path: str, *words: str) -> str:
    url = f"http://127.0.0.1:{proxy.port()}{path}"
    done = subprocess.run(
        ["curl", "-sS", "--http2-prior-knowledge", "-m", str(int(GUARD_SECONDS)), *words, url],
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout


# ---- real clients


def test_curl_gets_and_posts(proxy, tmp_path: Path) -> None:
    (tmp_path / "body").write_bytes(b"b" * 5_000_000)
    out = "%{http_version} %{response_code} %{size_download}"
    assert curl(proxy, "/3000000", "-o", "/dev/null", "-w", out) == "2 200 3000000"
    assert curl(proxy, "/", "--data-binary", f"@{tmp_path}/body") == "5000000"
    assert curl(proxy, "/", "-T", f"{tmp_path}/body", "-H", "Expect: 100-continue") == "5000000"
    assert curl(proxy, "/5", "-I", "-o", "/dev/null", "-w", out) == "2 200 0"


def test_the_same_port_speaks_http_1(proxy) -> None:
    out = "%{http_version}"
    assert curl(proxy, "/5", "-o", "/dev/null", "-w", out, "--http1.1") == "1.1"
    # An upgrade is not offered (RFC 9113 section 3.1): the request is served as it is.
    assert curl(proxy, "/5", "-o", "/dev/null", "-w", out, "--http2") in ("1.1", "2")


def test_tls_clients_choose_it_by_alpn(proxy) -> None:
    url = f"https://127.0.0.1:{proxy.port('tls')}"
    with httpx.Client(http2=True, verify=PKI.client_context()) as client:
        for n in (5, 200_000):
            answer = client.get(f"{url}/{n}")
            assert (answer.http_version, len(answer.content)) == ("HTTP/2", n)
        assert client.post(url, content=b"p" * 1_000_000).text == "1000000"
        seen = client.get(f"{url}/fields").json()
        assert (seen["x-forwarded-proto"], seen["via"]) == ("https", "2.0 pyproxy")
    with httpx.Client(verify=PKI.client_context()) as client:
        assert client.get(f"{url}/5").http_version == "HTTP/1.1"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_many_connections_with_many_streams(proxy, scheme) -> None:
    port = proxy.port("web" if scheme == "http" else "tls")
    url = f"{scheme}://127.0.0.1:{port}/2000"
    done = subprocess.run(
        ["h2load", "-n", "3000", "-c", "8", "-m", "32", url],
        capture_output=True,
        check=True,
        text=True,
        timeout=4 * GUARD_SECONDS,
    )
    assert "3000 succeeded, 0 failed, 0 errored" in done.stdout
    assert "3000 2xx" in done.stdout


# ---- frame by frame


def test_trailers_and_interim_responses_pass(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        one = client.request("POST", "/", end=False)
        up = app.accept()
        up.read_head()
        client.send(one, b"hello")
        client.conn.send_headers(one, [("x-sum", "7")], end_stream=True)
        client.flush()
        assert up.read_chunked() == b"5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n"
        up.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        up.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        up.send(chunked(b"a", b"b", trailers=b"X-End: 1\r\n"))
        answer = client.response(one)
        assert (answer.interim, answer.body, answer.trailers) == ([103], b"ab", {"x-end": "1"})


def test_a_slow_reader_holds_up_nobody_else(proxy) -> None:
    with h2_dial(proxy.port()) as slow, h2_dial(proxy.port()) as quick:
        slow.takes = False
        first = slow.request("GET", "/5000000")
        while len(slow.streams[first].body) < 65_535:
            slow.hear()
        for _ in range(20):
            assert len(quick.response(quick.request("GET", "/30000")).body) == 30_000
        assert len(slow.streams[first].body) == 65_535
        slow.takes = True
        slow.conn.acknowledge_received_data(65_535, first)
        slow.flush()
        assert len(slow.response(first).body) == 5_000_000


def test_streams_may_be_reset_at_any_time(wires) -> None:
    proxy, app = wires
    with h2_dial(proxy.port()) as client:
        for state in ("asked", "in the body", "answered"):
            number = client.request("POST", "/", end=False)
            up = app.accept()
            up.read_head()
            if state == "in the body":
                client.send(number, b"x" * 10_000)
                up.take(5000)
            if state == "answered":
                up.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
                while client.streams[number].body != b"half":
                    client.hear()
            client.reset(number)
            up.read_to_end()
        last = client.request("GET", "/")
        up = app.accept()
        up.read_head()
        up.send(response(b"fine"))
        assert client.response(last).body == b"fine"
    wait_until(lambda: proxy.metrics()["pyproxy_exchanges_active"] == 0, "all have ended")


def test_streams_may_be_reset_at_once(proxy) -> None:
    with h2_dial(proxy.port()) as client:
        for _ in range(50):
            client.reset(client.request("GET", "/100000"))
        assert client.response(client.request("GET", "/5")).body == b"x" * 5


def test_bytes_one_by_one(proxy) -> None:
    with h2_dial(proxy.port()) as client:
        client.conn.send_headers(
            1,
            [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/7")],
            end_stream=True,
        )
        for byte in client.conn.data_to_send():
            client.sock.sendall(bytes([byte]))
        assert client.response(1).body == b"x" * 7


def test_early_answers_leave_the_connection_open(proxy) -> None:
    with h2_dial(proxy.port()) as client:
        length = ("content-length", str(2**40))
        refused = client.response(client.request("POST", "/", length, end=False))
        assert refused.status == 413
        assert client.response(client.request("GET", "/5")).body == b"x" * 5


# ---- ends


def held(gate: threading.Event):
    def slow(request) -> Reply:
        if request.target == "/slow":
            gate.wait(GUARD_SECONDS)
        return Reply(body=b"late")

    return slow


def test_a_drain_answers_what_runs_and_says_goodbye() -> None:
    gate = threading.Event()
    with origin(held(gate)) as app, running(config(app.address)) as proxy:
        with h2_dial(proxy.port()) as client, h2_dial(proxy.port()) as idle:
            idle.response(idle.request("GET", "/"))
            slow = client.request("GET", "/slow")
            wait_until(lambda: app.requests, "the request is at the origin")
            proxy.signal(signal.SIGTERM)
            while not client.goaways:
                client.hear()
            assert client.goaways[0] == 2**31 - 1
            idle.wait_closed()
            gate.set()
            assert client.response(slow).body == b"late"
            client.wait_closed()
            assert client.goaways[-1] == slow
        assert proxy.wait() == 0


def test_an_upgrade_loses_no_request(tmp_path: Path) -> None:
    gate = threading.Event()
    more = f"control_socket: {tmp_path}/control.sock\n"
    with origin(held(gate)) as app, running(config(app.address, more), folder=tmp_path) as proxy:
        with h2_dial(proxy.port()) as client:
            slow = client.request("GET", "/slow")
            wait_until(lambda: app.requests, "the request is at the origin")
            upgrade = proxy.ask_in_background("upgrade")
            while not client.goaways:
                client.hear()
            with h2_dial(proxy.port()) as new:
                assert new.response(new.request("GET", "/")).body == b"late"
            gate.set()
            assert client.response(slow).body == b"late"
            client.wait_closed()
        assert upgrade.wait(GUARD_SECONDS) == 0


# ---- what is told about it


def test_logs_and_filters_know_the_version(tmp_path: Path) -> None:
    (tmp_path / "seen.py").write_text(
        "from pyproxy.filters.base import Filter, Reply\n\n\n"
        "class Seen(Filter):\n"
        "    def request(self, exchange):\n"
        "        return Reply(200, body=exchange.request.version.encode())\n"
    )
    text = """
        workers: 1
        access_log: {path: stdout, format: "{request.protocol} {response.status}"}
        listeners: {web: {bind: "127.0.0.1:0"}}
        routes: [{filters: [{python: {use: "seen:Seen"}}], respond: {body: x}}]
    """
    with running(text, folder=tmp_path) as proxy, h2_dial(proxy.port()) as client:
        assert client.response(client.request("GET", "/a?b")).body == b"2"
        wait_until(lambda: "HTTP/2.0 200" in proxy.stdout, "the line is written")
