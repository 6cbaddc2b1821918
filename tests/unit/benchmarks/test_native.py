"""What filters of a set are proved to do, by servers that do not."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from benchmarks.errors import Unavailable
from benchmarks.peers import native
from benchmarks.scenario import load_all


class Plain(BaseHTTPRequestHandler):
    """Answers as if there were no filters."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        if "x-tell" in self.headers:
            self.send_header("RateLimit-Policy", self.headers["x-tell"])
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Stay quiet."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Plain) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


def test_every_set_with_filters_is_proved() -> None:
    assert native.PROOFS.keys() == {name for name in native.SETS if name}
    assert len(native.SETS["twenty"]) == 20
    (scenario,) = [s for s in load_all() if s.name == "filters"]
    assert set(scenario.sets) == native.SETS.keys()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("twenty", "request_id: answers without x-request-id"),
        ("rate-limit", "rate_limit: answers without ratelimit-policy"),
        ("jwt", "jwt: 200 instead of 401"),
    ],
)
def test_who_has_no_filters_is_found_out(port: int, name: str, why: str) -> None:
    with pytest.raises(Unavailable, match=why):
        native.prove(port, name, {})


def test_a_field_with_another_value_is_no_proof(port: int) -> None:
    native.prove(port, "rate-limit", {"x-tell": '"rate_limit";q=10000000;w=1'})
    with pytest.raises(Unavailable, match="ratelimit-policy"):
        native.prove(port, "rate-limit", {"x-tell": '"rate_limit";q=1;w=1'})


def test_without_filters_there_is_nothing_to_prove() -> None:
    native.prove(1, "", {})
