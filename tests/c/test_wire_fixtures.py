"""The fixtures of ``tests/data/http1``, ``http2``, ``uri``: input, and what must come of it.

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

In an ``http2`` block every line is a frame for ``wire/trace_http2.c``: type, flags, stream, and
payload, made of "text", of bytes in hexadecimal, and of {fields: as literals without a table}.
The preface comes before it, where the options say ``server``.

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
    r"^```(?P<kind>http2|http|uri)\n(?P<input>.*?)^```\n\n^```trace\n(?P<trace>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
ESCAPE = re.compile(
    rb"\\(?:(?P<named>[rnt\\])|x(?P<hex>[0-9a-f]{2})|\{(?P<count>\d+):(?P<text>[^}]*)\})"
)
FRAME_TYPES = (
    *("DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY"),
    *("WINDOW_UPDATE", "CONTINUATION"),
)
FRAME_FLAGS = {"end_stream": 1, "ack": 1, "end_headers": 4, "padded": 8, "priority": 0x20}
PAYLOAD = re.compile(
    r'"(?P<text>[^"]*)"|\{(?P<name>:?[^:]*): ?(?P<value>[^}]*)\}|(?P<hex>[0-9a-f]+)'
)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"
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


def frame(line: str) -> bytes:
    """The frame that a line of an ``http2`` block stands for."""
    head, _, rest = line.partition(" : ")
    kind, *flags, stream = head.split()
    number = FRAME_TYPES.index(kind) if kind in FRAME_TYPES else int(kind, 16)
    payload = b""
    for match in PAYLOAD.finditer(rest):
        if match["hex"]:
            payload += bytes.fromhex(match["hex"])
        elif match["text"] is not None:
            payload += match["text"].encode()
        else:
            name, value = match["name"].encode(), match["value"].encode()
            payload += b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value
    bits = sum(FRAME_FLAGS[flag] for flag in flags)
    head_bytes = len(payload).to_bytes(3, "big") + bytes([number, bits])
    return head_bytes + int(stream).to_bytes(4, "big") + payload


def input_of(kind: str, block: str, options: tuple[str, ...]) -> bytes:
    """The bytes that a block of that kind stands for."""
    if kind == "http":
        return unescape(block.replace("\n", "").encode())
    if kind == "http2":
        start = PREFACE if options[0] == "server" else b""
        return start + b"".join(frame(line) for line in block.splitlines())
    return block.encode()


def fixtures_of(path: Path) -> list[Fixture]:
    """All cases of a file; every heading must have become one."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in CASE.finditer(text):
        options = tuple(match["options"].split())
        data = input_of(match["kind"], match["input"], options)
        found.append(Fixture(path, match["title"], options, match["kind"], data, match["trace"]))
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [f.title for f in found] == headings, f"{path}: a case is not of the documented form"
    return found


def trace_of(fixture: Fixture, variant: str = "") -> tuple[int, str]:
    """Exit code and output for one case; ``_portable`` names the program without vectors."""
    name = {"http": "trace_http1", "http2": "trace_http2", "uri": "trace_uri"}[fixture.kind]
    name += variant
    done = subprocess.run(
        [build(TESTS / "c" / "wire" / f"{name}.c"), *fixture.options],
        input=fixture.input,
        capture_output=True,
        env=SANITIZER_ENV,
        timeout=300,
    )
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "backslashreplace")


FOLDERS = {"http1", "http2", "uri"}
FILES = sorted(path for name in FOLDERS for path in (TESTS / "data" / name).glob("*.md"))
FIXTURES = [fixture for path in FILES for fixture in fixtures_of(path)]


def test_there_are_fixtures() -> None:
    """A wrong folder would make this file pass without testing anything."""
    assert {f.path.parent.name for f in FIXTURES} == FOLDERS


# Both programs, with vectors and portable; the one for HTTP/2 has no vectors of its own.
RUNS = [
    pytest.param(fixture, variant, id=f"{fixture.path.stem}/{fixture.title}{variant}")
    for fixture in FIXTURES
    for variant in (("",) if fixture.kind == "http2" else ("", "_portable"))
]


@pytest.mark.parametrize(("fixture", "variant"), RUNS)
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
