"""Malformed requests and attempts at request smuggling, over real sockets.

The corpus is ``tests/data/smuggling``. A case is a heading, a line of expectations in back quotes
(the status, or several joined by ``|``; the word in the error body; ``body``: the fault is in the
body, so that the head may have gone on), and a block of input: line ends mean nothing, bytes are
written ``\\r \\n \\t \\xHH \\\\``, and ``\\{20:ab}`` is "ab" twenty times.

Every case is sent three ways: alone, with a request behind it that must never be served, and cut
into single bytes. Each time the answer, the end of the connection and the bytes that reached the
origin are checked.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from testenv import Proxy, running
from testenv.raw import RawOrigin, Wire, dial, fields_of, request, response, same_workers

CORPUS = Path(__file__).resolve().parents[1] / "data" / "smuggling"
CASE = re.compile(
    r"^## (?P<title>[^\n]+)\n\n`(?P<expected>[^`\n]+)`\n\n```http\n(?P<input>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
ESCAPE = re.compile(rb"\\(?:(?P<named>[rnt\\])|x(?P<hex>[0-9a-f]{2})|\{(?P<count>\d+):)")
NAMED = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"\\": b"\\"}
TRICKLE_MOST = 2000  # longer cases are not sent byte by byte
GUARD_SECONDS = 10
SMUGGLED = request("/smuggled", "X-Smuggled: yes")


def unescape(text: bytes) -> bytes:
    """The bytes that an ``http`` block stands for."""
    out, at = bytearray(), 0
    while match := ESCAPE.search(text, at):
        out += text[at : match.start()]
        at = match.end()
        if match["named"]:
            out += NAMED[match["named"]]
        elif match["hex"]:
            out.append(int(match["hex"], 16))
        else:
            end = closing(text, at)
            out += unescape(text[at:end]) * int(match["count"])
            at = end + 1
    return bytes(out + text[at:])


def closing(text: bytes, at: int) -> int:
    """Where the repetition that is open at <at> ends."""
    depth = 1
    while True:
        depth += {b"{": 1, b"}": -1}.get(text[at : at + 1], 0)
        if depth == 0:
            return at
        at += 1


@dataclass(frozen=True)
class Case:
    """One request that must be refused."""

    name: str
    raw: bytes
    statuses: frozenset[int]
    word: str
    in_body: bool


def load(path: Path) -> list[Case]:
    """All cases of a file; every heading must have become one."""
    text = path.read_text(encoding="utf-8")
    cases = []
    for match in CASE.finditer(text):
        statuses, *rest = match["expected"].split()
        raw = unescape(match["input"].replace("\n", "").encode())
        words = [word for word in rest if word != "body"]
        cases.append(
            Case(
                f"{path.stem}: {match['title']}",
                raw,
                frozenset(int(status) for status in statuses.split("|")),
                words[0] if words else "",
                "body" in rest,
            )
        )
    assert len(cases) == text.count("\n## "), path
    return cases


CASES = [case for path in sorted(CORPUS.glob("*.md")) for case in load(path)]


class Recorder:
    """An origin that answers every complete request, and keeps the bytes of every connection."""

    def __init__(self) -> None:
        self.app = RawOrigin()
        self.wires: list[Wire] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                wire = self.app.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self.wires.append(wire)
            threading.Thread(target=self._serve, args=(wire,), daemon=True).start()

    def _serve(self, wire: Wire) -> None:
        try:
            while True:
                head = wire.read_head()
                fields = fields_of(head)
                if "transfer-encoding" in fields:
                    wire.read_chunked()
                else:
                    wire.take(int(fields.get("content-length", "0")))
                wire.completed = getattr(wire, "completed", 0) + 1
                wire.send(response(head.split(b" ")[1]))
        except (OSError, ValueError):
            wire.close()

    def heads(self) -> list[bytes]:
        """First lines of everything that arrived."""
        return [bytes(wire.seen).partition(b"\r\n")[0] for wire in self.wires if wire.seen]

    def forget(self) -> None:
        """Begin anew."""
        self.wires.clear()

    def close(self) -> None:
        self.app.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Proxy, Recorder]]:
    recorder = Recorder()
    with (
        running(f"""
        workers: 1
        listeners: {{web: {{bind: "127.0.0.1:0"}}}}
        upstreams: {{app: {{endpoints: ["{recorder.app.address}"], pool: {{max_idle: 0}}}}}}
        routes: [{{upstream: app}}]
    """) as proxy,
        same_workers(proxy),
    ):
        yield proxy, recorder
    recorder.close()


def check(proxy: Proxy, recorder: Recorder, case: Case, pieces: list[bytes]) -> None:
    recorder.forget()
    with dial(proxy.port()) as client:
        client.sock.settimeout(GUARD_SECONDS)
        for piece in pieces:
            if not client.try_send(piece):
                break
        answer = client.read_to_end()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 "), answer[:200]
    status = int(head.split(b" ")[1])
    assert status in case.statuses, answer
    assert fields_of(head + b"\r\n\r\n")["connection"] == "close"
    assert int(fields_of(head + b"\r\n\r\n")["content-length"]) == len(body), (
        "one answer, then the end"
    )
    error = json.loads(body)
    assert error["status"] == status
    if case.word:
        assert error["error"] == case.word
    # Served by the same worker, so whatever it sent to the origin before has left it by now.
    with dial(proxy.port()) as client:
        client.send(request("/sentinel"))
        client.take_until(b"/sentinel")
    seen = [head for head in recorder.heads() if head != b"GET /sentinel HTTP/1.1"]
    complete = sum(getattr(wire, "completed", 0) for wire in recorder.wires)
    assert complete == 1, "only the sentinel is a whole request"
    if case.in_body:
        assert all(head.startswith(b"POST /attack ") for head in seen)
    else:
        assert seen == []
    for wire in recorder.wires:
        assert b"smuggled" not in wire.seen.lower()


def ids(case: Case) -> str:
    return case.name


def test_the_corpus_is_large() -> None:
    assert len(CASES) >= 120


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_a_malformed_request_is_refused(shared, case) -> None:
    check(*shared, case, [case.raw])


@pytest.mark.parametrize("case", CASES, ids=ids)
def test_what_follows_a_malformed_request_is_never_served(shared, case) -> None:
    check(*shared, case, [case.raw + SMUGGLED])


@pytest.mark.parametrize("case", [case for case in CASES if len(case.raw) <= TRICKLE_MOST], ids=ids)
def test_a_malformed_request_in_single_bytes_is_refused(shared, case) -> None:
    check(*shared, case, [case.raw[i : i + 1] for i in range(len(case.raw))])
