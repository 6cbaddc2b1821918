"""Pages in a real browser, through the proxy."""

from __future__ import annotations

import contextlib
import json
import shutil
import struct
import subprocess
import threading
import zlib
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from testenv import OriginRequest, Reply, foreign_environment, origin, running, wait_until
from testenv.certificates import certificates
from testenv.websocket import websocket_origin

PAGE = b"""<!doctype html>
<html><head><title>start</title><link rel="stylesheet" href="/style.css"></head>
<body><p id="said">nothing yet</p><p id="seen">not seen</p>
<img id="picture" src="/picture.png" alt="">
<script src="/script.js"></script></body></html>
"""

SCRIPT = b"""
const say = (id, text) => { document.getElementById(id).textContent = text; };
say("said", "the script ran");
const picture = document.getElementById("picture");
const looked = () => say("seen", "picture " + picture.naturalWidth + "x" + picture.naturalHeight);
picture.complete && picture.naturalWidth ? looked() : picture.addEventListener("load", looked);
const ask = new XMLHttpRequest();
ask.open("POST", "/api", false);
ask.send("question");
document.title = ask.responseText;
"""


def png(width: int, height: int) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = (b"\0" + b"\x20\x60\xa0" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def site(request: OriginRequest) -> Reply:
    if request.path == "/api":
        return Reply(headers={"content-type": "text/plain"}, body=b"answer to " + request.body)
    kind, body = {
        "/": ("text/html", PAGE),
        "/script.js": ("text/javascript", SCRIPT),
        "/style.css": ("text/css", b"p { color: green }"),
        "/picture.png": ("image/png", png(17, 11)),
    }.get(request.path, ("text/plain", b""))
    return Reply(200 if body else 404, {"content-type": kind}, body)


@pytest.fixture(scope="module")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.fail("no Chromium here: apt-get install -y chromium", pytrace=False)


def show(chromium: str, profile: Path, url: str, *flags: str) -> str:
    """The page as it stands when nothing more happens."""
    shown = browse(chromium, profile, url, *flags)
    if shown.returncode < 0:  # the browser itself has crashed, which says nothing about the page
        shown = browse(chromium, profile, url, *flags)
    assert shown.returncode == 0, shown.stderr
    return shown.stdout


def browse(chromium: str, profile: Path, url: str, *flags: str) -> subprocess.CompletedProcess[str]:
    """The browser opens a page, prints it and ends."""
    return subprocess.run(
        [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={profile}",
            *flags,
            "--dump-dom",
            url,
        ],
        capture_output=True,
        env=foreign_environment(),
        text=True,
        timeout=120,
        check=False,
    )


def test_a_browser_shows_a_page_with_script_and_picture(chromium, tmp_path) -> None:
    with (
        origin(site) as app,
        running(f"""
            workers: 1
            listeners: {{web: {{bind: "127.0.0.1:0"}}}}
            upstreams: {{app: {{endpoints: ["{app.address}"]}}}}
            routes: [{{upstream: app}}]
            access_log: stdout
        """) as proxy,
    ):
        url = f"http://127.0.0.1:{proxy.port()}/"
        shown = show(chromium, tmp_path / "profile", url, "--virtual-time-budget=10000")
        assert "the script ran" in shown, shown
        assert "picture 17x11" in shown
        assert "<title>answer to question</title>" in shown
        asked = {request.path for request in app.requests}
        assert {"/", "/script.js", "/style.css", "/picture.png", "/api"} <= asked
        assert all("pyproxy" in request.headers["via"] for request in app.requests)
        wait_until(lambda: '"target":"/api"' in proxy.stdout, "the access log is written")
        entries = [json.loads(line) for line in proxy.stdout.splitlines()]
        assert {entry["status"] for entry in entries} <= {200, 404}


SOCKET_PAGE = b"""<!doctype html>
<html><head><title>start</title></head><body>
<script>
const ws = new WebSocket("wss://" + location.host + "/ws");
ws.onopen = () => ws.send("hello " + "x".repeat(100000));
ws.onmessage = (event) => { document.title = "got " + event.data.length; ws.send("seen"); };
ws.onerror = () => { document.title = "failed"; };
</script>
<img src="/wait.png" alt=""></body></html>
"""


def test_a_browser_opens_a_websocket_on_its_connection_of_http_2(chromium, tmp_path) -> None:
    """The page counts as loaded when the WebSocket has brought its answer."""
    pki, seen = certificates(), threading.Event()

    def handle(ws) -> None:
        with contextlib.suppress(ConnectionClosed):  # the browser ends, and does not say so
            ws.send(ws.recv())
            assert ws.recv() == "seen"
            seen.set()
            ws.recv()

    def pages(request: OriginRequest) -> Reply:
        if request.path == "/":
            return Reply(200, {"content-type": "text/html"}, SOCKET_PAGE)
        seen.wait(60)
        return Reply(200, {"content-type": "image/png"}, png(1, 1))

    with (
        origin(pages) as app,
        websocket_origin(handle) as sockets,
        running(f"""
            workers: 1
            listeners:
              web: {{bind: "127.0.0.1:0", tls: {{cert: {pki.server.cert}, key: {pki.server.key}}}}}
            upstreams:
              app: {{endpoints: ["{app.address}"]}}
              sockets: {{endpoints: ["{sockets}"]}}
            routes: [{{match: {{path: /ws}}, upstream: sockets}}, {{upstream: app}}]
            access_log: stdout
        """) as proxy,
    ):
        url = f"https://localhost:{proxy.port()}/"
        shown = show(chromium, tmp_path / "profile", url, "--ignore-certificate-errors")
        assert "<title>got 100006</title>" in shown
        wait_until(lambda: '"target":"/ws"' in proxy.stdout, "the WebSocket has ended")
        entries = [json.loads(line) for line in proxy.stdout.splitlines()]
        (entry,) = [entry for entry in entries if entry["target"] == "/ws"]
        assert (entry["status"], entry["upstream_status"]) == (200, 101)  # a stream, not HTTP/1
