"""`pyproxy check`: is a configuration right? The same rules as at start, filters included.

What serves all the same but surely not as it was meant, such as a certificate that has expired, is
a fault here and a warning at start.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator

from pyproxy.cli.report import print_faults
from pyproxy.config.faults import Report
from pyproxy.config.load import inspect, with_files
from pyproxy.config.model import Config, filter_refs, python_refs
from pyproxy.errors import Fault
from pyproxy.tls.held import certificates_of, days_left, file_of, remarks_of

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
    config, faults = with_files(inspect(path))
    if config is not None:
        faults = sorted({*faults, *_remarks(config)})
    if config is not None and not faults and python_refs(config):
        from pyproxy.config.filters_check import resolve_filters

        faults = resolve_filters(config)
    if args.json:
        sys.stdout.write(json.dumps([fault._asdict() for fault in faults], indent=2) + "\n")
        return 2 if faults else 0
    if faults or config is None:
        print_faults(faults, sys.stderr)
        return 2
    sys.stdout.write(f"{path}: ok: {summary(config)}\n")
    sys.stdout.writelines(f"{line}\n" for line in _certificates(config))
    return 0


def _remarks(config: Config) -> list[Fault]:
    """What is wrong with certificates that can be used."""
    report = Report()
    for held in certificates_of(config):
        for remark in remarks_of(held, time.time()):
            report.refuse(held.section, "", ValueError(remark), path=held.path)
    return report.faults


def _certificates(config: Config) -> Iterator[str]:
    """Every certificate with its names, its kind, the days it has left, and its file."""
    for held in certificates_of(config):
        facts = held.facts
        names = ", ".join(facts.names) or facts.subject
        days = days_left(facts, time.time())
        yield "  ".join(
            part for part in (held.path, names, facts.key_kind, days, file_of(held)) if part
        )


def summary(config: Config) -> str:
    """What a configuration holds: `1 listener, 2 routes, 1 upstream`."""
    counts = {
        "listener": len(config.listeners),
        "route": len(config.routes),
        "upstream": len(config.upstreams),
        "filter": len(filter_refs(config)),
    }
    return ", ".join(f"{n} {noun}{'' if n == 1 else 's'}" for noun, n in counts.items() if n)
