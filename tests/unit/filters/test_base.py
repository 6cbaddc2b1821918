"""The filter interface without an engine."""

from __future__ import annotations

import msgspec
import pytest

from pyproxy.filters.base import PHASES, Filter, Reply, bound_phases


class Two(Filter):
    class Config(Filter.Config):
        level: int = 3

    def request(self, exchange):
        return None

    async def log(self, exchange):
        return None


def test_only_defined_phases_are_bound() -> None:
    assert list(bound_phases(Two())) == ["request", "log"]
    assert bound_phases(Filter()) == {}


def test_phases_are_bound_in_their_order() -> None:
    every = type("Every", (Filter,), {name: lambda self, *_: None for name in reversed(PHASES)})
    assert tuple(bound_phases(every())) == PHASES


def test_what_is_not_callable_is_no_phase() -> None:
    assert bound_phases(type("Odd", (Filter,), {"request": None})()) == {}


def test_a_filter_has_its_configuration_or_the_defaults() -> None:
    assert Two().config.level == 3
    assert Two(Two.Config(level=5)).config.level == 5


def test_configurations_are_frozen_and_know_their_fields() -> None:
    with pytest.raises(AttributeError):
        Two.Config().level = 1
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"volume": 1}, Two.Config)


@pytest.mark.parametrize("status", [100, 199, 600, 0, -1])
def test_a_reply_has_a_final_status(status) -> None:
    with pytest.raises(ValueError, match=str(status)):
        Reply(status)


def test_headers_of_a_reply_are_pairs() -> None:
    assert Reply(200, {"a": "b"}).headers == [("a", "b")]
    assert Reply(200, [("a", "b"), ("a", "c")]).headers == [("a", "b"), ("a", "c")]
    assert Reply(200).headers == []


def test_text_gets_a_type_and_bytes_do_not() -> None:
    assert Reply(200, body="ü").body == b"\xc3\xbc"
    assert Reply(200, body="ü").headers == [("Content-Type", "text/plain; charset=utf-8")]
    assert Reply(200, {"CONTENT-type": "text/html"}, "x").headers == [("CONTENT-type", "text/html")]
    assert Reply(200, body=b"x").headers == []


def test_a_reply_shows_what_it_is() -> None:
    assert repr(Reply(204, body=b"abc")) == "Reply(204, headers=[], body=<3 bytes>)"
