"""`pyproxy filters`: which filters there are, and what each of them takes."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from pyproxy.config.filters import FILTER_KINDS, third_party
from pyproxy.errors import PyproxyError

EPILOG = """\
examples:
  pyproxy filters                    every filter with its default priority
  pyproxy filters headers            what it does, an example, every option, its JSON Schema
  pyproxy filters headers --schema   only the JSON Schema of its options
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="the filter; absent: list all")
    parser.add_argument("--schema", action="store_true", help="print only its JSON Schema")
    parser.add_argument("--markdown", action="store_true", help="print only its page")


def main(args: argparse.Namespace) -> int:
    """Print the list, or what is known of one filter."""
    if args.name is None:
        sys.stdout.write(_index() if args.markdown else _list())
        return 0
    if args.name in FILTER_KINDS:
        from pyproxy.config.filters.page import page
        from pyproxy.config.schema import filter_schema

        text, schema = page(args.name), filter_schema(args.name)
    else:
        text, schema = _of_others(args.name)
    if not args.schema:
        sys.stdout.write(text)
    if not args.schema and not args.markdown:
        sys.stdout.write("\n## JSON Schema\n\n")
    if not args.markdown:
        sys.stdout.write(json.dumps(schema, indent=2) + "\n")
    return 0


def _index() -> str:
    from pyproxy.config.filters.page import index

    return index()


def _list() -> str:
    from pyproxy.config.filters.page import one_line, priority

    rows = [(-priority(word), word, one_line(word)) for word in FILTER_KINDS]
    lines = [f"{-rank:>6}  {word:<20}  {text}" for rank, word, text in sorted(rows)]
    lines += [f"        {word:<20}  {use}" for word, use in sorted(third_party().items())]
    return "priority  filter\n" + "\n".join(f"  {line}" for line in lines) + "\n"


def _of_others(word: str) -> tuple[str, dict[str, Any]]:
    """The page and the schema of a filter that another package announces."""
    from inspect import cleandoc

    import msgspec

    from pyproxy.config.decode import nearest
    from pyproxy.config.filters_check import find_class
    from pyproxy.config.model import PythonFilter

    others = third_party()
    if word not in others:
        hint = nearest(word, [*FILTER_KINDS, *others])
        raise PyproxyError(f'there is no filter "{word}"; {hint}')
    try:
        cls = find_class(PythonFilter(use=others[word]))
    except ValueError as error:
        raise PyproxyError(f"{word}: {error}") from error
    schema = msgspec.json.schema(cls.Config)
    text = f"# {word}\n\n{cleandoc(cls.__doc__ or '')}\n\nFrom `{others[word]}`.\n"
    return text, schema
