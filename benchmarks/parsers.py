"""Our request-head parser against httptools, on the heads of micro/bench_http1_head.c.

`python -m benchmarks.parsers [rounds]` prints JSON: for each way to use a parser, bytes per second
in every round. Rounds are interleaved. Ways:

  pyproxy          `pyproxy._wire.HeadParser`: method, target and fields as Python objects
  httptools        `httptools.HttpRequestParser` with the callbacks that a server needs for the same
  httptools bare   the same parser with no callback at all: llhttp behind one call

The C speed of our parser comes from bench_http1_head.c itself.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

SOURCE = Path(__file__).resolve().parent / "micro" / "bench_http1_head.c"
HEADS_A_ROUND = 20_000
_SAMPLE = re.compile(r'\{"([^"]+)",\s*PP_SPAN\(((?:\s*"(?:[^"\\]|\\.)*")+)\),\s*(\w+)\}')
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"')


def samples(source: str) -> dict[str, bytes]:
    """The request heads of the C micro-benchmark, by name. ValueError when there are none."""
    found = {}
    for name, text, kind in _SAMPLE.findall(source):
        if kind == "PP_HTTP1_REQUEST":
            parts = (ast.literal_eval(literal) for literal in _LITERAL.findall(text))
            # httptools would wait for a declared body; the head is what is measured.
            lines = "".join(parts).split("\r\n")
            kept = [line for line in lines if not line.startswith("Content-Length:")]
            found[name] = "\r\n".join(kept).encode()
    if not found:
        raise ValueError("no request heads in the source")
    return found


class Collect:
    """What a server gives httptools to learn method, target and fields."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_message_begin(self) -> None:
        self.fields = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.target = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete = True


Reader = Callable[[bytes, int], None]


def ours() -> Reader:
    from pyproxy._wire import HeadParser

    def read(head: bytes, count: int) -> None:
        parser = HeadParser()
        for _ in range(count):
            if not parser.feed(head):
                raise ValueError("the head is not complete")
            _ = parser.method, parser.target, parser.fields
            parser.reset()

    return read


def theirs(*, callbacks: bool) -> Reader:
    import httptools

    def read(head: bytes, count: int) -> None:
        taker = Collect() if callbacks else object()
        parser = httptools.HttpRequestParser(taker)
        for _ in range(count):
            parser.feed_data(head)
            _ = parser.get_method()
        if isinstance(taker, Collect) and not taker.complete:
            raise ValueError("the head is not complete")

    return read


def speed(read: Reader, head: bytes) -> float:
    """Bytes of heads per second."""
    begun = time.perf_counter()
    read(head, HEADS_A_ROUND)
    return len(head) * HEADS_A_ROUND / (time.perf_counter() - begun)


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    rounds = int(argv[0]) if argv else 5
    readers = {
        "pyproxy": ours(),
        "httptools": theirs(callbacks=True),
        "httptools bare": theirs(callbacks=False),
    }
    found: dict[str, dict[str, list[float]]] = {}
    for name, head in samples(SOURCE.read_text()).items():
        speeds: dict[str, list[float]] = {way: [] for way in readers}
        for read in readers.values():
            read(head, 1000)
        for _ in range(rounds):
            for way, read in readers.items():
                speeds[way].append(speed(read, head))
        found[name] = speeds
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
