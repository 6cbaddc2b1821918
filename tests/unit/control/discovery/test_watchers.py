"""Sources that answer, fail, end and are exchanged."""

import asyncio

import pytest

from pyproxy.config.found import endpoint, with_found
from pyproxy.config.load import from_mapping
from pyproxy.control.discovery.base import DiscoveryError, Found, make_source
from pyproxy.control.discovery.watchers import Watchers, look_once


def config(**files):
    return from_mapping(
        {
            "listeners": {"web": {"bind": "127.0.0.1:8080"}},
            "upstreams": {
                "fixed": {"endpoints": "10.0.0.9:80"},
                **{name: {"discover": {"file": path}} for name, path in files.items()},
            },
            "routes": [{"upstream": "fixed"}],
        }
    )


class Script:
    """A source that does what it is told, one thing for each call of `watch`."""

    def __init__(self, *turns):
        self.turns = list(turns)

    async def watch(self):
        turn = self.turns.pop(0) if self.turns else []
        for step in turn:
            if isinstance(step, Exception):
                raise step
            yield step
        if not self.turns:
            await asyncio.Event().wait()


def play(script, count):
    """The first messages that a source leads to, and what operators see then."""

    async def run():
        said = []
        enough = asyncio.Event()

        def say(message):
            said.append(message)
            if len(said) == count:
                enough.set()

        watchers = Watchers(say, make=lambda _: script, clock=lambda: 5.0, first_pause=0.001)
        watchers.adopt(config(app="/a"))
        await enough.wait()
        await asyncio.sleep(0.01)
        rows = watchers.rows()
        watchers.close()
        return said, rows["app"]

    return asyncio.run(run())


ONE, TWO = Found("10.0.0.1:80"), Found("10.0.0.2:80", 2, 1, "a.test")


def test_only_changes_are_told():
    said, row = play(Script([[ONE], [ONE], [TWO]]), 2)
    assert [m["endpoints"] for m in said] == [
        [["10.0.0.1:80", 1, 0, "", False]],
        [["10.0.0.2:80", 2, 1, "a.test", False]],
    ]
    assert (row["lookups"], row["changes"], row["found"]) == (3, 2, 1)
    assert (row["last_lookup"], row["last_change"]) == (5.0, 5.0)


def test_a_failure_keeps_what_was_found_and_is_told_once():
    no = DiscoveryError("no")
    said, row = play(Script([[ONE], no], [no], [no], [[ONE]]), 3)
    assert [(len(m["endpoints"]), m["error"]) for m in said] == [(1, ""), (1, "no"), (1, "")]
    assert (row["failures"], row["error"], row["source"]) == (3, "", "file /a")


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        ([Found("a.test:80")], '"a.test:80" is not a numeric address'),
        ([("10.0.0.1:80", 1, 0, "", False)], "AttributeError"),
        (KeyError("x"), "KeyError"),
        (OSError(2, "gone"), "gone"),
    ],
)
def test_whatever_a_source_does_wrong_is_a_failure(bad, text):
    said, row = play(Script([bad]), 1)
    assert said[0]["endpoints"] is None
    assert text in said[0]["error"]
    assert row["found"] == 0


def test_what_is_served_already_is_not_told_again():
    async def run():
        said = []
        watchers = Watchers(said.append, make=lambda _: Script([[ONE], [TWO]]))
        watchers.adopt(with_found(config(app="/a"), {"app": [endpoint(ONE.address)]}))
        await asyncio.sleep(0.01)
        watchers.close()
        return said

    assert [m["endpoints"][0][0] for m in asyncio.run(run())] == [TWO.address]


def test_a_source_that_ends_is_begun_again():
    said, _ = play(Script([[ONE]], [[TWO]]), 3)
    assert [m["error"] for m in said] == ["", "the source has ended", ""]


def test_sources_that_stay_go_on():
    async def run():
        made = []

        def make(discover):
            made.append(discover.title)
            return Script([[ONE]])

        watchers = Watchers(lambda _: None, make=make)
        for step in ({"a": "/1", "b": "/2"}, {"a": "/1", "b": "/3"}, {"a": "/1"}, {}):
            watchers.adopt(config(**step))
            await asyncio.sleep(0)
            assert set(watchers.rows()) == set(step)
        return made

    assert asyncio.run(run()) == ["file /1", "file /2", "file /3"]


def test_the_first_look_waits_for_everybody_and_no_longer(tmp_path):
    (tmp_path / "a").write_text("- 10.0.0.1:80\n")
    both = config(a=str(tmp_path / "a"), b=str(tmp_path / "b"), c="/c")
    said = asyncio.run(look_once(both, ["a", "b"], 60))
    assert [(m["upstream"], m["endpoints"]) for m in said] == [
        ("a", [["10.0.0.1:80", 1, 0, "", False]]),
        ("b", None),
    ]
    assert asyncio.run(look_once(both, ["a"], 0))[0]["error"] in ("", "no answer yet")


class Elsewhere:
    """What another package brings."""

    def __init__(self, options):
        self.options = options


def test_sources_of_other_packages_get_their_options(monkeypatch):
    at = {"own": f"{__name__}:Elsewhere"}
    monkeypatch.setattr("pyproxy.config.found.plugins", lambda: at)
    monkeypatch.setitem(
        __import__("sys").modules,
        __name__,
        __import__("types").SimpleNamespace(Elsewhere=Elsewhere),
    )
    discover = (
        from_mapping(
            {
                "listeners": {"web": {"bind": "127.0.0.1:8080"}},
                "upstreams": {"app": {"discover": {"plugin": {"name": "own", "config": {"x": 1}}}}},
                "routes": [{"upstream": "app"}],
            }
        )
        .upstreams["app"]
        .discover
    )
    assert make_source(discover).options == {"x": 1}
    monkeypatch.setattr("pyproxy.config.found.plugins", dict)
    with pytest.raises(DiscoveryError, match='announces the source "own"'):
        make_source(discover)
