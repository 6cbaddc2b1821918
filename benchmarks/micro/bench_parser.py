"""Bytes per second of the request-head parser, in C and from Python, against httptools.

`python -m benchmarks.micro.bench_parser [rounds]` prints a table. Rows: the ways of
benchmarks/parsers.py, and "in C": the parser with the framing rules in a loop inside
`pyproxy._wire`, without making Python objects.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from statistics import median

from benchmarks.parsers import HEADS_A_ROUND, SOURCE, rates, samples


def in_c(head: bytes) -> float:
    """Bytes per second of the loop inside the extension."""
    from pyproxy._wire import _bench_head

    begun = time.perf_counter()
    return _bench_head(head, HEADS_A_ROUND) / (time.perf_counter() - begun)


def main(argv: Sequence[str]) -> int:
    """Measure in interleaved rounds and print."""
    rounds = int(argv[0]) if argv else 5
    for name, head in samples(SOURCE.read_text()).items():
        speeds = {"pyproxy in C": [in_c(head) for _ in range(rounds)], **rates(head, rounds)}
        rate = {way: median(values) for way, values in speeds.items()}
        print(f"{name}, {len(head)} bytes")
        for way, value in rate.items():
            ratio = value / rate["httptools, mixed" if "mixed" in way else "httptools"]
            print(f"    {way:16} {value / 1e6:8.0f} MB/s  {ratio:5.2f} × httptools")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
