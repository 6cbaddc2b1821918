"""The filter `static` against real traffic."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urljoin

import pytest

from testenv import (
    GUARD_SECONDS,
    OriginRequest,
    Proxy,
    Reply,
    exchange,
    filter_example,
    get,
    origin,
    read_response,
    running,
    send,
    wait_until,
)
from testenv.certificates import certificates
from testenv.client import connect
from testenv.h2 import h2_dial

PKI = certificates()
BIG = 50 << 20
# How much a worker may grow; sanitizers keep freed memory for a while.
SLACK = (256 if os.environ.get("PYPROXY_SANITIZED") else 8) << 20

MODULE = """
from pyproxy.filters.base import Filter, Reply


class Look(Filter):
    def response(self, exchange):
        assert exchange.endpoint is None
        if exchange.request.headers.get("x-refuse"):
            return Reply(403, body=b"no")
        exchange.response.headers["x-status"] = str(exchange.response.status)

    async def response_body(self, exchange, chunk, last):
        return chunk.replace(b"let", b"LET")
"""

CONFIG = """
workers: 1
listeners:
  web: {{bind: "127.0.0.1:0"}}
  tls: {{bind: "127.0.0.1:0", tls: {{cert: {cert}, key: {key}}}}}
upstreams: {{app: {{endpoints: "{address}"}}}}
access_log: {{path: {log}, format: json}}
routes:
  - match: {{path: "/assets/*"}}
    respond: {{status: 418}}
    filters: {example}
  - match: {{path: "/app/*"}}
    respond: {{status: 418}}
    filters: [{{static: {{root: "{www}", strip_prefix: /app, fallback: /index.html}}}}]
  - match: {{path: "/mixed/*"}}
    upstream: app
    filters: [{{static: {{root: "{www}", strip_prefix: /mixed, next: on}}}}]
  - match: {{path: "/packed/*"}}
    respond: {{status: 418}}
    filters:
      - static: {{root: "{www}", strip_prefix: /packed}}
      - compression: {{min_length: 10}}
      - headers: {{response: {{set: {{x-frame-options: DENY}}}}}}
      - error_pages: {{pages: [{{status: 404, text: "no {{path}}"}}]}}
  - respond: {{status: 418}}
    filters: [{{static: {{root: "{www}"}}}}]
