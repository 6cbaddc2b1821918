"""`pyproxy._wire`: the Python faces of the pure C parts."""

import gc
import pickle

import pytest

from pyproxy import _wire
from pyproxy._wire import BodyDecoder, HeadParser, Router, WireError

GOOD = b"POST /a/b?c=d HTTP/1.1\r\nHost: h.example:81\r\nX-One: 1\r\nContent-Length: 4\r\n\r\n"


class TestHeadParser:
    def test_gives_what_the_head_says(self) -> None:
        parser = HeadParser()
        assert parser.feed(GOOD + b"body+")
        assert parser.method == b"POST"
        assert parser.target == b"/a/b?c=d"
        assert (parser.path, parser.query) == (b"/a/b", b"c=d")
        assert parser.authority == b"h.example:81"
        assert parser.minor == 1
        assert parser.fields[1] == (b"X-One", b"1")
        assert (parser.body, parser.content_length) == ("length", 4)
        assert parser.keep_alive is True
        assert parser.rest == b"body+"

    def test_tells_no_query_from_an_empty_one(self) -> None:
        parser = HeadParser()
        parser.feed(b"GET /a? HTTP/1.1\r\nHost: h\r\n\r\n")
        assert parser.query == b""
        parser.reset()
        parser.feed(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
        assert parser.query is None

    def test_takes_any_buffer_and_empty_pieces(self) -> None:
        parser = HeadParser()
        assert not parser.feed(b"")
        assert not parser.feed(bytearray(GOOD[:10]))
        assert not parser.feed(memoryview(GOOD)[10:20])
        assert not parser.feed(b"")
        assert parser.feed(GOOD[20:])
        with pytest.raises(TypeError):
            HeadParser().feed("text")  # type: ignore[arg-type]

    def test_reset_begins_anew_after_anything(self) -> None:
        parser = HeadParser()
        parser.feed(b"GET / HT")
        parser.reset()
        assert parser.feed(GOOD)
        parser.reset()
        with pytest.raises(WireError):
            parser.feed(b"\0")
        parser.reset()
        assert parser.feed(GOOD)

    def test_verdicts_carry_code_name_and_text_and_stay(self) -> None:
        parser = HeadParser()
        for chunk in (b"GET / HTTP/1.1\r\nHost : h\r\n\r\n", b""):
            with pytest.raises(WireError, match="white space before") as caught:
                parser.feed(chunk)
            assert caught.value.name == "space_before_colon"
            assert caught.value.code == -39

    def test_rules_can_be_left_out(self) -> None:
        hostless = b"GET /x HTTP/1.1\r\n\r\n"
        with pytest.raises(WireError):
            HeadParser().feed(hostless)
        parser = HeadParser(rules=False)
        assert parser.feed(hostless)
        assert parser.target == b"/x"

    def test_reads_responses(self) -> None:
        parser = HeadParser(response=True)
        assert parser.feed(b"HTTP/1.0 404 Not here\r\n\r\n")
        assert (parser.status, parser.reason, parser.minor) == (404, b"Not here", 0)
        assert parser.body == "close"

    @pytest.mark.parametrize(
        ("limit", "name"),
        [
            ({"max_head_bytes": 20}, "head_too_large"),
            ({"max_line_bytes": 8}, "line_too_long"),
            ({"max_target_bytes": 4}, "target_too_long"),
            ({"max_fields": 2}, "too_many_fields"),
        ],
    )
    def test_limits(self, limit: dict[str, int], name: str) -> None:
        with pytest.raises(WireError) as caught:
            HeadParser(**limit).feed(GOOD)  # type: ignore[arg-type]
        assert caught.value.name == name

    def test_many_fields_outgrow_the_message(self) -> None:
        fields = [(b"N%d" % i, b"v%d" % i) for i in range(1000)]
        parser = HeadParser(max_fields=2000)
        head = b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(b"%s: %s\r\n" % f for f in fields)
        assert parser.feed(head + b"\r\n")
        assert parser.fields[1:] == fields

    def test_a_field_that_comes_again_is_the_same_pair(self) -> None:
        parser = HeadParser(rules=False)
        given = []
        for target in (b"/1", b"/2"):
            parser.feed(b"GET %s HTTP/1.1\r\nHost: h\r\nX-Own-Name: v\r\n\r\n" % target)
            given.append(parser.fields)
            parser.reset()
        assert given[0] == given[1]
        assert given[0] is not given[1]
        assert all(a is b for a, b in zip(*given, strict=True))

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ((b"Host", b"one"), (b"Host", b"two")),
            ((b"Host", b"same"), (b"hOST", b"same")),
            ((b"X-A", b"same"), (b"X-B", b"same")),
            ((b"X-A", b"long"), (b"X-A", b"longer")),
            ((b"X-A", b"long"), (b"X-A", b"lon")),
            ((b"X-A", b"some"), (b"X-A", b"")),
            ((b"X-A", b""), (b"X-A", b"some")),
            ((b"X-A", b"s" * 400), (b"X-A", b"s" * 5000)),
            ((b"X-A", b"s" * 5000), (b"X-A", b"s" * 4999 + b"t")),
        ],
    )
    def test_a_field_that_comes_again_otherwise_is_read_anew(
        self, before: tuple[bytes, bytes], after: tuple[bytes, bytes]
    ) -> None:
        parser = HeadParser(rules=False)
        for field in (before, after, before):
            parser.feed(b"GET / HTTP/1.1\r\n%s: %s\r\n\r\n" % field)
            assert parser.fields == [field]
            parser.reset()

    def test_fields_outlive_the_parser_and_what_is_done_to_their_list(self) -> None:
        parser = HeadParser()
        parser.feed(GOOD)
        fields = parser.fields
        parser.fields.clear()
        assert parser.fields == fields
        del parser
        gc.collect()
        assert fields[1] == (b"X-One", b"1")

    def test_a_value_that_keeps_changing_is_not_kept(self) -> None:
        parser = HeadParser(rules=False)
        given = []
        for value in [*range(20), 19, 19]:
            parser.feed(b"GET / HTTP/1.1\r\nX-A: %d\r\nX-Other: same\r\n\r\n" % value)
            given.append(parser.fields)
            parser.reset()
        assert [fields[0] for fields in given[:20]] == [(b"X-A", b"%d" % i) for i in range(20)]
        assert given[20] == given[21]
        assert given[20][0] is not given[21][0]
        assert given[20][0][0] is given[21][0][0]
        assert given[20][1] is given[21][1]

    def test_long_fields_are_not_kept(self) -> None:
        parser = HeadParser(rules=False)
        value = b"v" * 10_000
        parser.feed(b"GET / HTTP/1.1\r\nX-A: %s\r\n\r\n" % value)
        first = parser.fields[0]
        assert first == (b"X-A", value)
        assert parser.fields[0] is not first

    def test_order_of_calls_is_checked(self) -> None:
        parser = HeadParser()
        with pytest.raises(RuntimeError):
            _ = parser.method
        parser.feed(GOOD)
        with pytest.raises(RuntimeError):
            parser.feed(GOOD)


