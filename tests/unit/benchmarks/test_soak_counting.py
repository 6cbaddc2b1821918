"""What the soak counts: requests, bytes, counters, sockets, descriptors."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.soak import binding, growing, killing, load, session
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.monotone import MOVED, Monotone, Scraper, busy, samples, total
from benchmarks.soak.posts import Messages
from benchmarks.soak.stream import Receiver, piece
from benchmarks.soak.tunnels import Style, style_of

# ---- numbered requests


def kept(**sent: str) -> dict[str, int]:
    """What a ledger counts after requests that were answered ("a") and seen ("s"), or neither."""
    ledger = Ledger()
    for what in sent.values():
        number = ledger.send()
        for letter in what:
            {"a": ledger.answer, "s": ledger.see}[letter](number)
    return {name: n for name, n in ledger.counts().items() if n}


def test_a_request_that_was_answered_and_seen_once_is_all_right() -> None:
    assert kept(one="sa", two="as") == {}


@pytest.mark.parametrize("what", ["", "s", "a"])
def test_without_an_answer_or_unknown_to_the_origin_it_is_lost(what: str) -> None:
    assert kept(one="sa", two=what) == {"lost": 1}


def test_seen_twice_it_is_doubled() -> None:
    assert kept(one="ssa") == {"doubled": 1}


def test_notes_do_not_grow_for_ever() -> None:
    ledger = Ledger()
    for number in range(100):
        ledger.note(str(number))
    assert ledger.notes[0] == "0"
    assert len(ledger.notes) < 100


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_messages_are_cut_wherever_they_are_split(size: int) -> None:
    raw = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc" * 2
    messages = Messages()
    found = [m for i in range(0, len(raw), size) for m in messages.feed(raw[i : i + size])]
    assert [body for _, body in found] == [b"abc", b"abc"]
    assert found[0][0].startswith(b"POST / ")


# ---- numbered bytes


@pytest.mark.parametrize("start", [0, 1, 7, 8, 13])
def test_a_piece_of_a_stream_is_the_same_however_it_is_cut(start: int) -> None:
    assert piece(5, start, 40) == piece(5, 0, 60)[start : start + 40]
    assert piece(5, start, 0) == b""


def test_streams_differ() -> None:
    assert piece(1, 0, 16) != piece(2, 0, 16)


def test_a_receiver_notices_what_is_missing_or_foreign() -> None:
    receiver = Receiver(3)
    receiver.feed(piece(3, 0, 10))
    receiver.feed(piece(3, 10, 90))
    assert (receiver.received, receiver.wrong) == (100, 0)
    receiver.feed(piece(3, 108, 80))  # 8 bytes were left out
    assert receiver.wrong > 0


def test_every_style_of_tunnel_is_there() -> None:
    assert {style_of(number) for number in range(10)} == set(Style)


# ---- counters

PAGE = """# HELP pyproxy_requests_total Requests.
# TYPE pyproxy_requests_total counter
pyproxy_requests_total{{route="a b"}} {requests}
# TYPE pyproxy_seconds histogram
pyproxy_seconds_bucket{{le="1"}} {bucket}
pyproxy_seconds_sum {bucket}.5
pyproxy_seconds_count {bucket}
# TYPE pyproxy_connections_active gauge
pyproxy_connections_active{{listener="web"}} {active}
# TYPE pyproxy_connections_moved_total counter
pyproxy_connections_moved_total{{listener="web",direction="in"}} 5
pyproxy_connections_moved_total{{listener="web",direction="out"}} 7
"""


def page(requests: int = 1, bucket: int = 1, active: int = 0) -> str:
    return PAGE.format(requests=requests, bucket=bucket, active=active)


def test_gauges_are_no_counters() -> None:
    found = samples(page())
    assert found['pyproxy_requests_total{route="a b"}'] == 1
    assert found['pyproxy_seconds_bucket{le="1"}'] == 1
    assert not any("active" in series for series in found)


def test_what_is_going_on_is_told() -> None:
    assert busy(page()) == []
    assert busy(page(active=3)) == ['pyproxy_connections_active{listener="web"} 3']


def test_samples_of_some_labels_add_up() -> None:
    assert total(page(), MOVED) == 5


def test_counters_that_fall_or_vanish_are_found() -> None:
    seen = Monotone()
    for text in (page(1), page(2), page(2, bucket=3)):
        seen.feed(text)
    assert (seen.fallen, seen.vanished, seen.pages) == ([], [], 3)
    seen.feed(page(1, bucket=2))
    assert len(seen.fallen) == 4
    assert seen.fallen[0] == 'pyproxy_requests_total{route="a b"}: 2 -> 1'
    seen.feed("")
    assert len(seen.vanished) == seen_series(page())


def seen_series(text: str) -> int:
    return len(samples(text))


def test_a_scraper_waits_for_rest_and_counts_what_fails() -> None:
    pages = iter([page(active=1), page(active=1), page()])

    def read() -> str:
        try:
            return next(pages)
        except StopIteration:
            raise OSError("no more") from None

    scraper = Scraper(read, pause=0.001)
    scraper.end()
    assert scraper.busy == []
    assert scraper.seen.pages + len(scraper.failed) >= 3


# ---- what the generator says

ERRORS = dict.fromkeys(
    ("refused", "connect", "reset", "closed", "status", "length", "parse", "timeout"), 0
)


def test_every_error_of_the_generator_is_counted_somewhere() -> None:
    for kind in ERRORS:
        assert sum(load.failed({"errors": {**ERRORS, kind: 3}}).values()) == 3


def test_only_what_no_dead_worker_had_in_hand_is_lost() -> None:
    failures = [{"from": "127.0.1.1:1", "kind": "reset"}, {"from": "127.0.1.2:2", "kind": "closed"}]
    report = {"errors": {**ERRORS, "reset": 1, "closed": 1, "timeout": 2}, "failures": failures}
    found = killing.tally(failures[1:], report)
    assert {kind: n for kind, n in found.items() if n} == {"closed": 1, "timeout": 2}


def test_failures_without_an_address_are_lost() -> None:
    report = {"errors": {**ERRORS, "reset": 5}, "failures": [{"from": "127.0.1.1:1"}] * 3}
    assert killing.tally([], report)["closed"] == 2


# ---- sockets and processes

TCP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0
   1: 0100007F:1F90 0201007F:C350 01 00000000:00000000 00:00000000 00000000     0        0 101 1 0
   2: 0100007F:1F90 0301007F:C351 01 00000000:00000000 00:00000000 00000000     0        0 0 1 0
   3: 0201007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000     0        0 102 1 0
"""
UNIX = """Num       RefCount Protocol Flags    Type St Inode Path
0000000000c55866: 00000002 00000000 00010000 0001 01 200 /run/a b.sock
0000000000c55867: 00000003 00000000 00000000 0001 03 201 /run/a b.sock
0000000000c55868: 00000003 00000000 00000000 0001 03 202
"""


