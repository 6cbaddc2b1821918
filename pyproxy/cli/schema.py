"""`pyproxy schema`.

The JSON Schema of the configuration file, made from the structs that decode it.
"""

from __future__ import annotations

import argparse
import json
import sys

EPILOG = """\
examples:
  pyproxy schema > pyproxy.schema.json
  # then, as the first line of pyproxy.yaml, for editors that speak to yaml-language-server:
  # yaml-language-server: $schema=pyproxy.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--markdown", action="store_true", help="print the reference as Markdown tables instead"
    )


def main(args: argparse.Namespace) -> int:
    """Print the schema."""
    from pyproxy.config.schema import json_schema, reference

    if args.markdown:
        sys.stdout.write(reference())
    else:
        sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
    return 0
