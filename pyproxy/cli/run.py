"""`pyproxy run`: serve a configuration."""

from __future__ import annotations

import argparse
import gc
from pathlib import Path

DEFAULT_CONFIG = "pyproxy.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        default=Path(DEFAULT_CONFIG),
        help=f"the configuration file (default: {DEFAULT_CONFIG})",
    )


def main(args: argparse.Namespace) -> int:
    """Run until a signal ends it.

    Raises `ConfigError` with all faults of the file, or `StartError` when an address, a user or a
    filter keeps the proxy from starting.
    """
    # Nothing that is made from here to the fork is garbage, and looking for some takes a tenth of
    # the start. `serve` switches the collector on again.
    gc.disable()
    # Imported here: the other commands start without the engine and the event loop.
    from pyproxy.config.load import load
    from pyproxy.supervise.launch import serve

    return serve(load(args.config), before_fork=gc.enable)
