"""Finding and hiding what clients prove themselves with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyproxy.filters.credentials import (
    KeyedHash,
    arguments,
    challenge,
    cookies,
    same,
    without_argument,
    without_cookie,
)


def test_arguments_are_found_however_they_are_encoded():
    assert arguments("a=1&k=x%20y+z&%6b=2&k", "k") == ["x y z", "2", ""]
    assert arguments("", "k") == []
    assert without_argument("a=1&k=x&b=%6b&%6b=2&c", "k") == "a=1&b=%6b&c"


def test_cookies_are_found_in_all_lines():
    assert cookies(['a=1; k="x"; kk=3', "k=y=z ;b"], "k") == ["x", "y=z"]
    assert without_cookie(["a=1; k=x;", " b=2;k=3"], "k") == "a=1; b=2"
    assert without_cookie(["k=x"], "k") == ""


@given(st.text(alphabet="ak=&%62 +\xe4;\"'", max_size=30))
def test_what_was_hidden_is_not_found(text):
    assert arguments(without_argument(text, "k"), "k") == []
    assert cookies([without_cookie([text], "k")], "k") == []
    assert arguments(without_argument(text, "k"), "a") == arguments(text, "a")
    assert cookies([without_cookie([text], "k")], "a") == cookies([text], "a")


def test_a_hash_belongs_to_its_process():
    one, other = KeyedHash(), KeyedHash()
    assert one("a") == one("a") != one("b")
    assert one("a") != other("a")
    assert one("\udcff\xe4") != b""


@pytest.mark.parametrize(("a", "b", "equal"), [("ä", "ä", True), ("a", "b", False), ("", "", True)])
def test_texts_are_compared_whole(a, b, equal):
    assert same(a, b) is equal


def test_a_challenge_says_how_to_do_better():
    reply = challenge("Bearer", "here", "invalid_token", error="invalid_token")
    assert reply.status == 401
    assert ("www-authenticate", 'Bearer realm="here", error="invalid_token"') in reply.headers
    assert reply.body == b'{"error": "invalid_token"}\n'
