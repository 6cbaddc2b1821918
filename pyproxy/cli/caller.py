"""What the commands that speak to a running service have in common."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from pathlib import Path
from typing import Any

from pyproxy.cli.run import DEFAULT_CONFIG
from pyproxy.errors import ConfigError, Fault, StartError
from pyproxy.supervise.channel import ChannelError, Kind
from pyproxy.supervise.control_socket import call, path_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which service: by its configuration, or by its control socket."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        default=DEFAULT_CONFIG,
        help=f"the configuration that it was started with (default: {DEFAULT_CONFIG})",
    )
    parser.add_argument(
        "--socket", metavar="PATH", default="", help="its control socket, instead of -c"
    )


def ask(args: argparse.Namespace, command: str, **more: Any) -> dict[str, Any]:
    """Send one command, print what is said on the way, and return the outcome.

    Raises `StartError` when nobody answers, and `ConfigError` with the faults that it found.
    """
    path = _socket(args)
    try:
        while True:
            done = _ask_once(path, command, more)
            # Whoever asks at the moment of an upgrade may have met the generation that leaves.
            if not done.get("moved"):
                return _outcome(done)
    except ChannelError as error:
        raise StartError(
            f"the service says what this version does not understand: {error}"
        ) from error


def _ask_once(path: Path, command: str, more: dict[str, Any]) -> dict[str, Any]:
    channel = call(path, command, **more)
    try:
        while True:
            for message in channel.receive_blocking(None):
                if message.kind is Kind.SAY:
                    print(message.body["text"], file=sys.stderr, flush=True)
                elif message.kind is Kind.DONE:
                    return message.body
            if channel.closed:
                raise StartError("the service hung up before it had answered")
    finally:
        channel.close()


def _socket(args: argparse.Namespace) -> Path:
    if args.socket:
        return Path(args.socket)
    return path_of(_configured(args.config), args.config)


def _configured(path: str) -> str:
    """`control_socket` of the file, which may be broken just now: that must not matter here."""
    from pyproxy.config.load import files_of, inspect

    config = inspect(path).config
    if config is not None:
        return config.control_socket
    for file in files_of(path):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            found = re.search(
                r"^control_socket:\s*[\"']?([^\s\"']+)", file.read_text(), re.MULTILINE
            )
            if found:
                return found[1]
    return ""


def _outcome(body: dict[str, Any]) -> dict[str, Any]:
    if body.get("ok"):
        return body
    faults = [Fault(*fault) for fault in body.get("faults") or ()]
    if faults:
        raise ConfigError(faults)
    raise StartError(str(body.get("error", "it could not be done")))