"""


def body_of(size: int) -> bytes:
    """Bytes that tell their place."""
    return b"".join(b"%015d\n" % i for i in range(size // 16))


def fill(www: Path) -> None:
    """What is served, and what must not be."""
    (www / "sub").mkdir()
    (www / "index.html").write_text("<h1>Hi</h1>")
    (www / "sub" / "index.html").write_text("sub")
    (www / "app.js").write_text("let x = 1;\n" * 100)
    (www / "app.js.br").write_bytes(b"pretend")
    (www / "app.js.gz").write_bytes(b"this too")
    (www / "grün +&.txt").write_text("named")
    (www / "shade.glsl").write_text("void main() {}")
    (www / ".env").write_text("secret")
    (www / "medium.bin").write_bytes(body_of(1 << 20))
    (www / "secret").symlink_to(www.parent / "secret.txt")
    (www / "up").symlink_to("..")
    (www / "same").symlink_to("app.js")
    os.mkfifo(www / "fifo")
    (www.parent / "secret.txt").write_text("secret")


@pytest.fixture(scope="module")
def www(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "www"
    folder.mkdir()
    fill(folder)
    return folder


def echo_path(request: OriginRequest) -> Reply:
    return Reply(body=f"origin {request.method} {request.path}".encode())


@pytest.fixture(scope="module")
def proxy(www: Path) -> Iterator[Proxy]:
    example = filter_example("static")
    example[0]["static"]["root"] = str(www)
    with origin(echo_path) as app:
        config = CONFIG.format(
            address=app.address,
            www=www,
            example=json.dumps(example),
            cert=PKI.server.cert,
            key=PKI.server.key,
            log=www.parent / "access.log",
        )
        with running(config) as started:
            yield started


def test_the_example_does_what_it_says(proxy: Proxy) -> None:
    plain = proxy.get("/assets/app.js")
    assert plain.text.startswith("let x")
    assert plain.headers["content-type"] == "text/javascript; charset=utf-8"
    assert plain.headers["cache-control"] == "public, max-age=3600"
    assert plain.headers["vary"] == "Accept-Encoding"
    coded = proxy.get("/assets/app.js", headers={"Accept-Encoding": "gzip, br"})
    assert (coded.headers["content-encoding"], coded.body) == ("br", b"pretend")
    assert coded.headers["content-type"] == plain.headers["content-type"]
    assert coded.headers["etag"] != plain.headers["etag"]
    coded = proxy.get("/assets/app.js", headers={"Accept-Encoding": "gzip, br;q=0.1"})
    assert coded.body == b"this too"
    glsl = proxy.get("/assets/shade.glsl")
    assert glsl.headers["content-type"] == "text/plain; charset=utf-8"


def test_files_are_found_by_their_names(proxy: Proxy) -> None:
    assert proxy.get("/").text == "<h1>Hi</h1>"
    assert proxy.get("/sub/").text == "sub"
    assert proxy.get("/gr%C3%BCn%20+%26.txt").text == "named"
    assert proxy.get("/same").text.startswith("let x")
    moved = proxy.get("/sub?q=1")
    assert (moved.status, moved.headers["location"]) == (301, "/sub/?q=1")
    head = proxy.get("/app.js", method="HEAD")
    assert (head.status, head.headers["content-length"], head.body) == (200, "1100", b"")


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        "/sub/../../secret.txt",
        "/sub/%2e%2e/%2E%2E/secret.txt",
        "/sub/..%2f..%2fsecret.txt",
        "/..%5csecret.txt",
        "/%2fetc/passwd",
        "//etc/passwd",
        "/etc/passwd",
        "/secret",
        "/up/secret.txt",
        "/.env",
        "/%2Eenv",
        "/sub//index.html",
        "/app.js%00.txt",
        "/app.js/",
        "/fifo",
        "/proc/self/environ",
    ],
)
def test_nothing_else_is_found(proxy: Proxy, path: str) -> None:
    for prefix in ("", "/assets"):
        answer = proxy.get(prefix + path)
        assert answer.status in (400, 404)
        assert b"secret" not in answer.body
        assert b"root:" not in answer.body


def test_a_redirect_stays_with_the_host(proxy: Proxy, www: Path) -> None:
    (www / "evil.test").mkdir(exist_ok=True)
    for path in ("//evil.test", "/%2fevil.test", "/\\evil.test", "/sub/..//evil.test"):
        raw = exchange(proxy.port(), f"GET {path} HTTP/1.0\r\nhost: a\r\n\r\n".encode())
        found = re.search(rb"location: (\S+)", raw, re.IGNORECASE)
        assert found is None or urljoin("http://a/", found[1].decode()).startswith("http://a/")


def test_conditional_requests(proxy: Proxy) -> None:
    first = proxy.get("/app.js")
    etag, modified = first.headers["etag"], first.headers["last-modified"]
    for fields in (
        {"If-None-Match": etag},
        {"If-None-Match": f'"a", W/{etag}'},
        {"If-Modified-Since": modified},
        {"If-Modified-Since": formatdate(4e9, usegmt=True)},
    ):
        answer = proxy.get("/app.js", headers=fields)
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    for fields in ({"If-Match": '"a"'}, {"If-Unmodified-Since": formatdate(1, usegmt=True)}):
        assert proxy.get("/app.js", headers=fields).status == 412
    for fields in ({"If-None-Match": '"a"'}, {"If-Match": etag}, {"If-Modified-Since": "no date"}):
        assert proxy.get("/app.js", headers=fields).body == first.body


def test_ranges(proxy: Proxy) -> None:
    whole = body_of(1 << 20)
    etag = proxy.get("/medium.bin", method="HEAD").headers["etag"]
    for asked, first, last in (
        ("100-199", 100, 199),
        ("-10", len(whole) - 10, len(whole) - 1),
        ("300000-", 300000, len(whole) - 1),
    ):
        answer = proxy.get("/medium.bin", headers={"Range": f"bytes={asked}", "If-Range": etag})
        assert answer.status == 206
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(whole)}"
        assert answer.body == whole[first : last + 1]
    past = proxy.get("/medium.bin", headers={"Range": f"bytes={len(whole)}-"})
    assert (past.status, past.headers["content-range"]) == (416, f"bytes */{len(whole)}")
    for fields in ({"Range": "bytes=0-1,5-6"}, {"Range": "bytes=0-1", "If-Range": '"a"'}):
        answer = proxy.get("/medium.bin", headers=fields)
        assert (answer.status, len(answer.body)) == (200, len(whole))


def test_other_methods_are_refused(proxy: Proxy) -> None:
    answer = proxy.get("/app.js", method="DELETE")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert proxy.get("/app.js", method="POST", body=b"x" * 100).status == 405


def test_what_is_not_found_has_a_fallback_or_goes_on(proxy: Proxy) -> None:
    assert proxy.get("/app/users/7").text == "<h1>Hi</h1>"
    assert proxy.get("/app/app.js").text.startswith("let x")
    assert proxy.get("/mixed/app.js").text.startswith("let x")
    assert proxy.get("/mixed/users/7").text == "origin GET /mixed/users/7"
    assert proxy.get("/mixed/app.js", method="POST").text == "origin POST /mixed/app.js"
    assert json.loads(proxy.get("/none").text)["error"] == "no_file"


def test_filters_of_responses_see_files(proxy: Proxy) -> None:
    plain = proxy.get("/packed/app.js")
    assert plain.headers["x-frame-options"] == "DENY"
    packed = proxy.get("/packed/app.js", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["etag"] == "W/" + plain.headers["etag"]
    assert "accept-ranges" not in packed.headers
    assert len(packed.body) < len(plain.body)
    again = proxy.get(
        "/packed/app.js",
        headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["etag"]},
    )
    assert again.status == 304
    part = proxy.get("/packed/app.js", headers={"Accept-Encoding": "gzip", "Range": "bytes=0-2"})
    assert (part.status, part.text) == (206, "let")
    assert proxy.get("/packed/none").text == "no /packed/none"


def test_tls_and_http2_carry_files(proxy: Proxy) -> None:
    whole = body_of(1 << 20)
    context = PKI.client_context()
    with (
        connect(proxy.port("tls")) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as sock,
    ):
        for _ in range(2):
            send(sock, "/medium.bin")
            assert read_response(sock).body == whole
    with h2_dial(proxy.port()) as client:
        streams = [client.request("GET", "/medium.bin") for _ in range(3)]
        part = client.request("GET", "/medium.bin", ("range", "bytes=16-31"))
        none = client.request("GET", "/none")
        head = client.request("HEAD", "/medium.bin")
        for number in streams:
            assert client.response(number).body == whole
        assert (client.response(part).status, client.response(part).body) == (206, whole[16:32])
        assert client.response(none).status == 404
        assert client.response(head).headers["content-length"] == str(len(whole))


# ---- slow clients, files that change


def peak(proxy: Proxy) -> int:
    """The most memory that the worker has had, in bytes."""
    status = Path(f"/proc/{proxy.workers()[0]}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def files_of(proxy: Proxy, www: Path) -> list[str]:
    """What the worker has open beneath <www>."""
    links = Path(f"/proc/{proxy.workers()[0]}/fd").iterdir()
    found = [os.readlink(link) for link in links]
    return [name for name in found if name.startswith(f"{www}/")]


def slow_socket(proxy: Proxy) -> socket.socket:
    """A connection whose kernel takes little."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.settimeout(GUARD_SECONDS)
    sock.connect(("127.0.0.1", proxy.port()))
    return sock


