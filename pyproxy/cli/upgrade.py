"""`pyproxy upgrade`: let a new program take over from the running one, without a lost request."""

from __future__ import annotations

import argparse
import sys

from pyproxy.cli import caller

EPILOG = """\
examples:
  pyproxy upgrade                            the program that this command belongs to takes over
  /opt/pyproxy-2/bin/pyproxy upgrade         the one of another environment: a new version
  pyproxy upgrade --same                     the very program that runs, started again
  pyproxy status                             which generations are there now?

The running one serves until the new one has every worker ready; if that fails it just goes on, and
this command says why. exit status: 0 when the new one serves, 1 when the old one still does
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    caller.add_arguments(parser)
    parser.add_argument(
        "--same",
        action="store_true",
        help="start the program that runs again, not the one that this command belongs to",
    )


def main(args: argparse.Namespace) -> int:
    """Ask for it, wait for the outcome, and tell it."""
    program = None if args.same else [sys.executable, "-m", "pyproxy"]
    done = caller.ask(args, "upgrade", program=program)
    who = f"pid {done['pid']} (pyproxy {done['version']})"
    print(f"{who} serves, {done['seconds']:.1f} s after the request")
    return 0
