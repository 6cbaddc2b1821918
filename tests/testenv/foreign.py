"""Programs that are not ours: nginx, curl, browsers."""

import os

# Set for our own processes by the runs under sanitizers; a system program that loads the
# sanitizers' libraries too may hang before its main().
_OURS = ("LD_PRELOAD", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS")


def foreign_environment() -> dict[str, str]:
    """The environment for a program of the system."""
    return {name: value for name, value in os.environ.items() if name not in _OURS}
