"""`pyproxy run`: serve a configuration."""

from __future__ import annotations

import gc
import os
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
        help=f"the configuration file or folder (default: {DEFAULT_CONFIG})",
    )
    parser.add_argument(
        "--upgrade",
        action="store_true",
        help="take over from the running service of this configuration, without a lost request",
    )
    parser.add_argument(
        "--init",
        action="store_true",
        help="stay as a tiny parent that upgrades do not change; done by itself as PID 1",
    )


def quick_args(words: list[str]) -> SimpleNamespace | None:
    """`run` and `run -c FILE` without argparse, which takes 3 ms of a start."""
    match words:
        case []:
            return SimpleNamespace(config=DEFAULT_CONFIG, upgrade=False, init=False)
        case ["-c" | "--config", file] if not file.startswith("-"):
            return SimpleNamespace(config=file, upgrade=False, init=False)
    return None


def main(args: argparse.Namespace | SimpleNamespace) -> int:
    """Run until a signal ends it.

    Raises `ConfigError` with all faults of the file, or `StartError` when an address, a user or a
    filter keeps the proxy from starting.
    """
    if args.init or os.getpid() == 1:
        from pyproxy.supervise.init import run_under_init, should_use_init

        if should_use_init(args.init):
            return run_under_init(lambda _: _serve(args))
    return _serve(args)


def _serve(args: argparse.Namespace | SimpleNamespace) -> int:
    # Nothing that is made from here to the fork is garbage, and looking for some takes a tenth of
    # the start. `serve` switches the collector on again.
    gc.disable()
    # Imported here: the other commands start without the engine and the event loop.
    from pyproxy.cli.lean import import_libraries

    import_libraries()
    from pyproxy.config.load import load
    from pyproxy.supervise.launch import serve

    config = load(args.config)
    return serve(config, source=args.config, upgrade=args.upgrade, before_fork=gc.enable)
