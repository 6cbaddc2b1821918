"""A page in a real browser, through the proxy."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import zlib

import pytest

from testenv import OriginRequest, Reply, foreign_environment, origin, running, wait_until

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
        shown = subprocess.run(
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
                f"--user-data-dir={tmp_path / 'profile'}",
                "--virtual-time-budget=10000",
                "--dump-dom",
                f"http://127.0.0.1:{proxy.port()}/",
            ],
            capture_output=True,
            env=foreign_environment(),
            text=True,
            timeout=120,
            check=False,
        )
        assert shown.returncode == 0, shown.stderr
        assert "the script ran" in shown.stdout, shown.stdout
        assert "picture 17x11" in shown.stdout
        assert "<title>answer to question</title>" in shown.stdout
        asked = {request.path for request in app.requests}
        assert {"/", "/script.js", "/style.css", "/picture.png", "/api"} <= asked
        assert all("pyproxy" in request.headers["via"] for request in app.requests)
        wait_until(lambda: '"target":"/api"' in proxy.stdout, "the access log is written")
        entries = [json.loads(line) for line in proxy.stdout.splitlines()]
        assert {entry["status"] for entry in entries} <= {200, 404}
