"""`pyproxy new`: write the beginnings of something."""

from __future__ import annotations

import argparse
import keyword
import re
import sys
from pathlib import Path

from pyproxy.errors import StartError

EPILOG = """\
examples:
  pyproxy new filter greeter           greeter.py and test_greeter.py in this folder
  pyproxy new filter rate-audit -o src   src/rate_audit.py with the class RateAudit
  python -m pytest test_greeter.py     the test passes as it is: change it, then the filter

A filter is a Python class with a method for each phase of an exchange that it wants to see. What
is written has a `Config` (the options, checked when the file is read), two phases, and a test that
runs both in the engine and in a real proxy. Nothing is ever overwritten.

docs/first-filter.md is a tour of five minutes; docs/filters.md tells every phase
"""

FILTER = '''\
"""@CLASS@: a filter for pyproxy."""

from __future__ import annotations

from typing import Annotated

import msgspec
from pyproxy import Exchange, Filter, Reply


class @CLASS@(Filter):
    """Asks who is there, and tells the origin; without a name the answer is 401.

    One object is made for each use in the configuration, in each worker: what belongs to one
    exchange goes into `exchange.state`. Phases that are not defined here cost nothing.
    """

    class Config(Filter.Config, frozen=True):
        """What stands under `config` in the file; checked when that is read."""

        header: Annotated[str, msgspec.Meta(min_length=1)] = "x-user"

    config: Config

    def request(self, exchange: Exchange) -> Reply | None:
        """The request is known, nothing is sent yet. None goes on, a `Reply` answers."""
        user = exchange.request.headers.get(self.config.header)
        if user is None:
            return Reply(401, body=f"{self.config.header}: who are you?\\n")
        exchange.request.headers["x-greeted"] = user
        exchange.state["user"] = user
        return None

    def response(self, exchange: Exchange) -> None:
        """The head of any response, on its way to the client; of the one above, too."""
        user = exchange.state.get("user", "nobody")
        exchange.response.headers["x-served-to"] = user
'''

TEST = '''\
"""What @CLASS@ does."""

from __future__ import annotations

import urllib.request

import msgspec
import pytest
from pyproxy.testing import Origin, Proxy, drive

from @MODULE@ import @CLASS@


def test_the_origin_is_told_the_user() -> None:
    done = drive(@CLASS@(), headers={"x-user": "ann"})
    assert done.status == 200
    assert done.sent is not None
    assert done.sent.headers["x-greeted"] == "ann"
    assert done.headers["x-served-to"] == "ann"


def test_a_request_without_a_name_is_answered_here() -> None:
    done = drive(@CLASS@())
    assert (done.status, done.text) == (401, "x-user: who are you?\\n")
    assert done.sent is None  # the origin was not asked


def test_the_header_can_be_chosen() -> None:
    done = drive(@CLASS@(@CLASS@.Config(header="x-name")), headers={"x-name": "bob"})
    assert done.headers["x-served-to"] == "bob"


def test_an_empty_name_of_a_header_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"header": ""}, @CLASS@.Config)


def test_it_works_in_a_real_proxy() -> None:
    entry = {"python": {"use": "@MODULE@:@CLASS@", "config": {"header": "x-name"}}}
    with Origin("hello") as origin:
        config = {
            "upstreams": {"app": {"endpoints": origin.address}},
            "routes": [{"upstream": "app", "filters": [entry]}],
        }
        with Proxy(config) as proxy:
            request = urllib.request.Request(proxy.url, headers={"x-name": "ann"})
            with urllib.request.urlopen(request) as response:
                assert response.read() == b"hello"
                assert response.headers["x-served-to"] == "ann"
'''

_YAML = """\
    filters:
      - python: {use: "@MODULE@:@CLASS@", config: {header: x-user}}
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("what", choices=["filter"], help="a filter in Python, with a test")
    parser.add_argument("name", metavar="NAME", help="of the module; the class gets it in capitals")
    parser.add_argument(
        "-o", "--output", metavar="DIR", default=".", help="where to write (default: here)"
    )


def main(args: argparse.Namespace) -> int:
    """Write both files and tell how to use them; StartError when that cannot be."""
    module, class_name = names_of(args.name)
    folder = Path(args.output)
    wanted = {f"{module}.py": FILTER, f"test_{module}.py": TEST}
    for name in wanted:
        if (folder / name).exists():
            raise StartError(f"{folder / name} exists already: nothing is written")
    for name, text in wanted.items():
        _write(folder / name, _filled(text, module, class_name))
    here = folder / f"test_{module}.py"
    sys.stdout.write(
        f"wrote {folder / f'{module}.py'} and {here}\n\n"
        f"try it:              python -m pytest {here}\n"
        f"use it in a route of the configuration in that folder:\n\n"
        f"{_filled(_YAML, module, class_name)}\n"
        "then:                pyproxy reload, or pyproxy run\n"
    )
    return 0


def names_of(name: str) -> tuple[str, str]:
    """The module and the class for what somebody calls a filter; StartError: it cannot be."""
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()
    if not re.fullmatch(r"[a-z][a-z0-9_]*", module):
        raise StartError(
            f'"{name}" cannot be the name of a module; use letters, digits and "-" or "_", '
            "the first a letter"
        )
    if keyword.iskeyword(module) or keyword.issoftkeyword(module):
        raise StartError(f'"{name}" is a word of Python; choose another name')
    if module in sys.stdlib_module_names or module in ("pyproxy", "msgspec", "pytest"):
        raise StartError(f'"{name}" would hide the module "{module}"; choose another name')
    return module, "".join(word.capitalize() for word in module.split("_"))


def _filled(text: str, module: str, class_name: str) -> str:
    return text.replace("@MODULE@", module).replace("@CLASS@", class_name)


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StartError(f"{path} cannot be written: {error.strerror}") from None
