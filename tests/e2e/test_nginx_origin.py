"""pyproxy between real programs: curl in front, nginx behind."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testenv import Proxy, foreign_environment, free_port, running, wait_until
from testenv.client import connect
from testenv.raw import same_workers

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 64m;
    keepalive_requests 100;
    default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/html;
        gzip on;
        gzip_min_length 1;
        gzip_types text/css;
        gzip_proxied any;
        types {{ text/css css; }}
        location /echo {{
            add_header X-Method $request_method;
            add_header X-Seen-For $http_x_forwarded_for;
            add_header X-Seen-Via $http_via;
            add_header X-Connection $connection;
            return 200 "$request_method $request_uri $http_host\\n";
        }}
        location /moved {{ return 301 /elsewhere; }}
        location /put/ {{
            root {folder}/html;
            client_body_in_file_only clean;
            dav_methods PUT DELETE;
        }}
    }}
}}
"""


@dataclass
class Nginx:
    """A running nginx."""

    port: int
    folder: Path

    @property
    def html(self) -> Path:
        return self.folder / "html"


def need(program: str, package: str) -> str:
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/bin")
    if path is None:
        pytest.fail(f"{program} is missing: apt-get install -y {package}", pytrace=False)
    return path


def listens(port: int) -> bool:
    try:
        connect(port).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.fixture(scope="module")
def nginx(tmp_path_factory) -> Iterator[Nginx]:
    folder = tmp_path_factory.mktemp("nginx")
    # Its workers give up root where they have it, and must still reach their files.
    for parent in (folder, *folder.parents):
        if parent.owner() == folder.owner() and parent != Path("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    html = folder / "html"
    (html / "put").mkdir(parents=True)
    (html / "put").chmod(0o777)
    (html / "small.txt").write_text("small\n")
    (html / "style.css").write_text("body { color: red }\n" * 200)
    (html / "big.bin").write_bytes(hashlib.sha512(b"big").digest() * (1 << 18))
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    process = subprocess.Popen(
        [need("nginx", "nginx-light"), "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=foreign_environment(),
    )
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, "nginx listens")
        assert process.poll() is None, process.stderr.read()
        yield Nginx(port, folder)
    finally:
        process.terminate()
        process.wait(30)
        process.stderr.close()


@pytest.fixture(scope="module")
def proxy(nginx) -> Iterator[Proxy]:
    with (
        running(f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams: {{app: {{endpoints: ["127.0.0.1:{nginx.port}"]}}}}
        routes: [{{upstream: app, max_body: 64MiB}}]
        access_log: stdout
    """) as running_proxy,
        same_workers(running_proxy),
    ):
        yield running_proxy


@pytest.fixture(scope="module")
def curl(proxy):
    program = need("curl", "curl")

    def run(*arguments: str, path: str = "/", stdin: bytes | None = None) -> bytes:
        url = f"http://127.0.0.1:{proxy.port()}{path}"
        done = subprocess.run(
            [program, "-q", "-sS", "--noproxy", "*", "--max-time", "30", *arguments, url],
            input=stdin,
            env=foreign_environment(),
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_file(curl) -> None:
    assert curl(path="/small.txt") == b"small\n"


def test_a_big_file_arrives_unchanged(curl, nginx) -> None:
    expected = (nginx.html / "big.bin").read_bytes()
    got = curl(path="/big.bin")
    assert hashlib.sha256(got).digest() == hashlib.sha256(expected).digest()


def test_a_range_of_a_file(curl) -> None:
    head_and_body = curl("-i", "-r", "1-3", path="/small.txt")
    assert head_and_body.startswith(b"HTTP/1.1 206 ")
    assert head_and_body.endswith(b"\r\n\r\nmal")


def test_a_file_that_has_not_changed(curl) -> None:
    head = curl("-I", path="/small.txt").decode()
    etag = next(line for line in head.splitlines() if line.lower().startswith("etag:")).split(": ")[
        1
    ]
    again = curl("-i", "-H", f"If-None-Match: {etag}", path="/small.txt")
    assert again.startswith(b"HTTP/1.1 304 ")


def test_a_compressed_response_passes_as_it_is(curl) -> None:
    raw = curl("-H", "Accept-Encoding: gzip", path="/style.css")
    assert gzip.decompress(raw) == b"body { color: red }\n" * 200
    assert curl("--compressed", path="/style.css") == b"body { color: red }\n" * 200


def test_what_the_origin_is_told(curl, nginx) -> None:
    answer = curl("-i", "-H", "Host: shop.test", path="/echo/a%20b?c=d")
    assert answer.endswith(b"GET /echo/a%20b?c=d shop.test\n")
    assert b"X-Seen-For: 127.0.0.1\r\n" in answer
    assert b"X-Seen-Via: 1.1 pyproxy\r\n" in answer


def test_head_and_options(curl) -> None:
    assert b"Content-Length: 6\r\n" in curl("-I", path="/small.txt")
    assert b"X-Method: OPTIONS\r\n" in curl("-i", "-X", "OPTIONS", path="/echo")


def test_errors_and_redirects_of_the_origin_pass(curl) -> None:
    assert curl("-i", path="/absent").startswith(b"HTTP/1.1 404 ")
    moved = curl("-i", path="/moved")
    assert moved.startswith(b"HTTP/1.1 301 ")
    assert b"Location: " in moved


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_uploads(curl, nginx, framing) -> None:
    body = hashlib.sha512(framing.encode()).digest() * 50_000
    more = ["-H", "Transfer-Encoding: chunked"] if framing == "chunked" else []
    # curl announces bodies of this size with Expect: 100-continue.
    answer = curl("-i", "-T", "-", *more, path=f"/put/{framing}.bin", stdin=body)
    if b" 405 " in answer.split(b"\r\n")[0]:
        pytest.fail("this nginx has no DAV module: apt-get install -y nginx-light", pytrace=False)
    assert b"HTTP/1.1 201 " in answer
    assert (nginx.html / "put" / f"{framing}.bin").read_bytes() == body


def test_http10_from_curl(curl) -> None:
    assert curl("-0", path="/small.txt") == b"small\n"


def test_many_requests_over_one_connection(curl, proxy, nginx) -> None:
    """More than nginx allows on one of its own connections."""
    lines = curl("-w", "%{num_connects}\n", path="/echo?[1-250]").decode().split("\n")
    assert sum(line == "0" for line in lines) == 249
    assert sum(line.startswith("GET /echo?") for line in lines) == 250


def test_every_request_was_logged_without_fault(curl, proxy) -> None:
    curl(path="/small.txt?last")
    wait_until(lambda: "/small.txt?last" in proxy.stdout, "the last line is written")
    faults = [json.loads(line)["fault"] for line in proxy.stdout.splitlines()]
    assert set(faults) == {None}
