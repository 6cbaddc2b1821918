"""The HTTP/1 parser against what was generated, and against itself at every split of the input."""

from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyproxy._wire import BodyDecoder, HeadParser, WireError

TCHAR = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
VCHAR = "".join(map(chr, range(0x21, 0x7F)))
OWS = st.sampled_from(["", " ", "\t", " \t "])

tokens = st.text(TCHAR, min_size=1, max_size=12)
inner_bytes = st.text(VCHAR + " \t" + "".join(map(chr, range(0x80, 0x100))), max_size=40)
values = inner_bytes.map(lambda text: text.strip(" \t"))
# None of these is read by the rules of framing, so that every generated head is a good one.
framing = {"host", "connection", "content-length", "transfer-encoding", "expect", "upgrade", "te"}
fields = st.tuples(tokens.filter(lambda name: name.lower() not in framing), values)
path_text = st.text("abcXYZ019-._~!$&'()*+,;=:@%/", max_size=30)
targets = st.builds(
    lambda path, query: "/" + path + ("" if query is None else "?" + query),
    path_text,
    st.none() | st.text("abc=&%2F?/", max_size=20),
)


@dataclass(frozen=True)
class Request:
    """A good request head and what it means."""

    method: str
    target: str
    minor: int
    fields: tuple[tuple[str, str], ...]
    wire: bytes


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Heads that every rule accepts."""
    method = draw(tokens.filter(lambda name: name != "CONNECT"))
    target = draw(targets)
    minor = draw(st.sampled_from([0, 1]))
    listed = [("Host", "h.example"), *draw(st.lists(fields, max_size=40))]
    wire = draw(st.sampled_from(["", "\r\n"])) + f"{method} {target} HTTP/1.{minor}\r\n"
    for name, value in listed:
        wire += f"{name}:{draw(OWS)}{value}{draw(OWS)}\r\n"
    return Request(method, target, minor, tuple(listed), (wire + "\r\n").encode("latin-1"))


Outcome = tuple[object, ...]


def outcome_of(parser: HeadParser) -> Outcome:
    return (
        parser.method,
        parser.target,
        parser.path,
        parser.query,
        parser.authority,
        parser.status,
        parser.reason,
        parser.minor,
        parser.fields,
        parser.body,
        parser.content_length,
        parser.keep_alive,
    )


def parse(pieces: list[bytes], *, response: bool = False, **limits: int) -> Outcome:
    """A head and all bytes behind it, a verdict, or a wish for more."""
    parser = HeadParser(response=response, **limits)  # type: ignore[arg-type]
    for i, piece in enumerate(pieces):
        try:
            if parser.feed(piece):
                return ("head", *outcome_of(parser), parser.rest + b"".join(pieces[i + 1 :]))
        except WireError as error:
            return ("verdict", error.name)
    return ("more",)


def splits(wire: bytes) -> list[list[bytes]]:
    """Byte by byte, and in two at every place."""
    return [
        [wire[i : i + 1] for i in range(len(wire))],
        *([wire[:i], wire[i:]] for i in range(len(wire) + 1)),
    ]


@settings(max_examples=200, deadline=None)
@given(requests())
def test_a_good_head_means_what_was_written(request: Request) -> None:
    parser = HeadParser()
    assert parser.feed(request.wire + b"behind")
    assert parser.method == request.method.encode()
    assert parser.target == request.target.encode()
    path, mark, query = request.target.partition("?")
    assert parser.path == path.encode()
    assert parser.query == (query.encode() if mark else None)
    assert parser.minor == request.minor
    assert parser.authority == b"h.example"
    assert parser.rest == b"behind"
    assert parser.fields == [
        (name.encode("latin-1"), value.encode("latin-1")) for name, value in request.fields
    ]


@settings(max_examples=30, deadline=None)
@given(requests(), st.binary(max_size=5))
def test_splits_of_good_heads_change_nothing(request: Request, behind: bytes) -> None:
    wire = request.wire + behind
    whole = parse([wire])
    assert whole[0] == "head"
    for pieces in splits(wire):
        assert parse(pieces) == whole


# Few names and values, so that heads share some and differ in some.
few_fields = st.tuples(
    st.sampled_from(["Host", "host", "Accept", "X-Aa", "X-Ab", "Abcdefghijklmnopqrst"]),
    st.sampled_from(["", "a", "b", "ab", "a" * 600, "b" * 600]),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(few_fields, max_size=6), max_size=6))
def test_a_used_parser_reads_what_a_new_one_reads(heads: list[list[tuple[str, str]]]) -> None:
    parser = HeadParser(rules=False)
    for head in heads:
        lines = "".join(f"{name}: {value}\r\n" for name, value in head)
        assert parser.feed(f"GET / HTTP/1.1\r\n{lines}\r\n".encode())
        assert parser.fields == [(name.encode(), value.encode()) for name, value in head]
        parser.reset()


ugly = [b"\r", b"\n", b"\r\n", b"\0", b" ", b":", b"\x7f", b"\xff", b"HTTP/1.1", b"0", b",", b"\t"]
hostile_lines = [
    b"Host: other\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: +5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b" folded\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b": nameless\r\n",
    b"Bare: a\nb\r\n",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good head with a few things done to it."""
    wire = draw(requests()).wire
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(wire)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            wire = wire[:at] + draw(st.sampled_from(ugly)) + wire[at:]
        elif kind == 1:
            wire = wire[:at] + wire[at + draw(st.integers(1, 4)) :]
        elif kind == 2:
            wire = wire[:at] + draw(st.binary(min_size=1, max_size=1)) + wire[at + 1 :]
        else:
            line = wire.find(b"\r\n", at) + 2
            wire = wire[:line] + draw(st.sampled_from(hostile_lines)) + wire[line:]
    return wire


