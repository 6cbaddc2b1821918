"""Random lookups of the router, in C (bench_router.c) and through `pyproxy._wire.Router`.

`python -m benchmarks.micro.bench_router [rounds]` prints a table.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from statistics import median

from benchmarks import micros

QUERIES = 50_000


def from_python(routes: int, rounds: int) -> float:
    """Median nanoseconds of Router.find over a table of tenants."""
    from pyproxy._wire import Router

    router = Router()
    for i in range(routes):
        router.add(i, f"/v1/tenant{i}/resource/{{id}}")
    router.freeze()
    picks = random.Random(42)
    asked = [picks.randrange(routes) for _ in range(QUERIES)]
    paths = [f"/v1/tenant{i}/resource/{picks.randrange(100_000)}" for i in asked]
    for i, path in zip(asked, paths, strict=True):
        if router.find("", path)[0] != i:
            raise ValueError(f"wrong route for {path}")
    times = []
    for _ in range(rounds):
        begun = time.perf_counter_ns()
        for path in paths:
            router.find("", path)
        times.append((time.perf_counter_ns() - begun) / QUERIES)
    return median(times)


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    rounds = int(argv[0]) if argv else 5
    for name, figure in micros.router().items():
        print(f"{name:50} {figure.median:8.1f}  ({figure.low:.1f} to {figure.high:.1f})")
    for routes in (100, 100_000):
        print(f"{f'from Python, {routes:,} routes, ns':50} {from_python(routes, rounds):8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
