"""`pyproxy run`: serve a configuration."""

from __future__ import annotations

import argparse
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
    # Imported here: the other commands start without the engine and the event loop.
    from pyproxy.config.load import load
    from pyproxy.supervise.launch import serve

    return serve(load(args.config))
