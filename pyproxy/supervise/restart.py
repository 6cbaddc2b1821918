"""When to start a child again: at once the first time, later and later while it keeps dying."""

from __future__ import annotations

FIRST_DELAY_SECONDS = 0.1
MAX_DELAY_SECONDS = 5.0
STABLE_SECONDS = 10.0


class Backoff:
    """Delays for one child. The first death costs nothing.

    A life of `STABLE_SECONDS` wipes the slate.
    """

    def __init__(self) -> None:
        self._failures = 0

    def next_delay(self, lived_seconds: float) -> float:
        """Seconds to wait after a life of `lived_seconds`."""
        if lived_seconds >= STABLE_SECONDS:
            self._failures = 0
        self._failures += 1
        if self._failures == 1:
            return 0.0
        # The exponent is bounded, so that a child that died ten thousand times does not overflow a
        # float.
        doublings = min(self._failures - 2, 16)
        return float(min(FIRST_DELAY_SECONDS * 2**doublings, MAX_DELAY_SECONDS))