def test_a_big_file_to_slow_readers_costs_no_memory(proxy: Proxy, www: Path) -> None:
    whole = body_of(BIG)
    (www / "big.bin").write_bytes(whole)
    proxy.get("/medium.bin")
    before = peak(proxy)
    slow = [slow_socket(proxy) for _ in range(8)]
    for sock in slow:
        send(sock, "/big.bin")
        assert sock.recv(17) == b"HTTP/1.1 200 OK\r\n"
    assert len(files_of(proxy, www)) == 8
    sock = slow_socket(proxy)
    send(sock, "/big.bin")
    assert read_response(sock).body == whole
    assert peak(proxy) - before < SLACK
    for sock in slow:
        sock.close()
    wait_until(lambda: not files_of(proxy, www), "the files are closed")


def test_a_file_that_is_truncated_is_never_padded(proxy: Proxy, www: Path) -> None:
    file = www / "short.bin"
    whole = body_of(BIG)
    file.write_bytes(whole)
    sock = slow_socket(proxy)
    send(sock, "/short.bin")
    got = sock.recv(8192)
    os.truncate(file, 20 << 20)
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(1 << 16):
            got += piece
    body = got.partition(b"\r\n\r\n")[2]
    assert len(body) <= 20 << 20  # whatever its length field has promised
    assert whole.startswith(body)
    file.write_bytes(whole)
    with h2_dial(proxy.port()) as client:
        client.takes = False
        number = client.request("GET", "/short.bin")
        while not client.streams[number].body:
            client.hear()
        os.truncate(file, 1 << 20)
        client.takes = True
        client.conn.increment_flow_control_window(64 << 20)
        client.conn.increment_flow_control_window(64 << 20, number)
        client.flush()
        assert client.response(number).reset is not None
    assert get(proxy.port(), "/app.js").status == 200
    wait_until(lambda: not files_of(proxy, www), "the files are closed")


