"""Our request parser against httptools (llhttp), on generated and on mutated heads.

Two claims. A head that we accept is accepted by httptools, with equal fields: otherwise what stands
behind us could read another request than we did. A head that httptools accepts and we refuse falls
under a rule of ours that is named here.
"""

from dataclasses import dataclass, field

import httptools
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyproxy._wire import HeadParser, WireError

# Methods that llhttp knows; it refuses all others, while RFC 9110 section 9.1 allows any token.
METHODS = (
    "GET HEAD POST PUT DELETE OPTIONS TRACE PATCH PROPFIND REPORT PURGE MKCOL COPY LOCK SEARCH"
).split()

# Where we are stricter than llhttp: the rule, why, and a head that only llhttp takes.
STRICTER: dict[str, tuple[str, bytes]] = {
    "bad_content_length": (
        "lengths up to 2**63 - 1, so that sums of lengths fit",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775808\r\n\r\n",
    ),
    "bad_transfer_encoding": (
        "RFC 9112 section 6.1: no coding in HTTP/1.0; none that we do not undo",
        b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    ),
    "host_missing": ("RFC 9112 section 3.2", b"GET / HTTP/1.1\r\n\r\n"),
    "host_duplicate": (
        "RFC 9112 section 3.2",
        b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    ),
    "bad_host": ("RFC 9112 section 3.2", b"GET / HTTP/1.1\r\nHost: h/x\r\n\r\n"),
    "host_mismatch": (
        "the authority of the target and Host say the same",
        b"GET http://a/ HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    "bad_target": (
        "one of the four forms of RFC 9112 section 3.2, and no fragment",
        b"GET /#a HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    "bad_version": ("HTTP/1.0 and 1.1, after one space", b"GET / HTTP/2.0\r\nHost: h\r\n\r\n"),
    "bad_scheme": ("http and https only", b"GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
    "bad_authority": (
        "RFC 9110 section 4.2.4: no user information",
        b"GET http://u@h/ HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    "bad_expect": (
        "RFC 9110 section 10.1.1: 100-continue only",
        b"GET / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n",
    ),
    "bad_connection": (
        "RFC 9110 section 7.6.1: a list of tokens",
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: a b\r\n\r\n",
    ),
    "bad_upgrade": (
        "RFC 9110 section 7.8: a list of protocols",
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: a b\r\n\r\n",
    ),
    "bare_lf": (
        "RFC 9112 section 2.2 allows CRLF before a request, not LF",
        b"\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
    ),
    "bare_cr": ("nor CR", b"\rGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
    "bad_method": ("nor CRLF twice", b"\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
}


@dataclass
class Seen:
    """A protocol for httptools that notes everything."""

    target: bytes = b""
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    complete: bool = False
    messages: int = 0

    def on_message_begin(self) -> None:
        self.messages += 1

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # httptools leaves white space behind a value in; RFC 9112 section 5: it is none of it.
        self.fields.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


@dataclass(frozen=True)
class Head:
    """What one parser made of the bytes; `refusal` is empty when it took them as one head."""

    refusal: str
    method: bytes = b""
    target: bytes = b""
    minor: int = 0
    fields: tuple[tuple[bytes, bytes], ...] = ()
    keep_alive: bool = False


def ours(wire: bytes) -> Head:
    parser = HeadParser()
    try:
        if not parser.feed(wire):
            return Head("more")
    except WireError as error:
        return Head(error.name)
    if parser.rest:
        return Head("rest")
    fields = tuple(parser.fields)
    return Head("", parser.method, parser.target, parser.minor, fields, parser.keep_alive)


def theirs(wire: bytes) -> Head:
    seen = Seen()
    parser = httptools.HttpRequestParser(seen)
    try:
        parser.feed_data(wire)
    except httptools.HttpParserUpgrade:
        pass  # CONNECT and Upgrade: the head was read, and what follows is no HTTP
    except httptools.HttpParserError as error:
        if not seen.complete:
            return Head(type(error).__name__)
    if not seen.complete:
        return Head("more")
    minor = int(parser.get_http_version().partition(".")[2])
    fields = tuple(seen.fields)
    return Head("", parser.get_method(), seen.target, minor, fields, parser.should_keep_alive())


def check_ours_is_theirs(wire: bytes) -> None:
    mine = ours(wire)
    if mine.refusal or mine.method.decode() not in (*METHODS, "CONNECT"):
        return
    other = theirs(wire)
    assert other.refusal == "", mine
    assert (mine.method, mine.target, mine.minor) == (other.method, other.target, other.minor)
    assert mine.fields == other.fields


def check_theirs_is_ours(wire: bytes) -> str:
    """The rule by which we refuse what httptools takes, or ""."""
    other = theirs(wire)
    mine = ours(wire)
    if other.refusal or mine.refusal in {"", "rest"}:
        return ""
    assert mine.refusal in STRICTER, (mine.refusal, other)
    return mine.refusal


TCHAR = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
VCHAR = "".join(map(chr, range(0x21, 0x7F)))
OBS_TEXT = "".join(map(chr, range(0x80, 0x100)))
OWS = st.sampled_from(["", " ", "\t", "  "])
framing_fields = st.sampled_from(
    [
        ("Connection", "close"),
        ("Connection", "keep-alive"),
        ("Connection", "X-A, close"),
        ("Content-Length", "0"),
        ("Content-Length", "17"),
        ("Content-Length", "007"),
        ("Transfer-Encoding", "chunked"),
        ("Transfer-Encoding", "Chunked"),
        ("Expect", "100-continue"),
        ("TE", "trailers"),
    ]
)
plain_fields = st.tuples(
    st.text(TCHAR, min_size=1, max_size=12),
    st.text(VCHAR + OBS_TEXT + " \t", max_size=40).map(lambda text: text.strip(" \t")),
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    method = draw(st.sampled_from(METHODS))
    target = draw(
        st.sampled_from(["/", "/a?b=c", "http://h.example/x", "http://h.example?q"])
        | st.text(VCHAR.replace("#", ""), max_size=30).map(lambda text: "/" + text)
    )
    minor = draw(st.sampled_from([0, 1]))
    wire = draw(st.sampled_from(["", "", "\r\n"])) + f"{method} {target} HTTP/1.{minor}\r\n"
    fields = [("Host", "h.example"), *draw(st.lists(plain_fields | framing_fields, max_size=12))]
    for name, value in fields:
        wire += f"{name}:{draw(OWS)}{value}{draw(OWS)}\r\n"
    return (wire + "\r\n").encode("latin-1")


PIECES = [
    *(bytes([byte]) for byte in [*range(0x21), 0x7F, 0x80, 0xFF]),
    *(b":", b"::", b",", b"  ", b"\r\n", b"\r\n ", b"\n\n", b"\r\r\n", b"HTTP/1.1", b"HTTP/2.0"),
    b"Content-Length: 1\r\n",
    b"Content-Length: +1\r\n",
    b"Content-Length: 1, 1\r\n",
    b"Content-Length:\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding\r\n",
    b"X: \r\n y\r\n",
    b"X:\0\r\n",
    b"Host: other\r\n",
    b"Upgrade: websocket\r\nConnection: upgrade\r\n",
    b"CONNECT h.example:1 HTTP/1.1\r\n",
    b"GET * HTTP/1.1\r\n",
    b"OPTIONS * HTTP/1.1\r\n",
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    wire = draw(heads())
    for _ in range(draw(st.integers(1, 4))):
        line_starts = [0, *(i + 2 for i in range(len(wire)) if wire.startswith(b"\r\n", i))]
        at = draw(st.sampled_from(line_starts) | st.integers(0, len(wire)))
        kind = draw(st.integers(0, 2))
        if kind == 0:
            wire = wire[:at] + draw(st.sampled_from(PIECES)) + wire[at:]
        elif kind == 1:
            wire = wire[:at] + wire[at + draw(st.integers(1, 8)) :]
        else:
            wire = wire[:at] + draw(st.binary(min_size=1, max_size=2)) + wire[at + 1 :]
    return wire


@settings(max_examples=500, deadline=None)
@given(heads())
def test_generated_heads_mean_the_same_to_both(wire: bytes) -> None:
    check_ours_is_theirs(wire)
    check_theirs_is_ours(wire)


@settings(max_examples=1500, deadline=None)
@given(mutated())
@example(b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
@example(b"CONNECT h.example:443 HTTP/1.1\r\nHost: h.example:443\r\n\r\n")
@example(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\nX:\r\n\r\n")
@example(b"GET / HTTP/1.1\r\nHost: h\r\nX: a\x80b\r\n\r\n")
def test_what_we_accept_of_mutated_heads_means_the_same_to_both(wire: bytes) -> None:
    check_ours_is_theirs(wire)


@settings(max_examples=1500, deadline=None)
@given(mutated())
def test_what_only_httptools_accepts_falls_under_a_named_rule(wire: bytes) -> None:
    check_theirs_is_ours(wire)


@pytest.mark.parametrize("rule", STRICTER)
def test_every_named_rule_has_a_head_that_only_httptools_accepts(rule: str) -> None:
    assert check_theirs_is_ours(STRICTER[rule][1]) == rule


# Without this the tests above could pass because everything is refused.
def test_both_accept_and_both_refuse() -> None:
    good = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    assert ours(good).refusal == theirs(good).refusal == ""
    for bad in (
        b"GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: \x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
    ):
        assert ours(bad).refusal
        assert theirs(bad).refusal
