"""An origin that answers with the header fields it received: what a proxy sent upstream."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from benchmarks.contender import Contender, Setup
from benchmarks.errors import Unavailable


class Echo(BaseHTTPRequestHandler):
    """Answers every GET with its own header fields as JSON, names in lower case."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay quiet."""


def seen(contender: Contender, setup: Setup, headers: Mapping[str, str]) -> dict[str, str]:
    """Start `contender` before an echo and return what reaches it. `setup.origin` is not used."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        server.block_on_close = False
        Thread(target=server.serve_forever, daemon=True).start()
        origin = int(server.server_address[1])
        moved = Setup(setup.folder, setup.port, origin, setup.flavour, setup.routes)
        running = contender.start(moved)
        try:
            connection = http.client.HTTPConnection("127.0.0.1", setup.port, timeout=10)
            connection.request("GET", "/", headers=dict(headers))
            answer = connection.getresponse()
            found = dict(json.loads(answer.read()))
            connection.close()
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise Unavailable(f"does not answer: {exc!r}") from exc
        finally:
            running.stop()
            server.shutdown()
    return found


def require(found: Mapping[str, str], lines: Sequence[str]) -> None:
    """Unavailable when one of the header lines did not reach the origin."""
    for line in lines:
        name, _, value = line.partition(": ")
        if found.get(name.lower()) != value:
            raise Unavailable(f"sends its origin no {line!r}")
