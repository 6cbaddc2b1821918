"""The one exception of the benchmarks."""


class Unavailable(Exception):
    """A proxy, or one way of using it, cannot be measured here; the text says why."""
