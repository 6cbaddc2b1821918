"""Bytes per second of the request-head parser, in C and from Python, against httptools.

`python -m benchmarks.micro.bench_parser [rounds]` prints a table. Rows: the ways of
benchmarks/parsers.py, and "in C": the parser with the framing rules in a loop inside
`pyproxy._wire`, without making Python objects.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import median

from benchmarks.parsers import SOURCE, Reader, ours, samples, speed, theirs


def in_c() -> Reader:
    """The loop inside the extension."""
    from pyproxy._wire import _bench_head

    def read(head: bytes, count: int) -> None:
        _bench_head(head, count)

    return read


def main(argv: Sequence[str]) -> int:
    """Measure in interleaved rounds and print."""
    rounds = int(argv[0]) if argv else 5
    readers = {
        "pyproxy in C": in_c(),
        "pyproxy": ours(),
        "httptools": theirs(callbacks=True),
        "httptools bare": theirs(callbacks=False),
    }
    for name, head in samples(SOURCE.read_text()).items():
        speeds: dict[str, list[float]] = {way: [] for way in readers}
        for _ in range(rounds):
            for way, read in readers.items():
                speeds[way].append(speed(read, head))
        rate = {way: median(values) for way, values in speeds.items()}
        print(f"{name}, {len(head)} bytes")
        for way, value in rate.items():
            ratio = value / rate["httptools"]
            print(f"    {way:16} {value / 1e6:8.0f} MB/s  {ratio:5.2f} × httptools")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
