"""`pyproxy run`: serve a configuration."""

from __future__ import annotations

import gc
from types import SimpleNamespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

DEFAULT_CONFIG = "pyproxy.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        default=DEFAULT_CONFIG,
        help=f"the configuration file (default: {DEFAULT_CONFIG})",
    )


def quick_args(words: list[str]) -> SimpleNamespace | None:
    """`run` and `run -c FILE` without argparse, which takes 3 ms of a start."""
    match words:
        case []:
            return SimpleNamespace(config=DEFAULT_CONFIG)
        case ["-c" | "--config", file] if not file.startswith("-"):
            return SimpleNamespace(config=file)
    return None


def main(args: argparse.Namespace | SimpleNamespace) -> int:
    """Run until a signal ends it.

    Raises `ConfigError` with all faults of the file, or `StartError` when an address, a user or a
    filter keeps the proxy from starting.
    """
    # Nothing that is made from here to the fork is garbage, and looking for some takes a tenth of
    # the start. `serve` switches the collector on again.
    gc.disable()
    # Imported here: the other commands start without the engine and the event loop.
    from pyproxy.cli.lean import import_libraries

    import_libraries()
    from pyproxy.config.load import load
    from pyproxy.supervise.launch import serve

    return serve(load(args.config), before_fork=gc.enable)