def test_only_listening_sockets_are_listed() -> None:
    assert session.parse_listening(TCP, "tcp") == {100: "tcp 0100007F:1F90"}
    assert session.parse_listening_unix(UNIX) == {200: "unix /run/a b.sock"}


def test_clients_of_accepted_connections_are_named_as_they_name_themselves() -> None:
    assert session.parse_peers(TCP, 8080) == {101: "127.0.1.2:50000"}


def test_a_member_of_a_session() -> None:
    text = "17 (pyproxy-w0 (x)) S 1 17 16 0 -1"
    assert session.parse_member(text) == session.Member(17, "pyproxy-w0 (x)", "S", 16)
    with pytest.raises(ValueError, match="stat line"):
        session.parse_member("17 (x")


def test_sockets_that_are_missing_or_new_are_counted_each() -> None:
    before = {"tcp a": {1, 2}, "tcp b": {3}}
    assert sum(binding.compare(before, before)[0].values()) == 0
    counts, notes = binding.compare(before, {"tcp a": {1, 9}})
    assert counts == {"missing sockets": 2, "wrong sockets": 1}
    assert len(notes) == 3


def test_descriptors_count_exactly_and_memory_with_a_tolerance() -> None:
    mib = 1 << 20
    base = growing.Tree(3, Counter({"w socket": 5, "w pipe": 2}), 100 * mib)
    more = growing.Tree(3, Counter({"w socket": 6, "w pipe": 2}), 109 * mib)
    counts, notes = growing.compare(base, more)
    assert counts == {
        "processes above base": 0,
        "descriptors above base": 1,
        "KiB above base + 10 %": 0,
    }
    assert notes == ("1 more: w socket",)
    worse, _ = growing.compare(base, growing.Tree(4, base.descriptors, 111 * mib))
    assert worse["processes above base"] == 1
    assert worse["KiB above base + 10 %"] == 1024
