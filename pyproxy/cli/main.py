"""Entry of the `pyproxy` command.

A subcommand is a module with `add_arguments(parser)` and `main(args) -> int`; it may have an
`EPILOG` with examples. Only the module of the one that runs is imported: what `check` needs must
not slow down `run`. For the same reason it may have a `quick_args(words)`, which understands the
usual words without argparse and answers None to all others.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType

from pyproxy._version import __version__

# Name -> what it does, in the order of `pyproxy --help`. The module is pyproxy.cli.<name>.
COMMANDS = {
    "run": "serve a configuration",
    "reload": "serve the changed configuration; no connection is closed",
    "upgrade": "let another program take over; no request is lost",
    "status": "tell what runs: generations, workers, listeners",
    "upstream": "see endpoints; drain them or change their weights",
    "check": "check a configuration and tell every fault at once",
    "explain": "tell which route a request takes, and why",
    "init": "write a commented configuration to start from",
    "schema": "print the JSON Schema of the configuration file",
    "filters": "list the filters, or tell what one of them takes",
    "new": "write a filter of your own to start from, with a test",
}

_EXAMPLES = """\
examples:
  pyproxy init                              write pyproxy.yaml, ready to run
  pyproxy run                               serve it
  curl -i http://127.0.0.1:8080/            see it work
  pyproxy check -c pyproxy.yaml             is it right? file, line and cure of each fault
  pyproxy reload                            serve it after a change
  pyproxy explain http://127.0.0.1:8080/x   which route would that take?
  pyproxy schema > pyproxy.schema.json      completion and checks in your editor
"""


def usage() -> str:
    """The text of `pyproxy --help`."""
    rows = "\n".join(f"  {name:<10}{text}" for name, text in COMMANDS.items())
    return (
        "usage: pyproxy COMMAND [options]\n\n"
        "A reverse proxy and API gateway: C moves the bytes, one file configures it, Python "
        "programs it.\n\n"
        f"commands:\n{rows}\n\n"
        "`pyproxy COMMAND --help` tells the options of a command; `pyproxy --version` the "
        "version.\n\n"
        f"{_EXAMPLES}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit status.

    0: done. 1: it could not be done. 2: the command line or the configuration is wrong.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    first = words[0] if words else ""
    if first in ("-h", "--help"):
        sys.stdout.write(usage())
        return 0
    if first in ("-V", "--version"):
        sys.stdout.write(f"pyproxy {__version__}\n")
        return 0
    if first not in COMMANDS:
        sys.stderr.write(_unknown(first))
        return 2
    return _run(first, words[1:])


def _unknown(word: str) -> str:
    if not word:
        return usage()
    from difflib import get_close_matches

    close = get_close_matches(word, COMMANDS, n=1)
    hint = f'did you mean "{close[0]}"?' if close else f"commands: {', '.join(COMMANDS)}"
    return f'pyproxy: there is no command "{word}"; {hint}\n'


def _run(command: str, words: list[str]) -> int:
    from pyproxy.errors import ConfigError, PyproxyError

    module = import_module(f"pyproxy.cli.{command}")
    try:
        args = _args(command, module, words)
    except SystemExit as end:  # argparse has printed the help or the fault
        return end.code if isinstance(end.code, int) else 2
    try:
        status: int = module.main(args)
        sys.stdout.flush()
    except ConfigError as error:
        from pyproxy.cli.report import print_faults

        print_faults(error.faults, sys.stderr)
        return 2
    except PyproxyError as error:
        sys.stderr.write(f"pyproxy: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever reads our output has left; keep the interpreter from complaining about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _args(command: str, module: ModuleType, words: list[str]) -> object:
    """What the words after the command say."""
    quick_args = getattr(module, "quick_args", None)
    known: object | None = quick_args(words) if quick_args else None
    if known is not None:
        return known
    import argparse

    parser = argparse.ArgumentParser(
        prog=f"pyproxy {command}",
        description=f"{COMMANDS[command].capitalize()}.",
        epilog=getattr(module, "EPILOG", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    module.add_arguments(parser)
    return parser.parse_args(words)