class TestBodyDecoder:
    def test_chunked(self) -> None:
        decoder = BodyDecoder("chunked")
        assert decoder.feed(b"3\r\nabc\r\n2\r\nd") == b"abcd"
        before = decoder.done
        assert decoder.feed(b"e\r\n0\r\nX-Sum: 9\r\n\r\nGET") == b"e"
        assert (before, decoder.done) == (False, True)
        assert decoder.rest == b"GET"
        assert decoder.trailers == [(b"X-Sum", b"9")]

    def test_length(self) -> None:
        decoder = BodyDecoder("length", 5)
        assert decoder.feed(b"abc") == b"abc"
        with pytest.raises(WireError) as caught:
            decoder.feed_eof()
        assert caught.value.name == "body_truncated"

    def test_close(self) -> None:
        decoder = BodyDecoder("close")
        assert decoder.feed(b"abc") == b"abc"
        before = decoder.done
        decoder.feed_eof()
        assert (before, decoder.done) == (False, True)

    def test_none_is_done_with_the_first_byte(self) -> None:
        decoder = BodyDecoder("none")
        assert decoder.feed(b"next") == b""
        assert decoder.done
        assert decoder.rest == b"next"

    def test_limit(self) -> None:
        decoder = BodyDecoder("chunked", limit=4)
        with pytest.raises(WireError) as caught:
            decoder.feed(b"5\r\nabcde\r\n")
        assert caught.value.name == "body_too_large"

    def test_wrong_use(self) -> None:
        with pytest.raises(ValueError, match="kind"):
            BodyDecoder("gzip")
        decoder = BodyDecoder("length", 0)
        decoder.feed(b"")
        with pytest.raises(RuntimeError):
            decoder.feed(b"x")


