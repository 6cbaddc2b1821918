"""Compare two result files: `python -m benchmarks.compare A.json B.json`.

For every scenario both have, pyproxy's CPU per request relative to a contender of the same run (the
bare relay where both have it, else nginx): what the machine did differently that day cancels. A
difference counts when it exceeds the A/A noise that the two runs recorded; where a scenario has no
A/A pair, the spread of its rounds stands in. Ends with status 1 when B is worse beyond the noise.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import table

YARDSTICKS = ("relay", "nginx", "haproxy")
LEAST_NOISE = 0.01


@dataclass(frozen=True, slots=True)
class Difference:
    """One scenario in two runs. `change` is the relative change of the figure; above 0 is worse."""

    scenario: str
    yardstick: str
    before: float
    after: float
    noise: float

    @property
    def change(self) -> float:
        return self.after / self.before - 1

    @property
    def word(self) -> str:
        if abs(self.change) <= self.noise:
            return "within noise"
        return "worse" if self.change > 0 else "better"


def noise_of(part: Mapping[str, Any], yardstick: str) -> float:
    """The noise of one scenario of one run: its A/A pair, or the half spread of its rounds."""
    recorded = part.get("noise", {}).get("cpu_us")
    if recorded is not None:
        return max(LEAST_NOISE, float(recorded))
    fields = part["ratios"][yardstick]["cpu_us"]
    half = (float(fields["high"]) - float(fields["low"])) / 2
    return max(LEAST_NOISE, half / float(fields["median"]))


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """Every scenario that both results have, with a yardstick that both have."""
    found = []
    for name, old in before.get("scenarios", {}).items():
        new = after.get("scenarios", {}).get(name)
        if new is None:
            continue
        for yardstick in YARDSTICKS:
            pair = [part.get("ratios", {}).get(yardstick, {}).get("cpu_us") for part in (old, new)]
            if all(pair):
                least = max(noise_of(old, yardstick), noise_of(new, yardstick))
                medians = [float(p["median"]) for p in pair]
                found.append(Difference(name, yardstick, medians[0], medians[1], least))
                break
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print the comparison; 1 when something is worse beyond noise, 2 when nothing compares."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args(argv)
    before, after = (json.loads(p.read_text()) for p in (options.before, options.after))
    found = differences(before, after)
    if not found:
        print("the two results have no scenario in common", file=sys.stderr)
        return 2
    if before.get("machine", {}).get("kernel") != after.get("machine", {}).get("kernel"):
        print("note: the two runs had different kernels")
    rows = [
        [d.scenario, d.yardstick, f"{d.before:.3f}", f"{d.after:.3f}", f"{d.change * 100:+.1f} %",
         f"±{d.noise * 100:.1f} %", d.word]
        for d in found
    ]  # fmt: skip
    print(table(["scenario", "÷", "before", "after", "change", "noise", "verdict"], rows))
    return 1 if any(d.word == "worse" for d in found) else 0


if __name__ == "__main__":
    sys.exit(main())
