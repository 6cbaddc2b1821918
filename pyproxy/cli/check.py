"""`pyproxy check`: is a configuration right? The same rules as at start, filters included."""

from __future__ import annotations

import argparse
import json
import sys

from pyproxy.cli.report import print_faults
from pyproxy.config.load import inspect
from pyproxy.config.model import Config, filter_refs

EPILOG = """\
examples:
  pyproxy check                      pyproxy.yaml of this folder
  pyproxy check -c /etc/pyproxy.d    a folder: its *.yaml files together
  pyproxy check --json               faults as JSON, for editors and pipelines

exit status: 0 when the configuration can be served, 2 when it has faults
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="the same as -c FILE")
    parser.add_argument(
        "-c", "--config", default="pyproxy.yaml", metavar="FILE", help="default: pyproxy.yaml"
    )
    parser.add_argument("--json", action="store_true", help="print faults as a JSON list")


def main(args: argparse.Namespace) -> int:
    """Print the faults, or one line that says what the configuration holds."""
    path = args.file or args.config
    config, faults = inspect(path)
    if config is not None and not faults and filter_refs(config):
        from pyproxy.config.filters_check import resolve_filters

        faults = resolve_filters(config)
    if args.json:
        sys.stdout.write(json.dumps([fault._asdict() for fault in faults], indent=2) + "\n")
        return 2 if faults else 0
    if faults or config is None:
        print_faults(faults, sys.stderr)
        return 2
    sys.stdout.write(f"{path}: ok: {summary(config)}\n")
    return 0


def summary(config: Config) -> str:
    """What a configuration holds: `1 listener, 2 routes, 1 upstream`."""
    counts = {
        "listener": len(config.listeners),
        "route": len(config.routes),
        "upstream": len(config.upstreams),
        "filter": len(filter_refs(config)),
    }
    return ", ".join(f"{n} {noun}{'' if n == 1 else 's'}" for noun, n in counts.items() if n)