@settings(max_examples=60, deadline=None)
@given(mutated())
@example(b"GET / HTTP/1.1\r\nHost: a\r\n\n")
def test_splits_of_bad_heads_change_no_verdict(wire: bytes) -> None:
    whole = parse([wire])
    for pieces in splits(wire):
        assert parse(pieces) == whole, pieces


@settings(max_examples=60, deadline=None)
@given(requests(), st.integers(1, 300), st.integers(1, 60), st.integers(1, 20), st.integers(0, 10))
def test_splits_change_no_limit(
    request: Request, head: int, line: int, target: int, n: int
) -> None:
    limits = {
        "max_head_bytes": head,
        "max_line_bytes": line,
        "max_target_bytes": target,
        "max_fields": n,
    }
    whole = parse([request.wire], **limits)  # type: ignore[arg-type]
    for pieces in splits(request.wire):
        assert parse(pieces, **limits) == whole, pieces  # type: ignore[arg-type]


responses = st.builds(
    lambda minor, status, reason, length: (
        f"HTTP/1.{minor} {status} {reason}\r\nContent-Length: {length}\r\n\r\n".encode("latin-1")
    ),
    st.sampled_from([0, 1]),
    st.integers(200, 599).filter(lambda status: status not in {204, 304}),
    inner_bytes.map(str.strip),
    st.integers(0, 10**9),
)


@settings(max_examples=60, deadline=None)
@given(responses)
def test_splits_of_responses_change_nothing(wire: bytes) -> None:
    whole = parse([wire], response=True)
    assert whole[0] == "head"
    for pieces in splits(wire):
        assert parse(pieces, response=True) == whole


def decode(pieces: list[bytes], kind: str, length: int = 0, limit: int = -1) -> Outcome:
    """Body bytes with all that stands behind them, a verdict, or a wish for more."""
    decoder = BodyDecoder(kind, length, limit=limit)
    body = b""
    for i, piece in enumerate(pieces):
        try:
            body += decoder.feed(piece)
        except WireError as error:
            return ("verdict", error.name)
        if decoder.done:
            return ("body", body, decoder.trailers, decoder.rest + b"".join(pieces[i + 1 :]))
    return ("more", body)


@st.composite
def chunked(draw: st.DrawFn) -> tuple[bytes, bytes, list[tuple[bytes, bytes]]]:
    """(wire form, body, trailers)."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=6))
    wire = b""
    for chunk in chunks:
        size = draw(st.sampled_from(["%x", "%X", "0%x"])) % len(chunk)
        extension = draw(st.sampled_from(["", ";a", ";a=b", ';a="q;\\"x"', ";a=1;b"]))
        wire += f"{size}{extension}\r\n".encode() + chunk + b"\r\n"
    trailers = draw(st.lists(st.tuples(st.just("X-Sum"), values), max_size=3))
    wire += b"0\r\n" + "".join(f"{n}: {v}\r\n" for n, v in trailers).encode("latin-1") + b"\r\n"
    return (
        wire,
        b"".join(chunks),
        [(name.encode(), value.encode("latin-1")) for name, value in trailers],
    )


@settings(max_examples=60, deadline=None)
@given(chunked(), st.binary(max_size=5))
def test_chunked_bodies_come_out_at_every_split(
    case: tuple[bytes, bytes, list[tuple[bytes, bytes]]], behind: bytes
) -> None:
    wire, body, trailers = case
    for pieces in [[wire + behind], *splits(wire + behind)]:
        assert decode(pieces, "chunked") == ("body", body, trailers, behind)


@settings(max_examples=100, deadline=None)
@given(chunked(), st.data())
def test_splits_of_bad_chunked_bodies_change_no_verdict(
    case: tuple[bytes, bytes, list[tuple[bytes, bytes]]], data: st.DataObject
) -> None:
    wire = case[0]
    at = data.draw(st.integers(0, len(wire)))
    piece = data.draw(st.sampled_from([*ugly, b";", b'"', b"ffffffffffffffff"]))
    wire = wire[:at] + piece + wire[at:]
    limit = data.draw(st.sampled_from([-1, 10]))
    whole = decode([wire], "chunked", limit=limit)
    for pieces in splits(wire):
        assert decode(pieces, "chunked", limit=limit) == whole, pieces


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(0, 50))
def test_bodies_by_length_end_where_they_should(wire: bytes, length: int) -> None:
    for pieces in [[wire], *splits(wire)]:
        outcome = decode(pieces, "length", length)
        if length and len(wire) < length:
            assert outcome == ("more", wire)
        elif pieces:
            assert outcome == ("body", wire[:length], [], wire[length:])
