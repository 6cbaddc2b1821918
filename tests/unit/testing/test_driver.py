"""`drive`: the engine shows an exchange to filters, and what they did is told."""

from __future__ import annotations

import asyncio

import pytest

from pyproxy import Exchange, Filter, Reply
from pyproxy.errors import ConfigError
from pyproxy.filters.base import PHASES
from pyproxy.testing import Answer, Driver, OriginRequest, drive


class Everything(Filter):
    """Defines every phase and does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []


def _phase(name: str):
    def method(self, exchange, *args):
        self.seen.append(type(exchange))

    method.__name__ = name
    return method


for _name in PHASES:
    setattr(Everything, _name, _phase(_name))


def test_the_phases_are_called_by_the_engine_itself() -> None:
    everything = Everything()
    done = drive(everything, method="POST", body=b"abc")
    assert list(dict.fromkeys(done.phases)) == [
        "early_request",
        "request",
        "upstream_peer",
        "connected",
        "upstream_request",
        "request_body",
        "upstream_response",
        "response",
        "response_body",
        "log",
    ]
    assert set(everything.seen) == {Exchange}
    assert (done.status, done.text) == (200, "hello\n")
    assert b"".join(done.request_pieces) == b"abc"
    assert b"".join(done.response_pieces) == b"hello\n"


class Tag(Filter):
    class Config(Filter.Config):
        name: str = "x-tag"

    def request(self, exchange):
        del exchange.request.headers["x-old"]
        exchange.request.headers["x-tag"] = exchange.request.headers.get("x-user", "-")
        exchange.state["tagged"] = True

    def response(self, exchange):
        exchange.response.headers.add("set-cookie", "a=1")
        exchange.response.status = 203


def test_changes_are_told() -> None:
    done = drive(
        Tag(),
        headers=[("x-user", "ann"), ("x-old", "1")],
        upstream=Reply(201, {"set-cookie": "b=2"}, "made"),
    )
    request, response = done.calls
    assert (request.filter, request.phase, request.returned) == ("Tag", "request", None)
    assert request.request_headers == {"x-old": [], "x-tag": ["ann"]}
    assert response.response_headers == {"set-cookie": ["b=2", "a=1"]}
    assert done.sent is not None
    assert done.sent.headers["X-Tag"] == "ann"
    assert "x-old" not in done.sent.headers
    assert (done.status, done.upstream_status, done.text) == (203, 201, "made")
    assert done.headers.get_all("set-cookie") == ["b=2", "a=1"]
    assert done.state == {"tagged": True}
    assert (done.route, done.fault, done.attempts) == ("test", None, 1)


def test_a_reply_is_the_verdict() -> None:
    class Guard(Filter):
        def request(self, exchange):
            return Reply(403, body="no\n")

    done = drive(Guard())
    assert done.reply is not None
    assert (done.reply.status, done.status, done.text) == (403, 403, "no\n")
    assert done.sent is None


def test_async_phases_are_awaited() -> None:
    class Slow(Filter):
        async def request(self, exchange):
            await asyncio.sleep(0)
            exchange.request.headers["x-slow"] = "1"

        async def response_body(self, exchange, chunk, last):
            await asyncio.sleep(0)
            return chunk.upper()

    done = drive(Slow(), upstream="abc")
    assert done.calls[0].request_headers == {"x-slow": ["1"]}
    assert done.text == "ABC"
    assert b"".join(done.response_pieces) == b"ABC"


def test_a_phase_that_takes_too_long_is_cut_off_as_in_production() -> None:
    class Never(Filter):
        async def request(self, exchange):
            await asyncio.sleep(3600)

    done = drive(Never(), timeout=0.01)
    assert (done.status, done.fault) == (500, "filter_timeout")


def test_the_chosen_peer_is_told_and_the_scripted_origin_asked() -> None:
    class Pick(Filter):
        def upstream_peer(self, exchange):
            return "192.0.2.1:80"

    done = drive(Pick(), upstream="here")
    assert (done.peer, done.text) == ("192.0.2.1:80", "here")


def test_nobody_may_be_there() -> None:
    class Page(Filter):
        def connect_failed(self, exchange):
            exchange.state["failed"] = exchange.fault

        def proxy_error(self, exchange):
            return Reply(502, body=f"sorry: {exchange.fault}\n")

    done = drive(Page(), upstream=None)
    assert (done.status, done.text) == (502, "sorry: connect_refused\n")
    assert done.state == {"failed": "connect_refused"}
    assert (done.sent, done.fault) == (None, "connect_refused")


def test_what_a_filter_raises_is_raised() -> None:
    class Broken(Filter):
        def request(self, exchange):
            raise KeyError("x")

    with pytest.raises(KeyError) as caught:
        drive(Broken())
    assert caught.value.__notes__ == ["in Broken.request"]
    done = drive(Broken(), catch=True)
    assert (done.status, done.fault) == (500, "filter_error")
    assert [type(error) for error in done.errors] == [KeyError]
    assert done.calls[0].error is done.errors[0]


def test_routes_capture_and_origins_compute() -> None:
    def answer(request: OriginRequest) -> Answer:
        return Answer(200, body=[request.method.encode(), request.body], trailers={"x-end": "1"})

    class Trailers(Filter):
        def response_trailers(self, exchange):
            exchange.state["trailers"] = exchange.trailers

    done = drive(
        Trailers(),
        method="PUT",
        path="/users/7?a=b",
        body=[b"ab", b"cd"],
        upstream=answer,
        route={"match": {"path": "/users/{id}"}},
    )
    assert (done.captures, done.text) == ({"id": "7"}, "PUTabcd")
    assert done.state == {"trailers": [("x-end", "1")]}
    assert done.sent is not None
    assert done.sent.target == "/users/7?a=b"


def test_filters_can_ask_for_every_variable() -> None:
    class Asks(Filter):
        def request(self, exchange):
            names = ("header.x-user", "query.q", "cookie.c", "method", "param.id", "header.none")
            exchange.state["values"] = [exchange.value(name) for name in names]
            with pytest.raises(ValueError, match="no such variable"):
                exchange.value("client.adress")

    done = drive(
        Asks(),
        path="/users/7?q=a%20b",
        headers={"X-User": "ann", "Cookie": "c=1"},
        route={"match": {"path": "/users/{id}"}},
    )
    assert done.state == {"values": ["ann", "a b", "1", "GET", "7", None]}


def test_more_arguments_than_are_looked_at_are_told() -> None:
    class Asks(Filter):
        def request(self, exchange):
            with pytest.raises(ValueError, match="arguments"):
                exchange.value("query.q")

    drive(Asks(), path="/?" + "&".join(f"a{i}=1" for i in range(1000)))


def test_filters_of_the_proxys_own_can_stand_beside() -> None:
    done = drive({"headers": {"request": {"set": {"x-user": "bob"}}}}, Tag(), headers={"x-old": ""})
    assert done.sent is not None
    assert done.sent.headers["x-tag"] == "bob"


def test_entries_with_faults_are_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        drive({"headers": {"request": {"sett": {}}}})
    assert caught.value.faults[0].path == "filters[0].headers.request.sett"
    with pytest.raises(TypeError, match="as an object"):
        drive({"python": {"use": "a:B"}})


def test_a_driver_shows_several_exchanges_to_one_filter() -> None:
    class Count(Filter):
        n = 0

        def request(self, exchange):
            self.n += 1
            return Reply(200, body=str(self.n))

    with Driver(Count()) as driver:
        assert [driver.send().text for _ in range(3)] == ["1", "2", "3"]


def test_it_works_inside_a_running_loop() -> None:
    async def main() -> int:
        return drive(Tag(), headers={"x-old": "1"}).status

    assert asyncio.run(main()) == 203


def test_an_origin_that_hangs_up_is_a_fault() -> None:
    done = drive(Tag(), headers={"x-old": "1"}, upstream=lambda request: None)
    assert done.upstream_status == 0
    assert done.fault is not None
