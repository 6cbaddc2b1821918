"""Our request-head parser against httptools, on the heads of micro/bench_http1_head.c.

`python -m benchmarks.parsers [rounds]` prints JSON: for each way to use a parser, bytes per second
in every round. Rounds are interleaved. Ways:

  pyproxy           `pyproxy._wire.HeadParser`: method, target and fields as Python objects
  httptools         `httptools.HttpRequestParser` with the callbacks a server needs for the same
  httptools bare    the same parser with no callback at all: llhttp behind one call
  pyproxy, mixed    as pyproxy, but no value of a field comes twice in a row
  httptools, mixed  as httptools, on the same heads

The first three read what one client sends on one connection: the target and what is made for each
request (X-Request-Id) are always new, the other fields repeat. Our parser gives a pair that comes
again without making it again, so the mixed ways show what it does when that never helps.

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
HEADS = 50
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


Reader = Callable[[Sequence[bytes], int], None]


def connection(head: bytes) -> list[bytes]:
    """Heads that a client sends on one connection: each has its own target and X-Request-Id."""
    return variants(head, lambda name: name in (b"", b"X-Request-Id"))


def mixed(head: bytes) -> list[bytes]:
    """Heads with the same names, of which no two have a target or value in common."""
    return variants(head, lambda name: True)


def variants(head: bytes, is_own: Callable[[bytes], bool]) -> list[bytes]:
    """Heads that differ in the last two bytes of some values (name "": the target)."""
    start, *fields = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    method, target, version = start.split(b" ")
    made = []
    for number in range(HEADS):
        own = b"%02d" % number
        lines = [b" ".join((method, target[:-2] + own if is_own(b"") else target, version))]
        for field in fields:
            name, value = field.split(b": ", 1)
            lines.append(name + b": " + (value[:-2] + own if is_own(name) else value))
        made.append(b"\r\n".join(lines) + b"\r\n\r\n")
    return made


def ours() -> Reader:
    from pyproxy._wire import HeadParser

    def read(heads: Sequence[bytes], count: int) -> None:
        parser = HeadParser()
        for _ in range(count // len(heads)):
            for head in heads:
                if not parser.feed(head):
                    raise ValueError("the head is not complete")
                _ = parser.method, parser.target, parser.fields
                parser.reset()

    return read


def theirs(*, callbacks: bool) -> Reader:
    import httptools

    def read(heads: Sequence[bytes], count: int) -> None:
        taker = Collect() if callbacks else object()
        parser = httptools.HttpRequestParser(taker)
        for _ in range(count // len(heads)):
            for head in heads:
                parser.feed_data(head)
                _ = parser.get_method()
        if isinstance(taker, Collect) and not taker.complete:
            raise ValueError("the head is not complete")

    return read


def speed(read: Reader, heads: Sequence[bytes]) -> float:
    """Bytes of heads per second."""
    begun = time.perf_counter()
    read(heads, HEADS_A_ROUND)
    return sum(map(len, heads)) * (HEADS_A_ROUND // len(heads)) / (time.perf_counter() - begun)


def rates(head: bytes, rounds: int) -> dict[str, list[float]]:
    """Bytes per second of every way in every round."""
    one, many = connection(head), mixed(head)
    ways = {
        "pyproxy": (ours(), one),
        "httptools": (theirs(callbacks=True), one),
        "httptools bare": (theirs(callbacks=False), one),
        "pyproxy, mixed": (ours(), many),
        "httptools, mixed": (theirs(callbacks=True), many),
    }
    speeds: dict[str, list[float]] = {way: [] for way in ways}
    for read, heads in ways.values():
        read(heads, 1000)
    for _ in range(rounds):
        for way, (read, heads) in ways.items():
            speeds[way].append(speed(read, heads))
    return speeds


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    rounds = int(argv[0]) if argv else 5
    found = {name: rates(head, rounds) for name, head in samples(SOURCE.read_text()).items()}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
