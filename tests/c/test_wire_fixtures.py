"""The fixtures of ``tests/data/http1`` and ``tests/data/uri``: input, and what must come of it.

A fixture file is Markdown. A case is a heading of the second level, a line of options in back
quotes, a block of input and a block of the expected trace:

    ## What the case shows

    `request head_bytes=64`

    ```http
    GET / HTTP/1.1\\r\\n
    \\r\\n
    ```

    ```trace
    ...
    ```

In an ``http`` block line ends mean nothing: bytes are written ``\\r \\n \\t \\xHH \\\\``, and
``\\{20:ab}`` is "ab" twenty times. The program ``wire/trace_http1.c`` decodes the input whole, byte
by byte and cut at every place, and fails when that makes a difference. In a ``uri`` block every
line is one case for ``wire/trace_uri.c``. Both programs exist with and without vector code.

``python tests/c/test_wire_fixtures.py FILE...`` writes the present traces into the files: read the
difference before you keep it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))  # for the run as a program

from c.test_c import SANITIZER_ENV, build

TESTS = Path(__file__).resolve().parents[1]
CASE = re.compile(
    r"^## (?P<title>[^\n]+)\n(?P<prose>.*?)^`(?P<options>[^`\n]+)`\n\n"
    r"^```(?P<kind>http|uri)\n(?P<input>.*?)^```\n\n^```trace\n(?P<trace>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
ESCAPE = re.compile(
    rb"\\(?:(?P<named>[rnt\\])|x(?P<hex>[0-9a-f]{2})|\{(?P<count>\d+):(?P<text>[^}]*)\})"
)
NAMED = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}


@dataclass(frozen=True)
class Fixture:
    """One case of a fixture file."""

    path: Path
    title: str
    options: tuple[str, ...]
    kind: str
    input: bytes
    trace: str


def unescape(text: bytes) -> bytes:
    """The bytes that an ``http`` block stands for."""

    def replaced(match: re.Match[bytes]) -> bytes:
        if match["named"]:
            return NAMED[match["named"]]
        if match["hex"]:
            return bytes([int(match["hex"], 16)])
        return unescape(match["text"]) * int(match["count"])

    return ESCAPE.sub(replaced, text)


def fixtures_of(path: Path) -> list[Fixture]:
    """All cases of a file; every heading must have become one."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in CASE.finditer(text):
        block = match["input"].encode()
        data = unescape(block.replace(b"\n", b"")) if match["kind"] == "http" else block
        options = tuple(match["options"].split())
        found.append(Fixture(path, match["title"], options, match["kind"], data, match["trace"]))
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [f.title for f in found] == headings, f"{path}: a case is not of the documented form"
    return found


def trace_of(fixture: Fixture, variant: str = "") -> tuple[int, str]:
    """Exit code and output for one case; ``_portable`` names the program without vectors."""
    name = ("trace_http1" if fixture.kind == "http" else "trace_uri") + variant
    done = subprocess.run(
        [build(TESTS / "c" / "wire" / f"{name}.c"), *fixture.options],
        input=fixture.input,
        capture_output=True,
        env=SANITIZER_ENV,
        timeout=300,
    )
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "backslashreplace")


FILES = sorted([*(TESTS / "data" / "http1").glob("*.md"), *(TESTS / "data" / "uri").glob("*.md")])
FIXTURES = [fixture for path in FILES for fixture in fixtures_of(path)]


def test_there_are_fixtures() -> None:
    """A wrong folder would make this file pass without testing anything."""
    assert {f.path.parent.name for f in FIXTURES} == {"http1", "uri"}


@pytest.mark.parametrize("variant", ["", "_portable"], ids=["vectors", "portable"])
@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda f: f"{f.path.stem}/{f.title}")
def test_fixture(fixture: Fixture, variant: str) -> None:
    code, trace = trace_of(fixture, variant)
    assert trace == fixture.trace
    assert code == 0


def rewrite(path: Path) -> None:
    """Put the present traces into a fixture file."""

    def replaced(match: re.Match[str]) -> str:
        fixture = next(f for f in fixtures if f.title == match["title"])
        code, trace = trace_of(fixture)
        if code != 0:
            sys.exit(f"{path}: {fixture.title}:\n{trace}")
        whole, start = match[0], match.start()
        return whole[: match.start("trace") - start] + trace + whole[match.end("trace") - start :]

    fixtures = fixtures_of(path)
    path.write_text(CASE.sub(replaced, path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        rewrite(Path(argument))