def test_what_changes_is_seen_at_once(proxy: Proxy, www: Path) -> None:
    (www / "new.txt").write_text("one")
    first = proxy.get("/new.txt")
    (www / "new.tmp").write_text("two!")
    (www / "new.tmp").rename(www / "new.txt")
    second = proxy.get("/new.txt", headers={"If-None-Match": first.headers["etag"]})
    assert (second.status, second.text) == (200, "two!")
    (www / "new.txt").unlink()
    assert proxy.get("/new.txt").status == 404


def test_a_folder_that_is_put_in_the_place_is_served_after_a_reload(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    current = tmp_path / "current"
    current.symlink_to("one")
    config = f"""
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    routes: [{{respond: {{}}, filters: [{{static: {{root: "{current}"}}}}]}}]
    """
    with running(config) as started:
        assert started.get("/a.txt").text == "one"
        current.unlink()
        current.symlink_to("two")
        assert started.get("/a.txt").text == "one"
        done = started.ask("reload")
        assert done.returncode == 0, done.stderr
        assert started.get("/a.txt").text == "two"


def test_python_filters_see_files(www: Path) -> None:
    config = f"""
    workers: 1
    listeners: {{web: {{bind: "127.0.0.1:0"}}}}
    filters: [{{python: {{use: "look:Look"}}}}]
    routes: [{{respond: {{}}, filters: [{{static: {{root: "{www}"}}}}]}}]
    """
    with running(config, files={"look.py": MODULE}) as started:
        answer = started.get("/app.js")
        assert answer.text == "LET x = 1;\n" * 100
        assert answer.headers["x-status"] == "200"
        assert started.get("/medium.bin").body == body_of(1 << 20)
        assert started.get("/app.js", headers={"x-refuse": "1"}).status == 403
        head = started.get("/app.js", method="HEAD")
        assert (head.status, head.headers["x-status"]) == (200, "200")
        assert started.get("/sub").headers["x-status"] == "301"
