"""`pyproxy reload`: serve the changed configuration, in the same processes."""

from __future__ import annotations

import argparse

from pyproxy.cli import caller

EPILOG = """\
examples:
  pyproxy reload --diff              what would change?
  pyproxy reload                     do it; no connection is closed
  pyproxy reload -c /etc/pyproxy.d   of the service that was started with this folder

A configuration with faults changes nothing. exit status: 0 when it is served, 2 when it has faults,
1 when no service answers or it could not be done
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    caller.add_arguments(parser)
    parser.add_argument(
        "--diff", action="store_true", help="only tell what would change, and change nothing"
    )


def main(args: argparse.Namespace) -> int:
    """Ask for it and tell the outcome."""
    if args.diff:
        lines = caller.ask(args, "reload", diff=True)["diff"]
        print("\n".join(lines) if lines else "nothing would change")
        return 0
    revision = caller.ask(args, "reload")["revision"]
    print(f"configuration {revision} is served")
    return 0
