"""A scripted origin: records what arrives, answers what the test says."""

from __future__ import annotations

import contextlib
import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from pyproxy.testing.origin import Answer
from pyproxy.testing.origin import Origin as _Origin


@dataclass
class OriginRequest:
    """One request as it came over the wire; `raw` is its head, byte for byte."""

    raw: bytes
    method: str
    target: str
    fields: list[tuple[str, str]]
    body: bytes = b""
    connection: int = 0  # which connection of the origin it came on, from 0

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def headers(self) -> dict[str, str]:
        joined: dict[str, str] = {}
        for name, value in self.fields:
            name = name.lower()
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
        return joined


@dataclass
class Reply:
    """An answer; `raw` overrides the rest and may be anything. `close` ends the connection after
    it.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    raw: bytes | None = None
    close: bool = False

    def encode(self, method: str) -> bytes:
        answer = Answer(self.status, self.headers, self.body, raw=self.raw)
        return answer.encode(method)


Handler = Callable[[OriginRequest], Reply | None]


def echo(request: OriginRequest) -> Reply:
    """The default answer: what arrived, as JSON."""
    seen = {
        "method": request.method,
        "target": request.target,
        "headers": request.fields,
        "body_bytes": len(request.body),
    }
    return Reply(headers={"content-type": "application/json"}, body=json.dumps(seen).encode())


class Origin(_Origin):
    """A listening origin; made by `origin`. `requests` grows as complete requests arrive."""

    requests: list[OriginRequest]

    def read_request(self, stream: BinaryIO) -> OriginRequest | None:
        request = super().read_request(stream)
        if request is None:
            return None
        pairs = request.headers.pairs
        return OriginRequest(request.raw, request.method, request.target, pairs, request.body)


@contextlib.contextmanager
def origin(
    handler: Handler = echo,
    *,
    tls: ssl.SSLContext | None = None,
    at: tuple[str, int] = ("127.0.0.1", 0),
) -> Iterator[Origin]:
    """An origin on a free port of 127.0.0.1, or <at>; with <tls> it speaks that.

    <handler> runs in a thread of the connection; None as its answer drops the connection.
    """
    with Origin(handler, tls=tls, at=at) as server:
        yield server