class TestRouter:
    def test_finds_routes_and_captures(self) -> None:
        router = Router()
        router.add(1, "/users/{id}", methods=["GET", "HEAD"])
        router.add(2, "/users/{id}/files/*path", host="*.example.com")
        router.add(3, "/*")
        assert router.find("x.y", "/users/7") == (1, {"id": "7"})
        assert router.find("a.example.com", "/users/7/files/b/c") == (2, {"id": "7", "path": "b/c"})
        assert router.find("x.y", "/users/7", "POST") == (3, {"": "users/7"})
        assert router.find("x.y", "/users/7", "BREW") == (3, {"": "users/7"})

    def test_says_which_methods_would_have_matched(self) -> None:
        router = Router()
        router.add(1, "/a", methods=["GET", "BREW"])
        with pytest.raises(KeyError):
            router.find("", "/b")
        with pytest.raises(WireError) as caught:
            router.find("", "/a", "POST")
        assert caught.value.name == "method_not_allowed"
        assert caught.value.allowed == ("GET", "*")

    def test_routes_may_be_added_after_a_lookup(self) -> None:
        router = Router()
        with pytest.raises(KeyError):
            router.find("", "/a")
        router.add(1, "/a")
        assert router.find("", "/a") == (1, {})
        before = router.nbytes
        router.add(2, "/b")
        router.freeze()
        assert router.find("", "/b") == (2, {})
        assert router.nbytes > before

    def test_bad_routes_are_refused_with_a_sentence(self) -> None:
        router = Router()
        with pytest.raises(WireError, match="no '}' after the name"):
            router.add(1, "/{a")
        with pytest.raises(WireError, match="without port"):
            router.add(1, "/", host="a:80")
        with pytest.raises(ValueError, match="not a method"):
            router.add(1, "/", methods=["A B"])
        with pytest.raises(WireError, match="captures") as caught:
            router.add(1, "".join(f"/{{n{i}}}" for i in range(17)))
        assert caught.value.name == "limit"
        assert router.shadowed() == []

    def test_explain_and_shadowed(self) -> None:
        router = Router()
        router.add(10, "/a/{x}")
        router.add(11, "/a/{y}")
        rows = router.explain("", "/a/b")
        assert [(route, chosen) for route, chosen, _ in rows] == [(10, True), (11, False)]
        assert rows[1][2] == "host any, path /a/{y}, priority 0: not taken, loses by rule 5 (order)"
        assert router.shadowed() == [(1, 0)]


class TestUris:
    def test_normal_path(self) -> None:
        assert _wire.normal_path("/a/./b/../%7ec%c3") == b"/a/~c%C3"
        with pytest.raises(WireError) as caught:
            _wire.normal_path(b"/..")
        assert caught.value.name == "path_above_root"
        with pytest.raises(WireError):
            _wire.normal_path("")
        with pytest.raises(TypeError):
            _wire.normal_path(7)  # type: ignore[arg-type]

    def test_authority(self) -> None:
        assert _wire.parse_authority("[::1]:8080") == ("[::1]", 8080)
        assert _wire.parse_authority(b"a.example") == ("a.example", 0)
        with pytest.raises(WireError):
            _wire.parse_authority("a@b")

    def test_absolute_url(self) -> None:
        assert _wire.split_target("http://h:1/p?q") == ("http", "h:1", "/p", "q")
        assert _wire.split_target("https://h") == ("https", "h", "/", None)
        with pytest.raises(WireError) as caught:
            _wire.split_target("ftp://h/")
        assert caught.value.name == "bad_scheme"


def test_errors_can_be_pickled_and_listed() -> None:
    error = WireError(-35)
    again = pickle.loads(pickle.dumps(error))
    assert (again.code, again.name, str(again)) == (-35, "bare_lf", str(error))
    codes = _wire.error_codes()
    assert (0, "ok", "no error") in codes
    assert len({code for code, _, _ in codes}) == len({name for _, name, _ in codes}) == len(codes)


def test_bench_head_parses_what_it_says() -> None:
    assert _wire._bench_head(GOOD, 10) == 10 * len(GOOD)
    with pytest.raises(WireError):
        _wire._bench_head(b"nonsense\r\n\r\n", 1)
    with pytest.raises(ValueError, match="after the head"):
        _wire._bench_head(GOOD + b"x", 1)
