"""When an endpoint is up or down, and who hears of it; without sockets."""

import asyncio

import pytest

from pyproxy._counters import StatSegment
from pyproxy.config.compile import define_stats
from pyproxy.config.load import loads
from pyproxy.config.resolve import resolve_endpoints
from pyproxy.control.health import CONCURRENT, Checker, Watched
from pyproxy.control.probes import CheckFailed, key_of, target_of
from pyproxy.supervise.endpoints import Endpoints
from pyproxy.supervise.verdicts import Cause, Health, Reason, Verdicts

GOOD, BAD = Reason(), Reason(Cause.STATUS, 500)


def config_of(*upstreams: str):
    text = "\n".join(f"  {upstream}" for upstream in upstreams)
    return resolve_endpoints(
        loads(
            f'listeners: {{web: {{bind: "127.0.0.1:0"}}}}\nupstreams:\n{text}\n'
            "routes: [{upstream: app}]\n"
        )
    )


def app(name: str = "app", endpoints: str = "['127.0.0.1:1']", more: str = "") -> str:
    check = f"{{http: /h, interval: 10ms, jitter: 0, rise: 2, fall: 3{more}}}"
    return f"{name}: {{endpoints: {endpoints}, health_check: {check}}}"


def segment_of(config):
    memory = bytearray(StatSegment.size(3, 1 << 16, 1 << 18))
    segment = StatSegment.format(memory, columns=3, words=1 << 16, dir_bytes=1 << 18)
    define_stats(config, segment)
    return segment


def watched(more: str = "") -> Watched:
    config = config_of(app(more=more))
    upstream = config.upstreams["app"]
    return Watched(target_of(upstream, upstream.endpoints[0]))


@pytest.mark.parametrize(
    ("results", "states"),
    [
        ("+", "U"),
        ("-", "D"),
        ("+---", "UUUD"),
        ("+--+---", "UUUUUUD"),
        ("-++", "DDU"),
        ("-+-++", "DDDDU"),
    ],
)
def test_rise_and_fall(results, states) -> None:
    one = watched()
    seen = ""
    for result in results:
        one.learn(GOOD if result == "+" else BAD)
        seen += "?UD"[one.health]
    assert seen == states


def test_a_change_is_told_once_with_its_reason() -> None:
    one = watched()
    assert [one.learn(r) for r in (GOOD, BAD, BAD, BAD, BAD)] == [True, False, False, True, False]
    assert one.reason == BAD
    one.learn(Reason(Cause.TIMEOUT))
    assert one.reason.cause is Cause.TIMEOUT


def test_who_is_down_or_has_just_failed_is_asked_sooner() -> None:
    one = watched(", down_interval: 20ms")
    pauses = []
    for reason in (GOOD, BAD, GOOD, BAD, BAD, BAD):
        one.learn(reason)
        pauses.append(one.seconds)
    assert pauses == [0.01, 0.02, 0.01, 0.02, 0.02, 0.02]


def test_one_check_for_all_that_are_alike() -> None:
    config = config_of(app(), app("b"), app("c", more=", timeout: 1s"))
    keys = [key_of(u, u.endpoints[0]) for u in config.upstreams.values()]
    assert keys[0] == keys[1]
    assert hash(keys[0]) == hash(keys[1])
    assert keys[0] != keys[2]


class Probe:
    """Says what it is told, and counts."""

    def __init__(self) -> None:
        self.bad: set[str] = set()
        self.asked: list[str] = []
        self.busy = self.most = 0

    async def __call__(self, target) -> None:
        address = target.addresses[0].text
        self.asked.append(address)
        self.busy += 1
        self.most = max(self.most, self.busy)
        await asyncio.sleep(0)
        self.busy -= 1
        if address in self.bad:
            raise CheckFailed(Cause.STATUS, 500)


def drive(config, until, *, probe=None, segment=None, then=None):
    """Run a checker until something holds; then another configuration, perhaps."""
    probe, segment = probe or Probe(), segment or segment_of(config)
    verdicts = Verdicts(segment)

    async def run() -> None:
        checker = Checker(verdicts, ask=probe)
        for one, done in ((config, until), *(then or ())):
            checker.adopt(one)
            async with asyncio.timeout(30):
                while not done(probe, Endpoints(segment).rows(one)):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
        checker.close()

    asyncio.run(run())
    return probe, segment


def states(rows, name="app") -> list[str]:
    return [row["health"]["state"] for row in rows[name]]


def test_results_are_told_to_all_who_share_the_endpoint() -> None:
    config = config_of(app(), app("b"))
    probe = Probe()
    probe.bad.add("127.0.0.1:1")
    drive(config, lambda _, rows: states(rows) == states(rows, "b") == ["down"], probe=probe)


def test_endpoints_that_stay_are_not_asked_anew_and_others_no_more() -> None:
    slow = ", timeout: 1s"
    first = config_of(app(endpoints="['127.0.0.1:1', '127.0.0.1:2']", more=slow))
    second = config_of(app(endpoints="['127.0.0.1:2']", more=slow))
    segment = segment_of(first)
    counts: list[int] = []

    def later(probe, rows) -> bool:
        counts.append(probe.asked.count("127.0.0.1:1"))
        return len(counts) > 20 and states(rows) == ["up"]

    drive(
        first,
        lambda _, rows: states(rows) == ["up", "up"],
        segment=segment,
        then=[(second, later)],
    )
    assert counts[-1] - counts[0] <= 1


def test_a_successor_goes_on_from_what_was_found() -> None:
    config = config_of(app(more=", start: down"))
    probe = Probe()
    probe.bad.add("127.0.0.1:1")
    _, segment = drive(config, lambda _, rows: states(rows) == ["down"], probe=probe)
    since = Endpoints(segment).rows(config)["app"][0]["health"]["since"]
    asked: list[int] = []

    def seen(probe, rows) -> bool:
        asked.append(len(probe.asked))
        if len(probe.asked) < 2:  # one good check is not enough: it was down
            assert states(rows) == ["down"]
            assert rows["app"][0]["health"]["since"] == since
        return states(rows) == ["up"]

    drive(config, seen, segment=segment)


def test_no_more_checks_at_once_than_is_good() -> None:
    many = [f"127.0.0.1:{port}" for port in range(1, 3 * CONCURRENT)]
    config = config_of(app(endpoints=str(many)))
    probe, _ = drive(config, lambda _, rows: set(states(rows)) == {"up"})
    assert probe.most <= CONCURRENT


def test_a_mistake_of_the_check_itself_ends_nothing() -> None:
    config = config_of(app())

    async def broken(target) -> None:
        raise RuntimeError("no")

    one = watched()
    segment = segment_of(config)
    checker = Checker(Verdicts(segment), ask=broken)
    one.labels = ["app/127.0.0.1:1"]
    assert asyncio.run(checker._check(one)) == Reason()
    assert one.health is Health.UNKNOWN


# ---- words


@pytest.mark.parametrize("reason", [Reason(), BAD, Reason(Cause.CONNECT, 111), Reason(Cause.TLS)])
def test_reasons_are_numbers_and_texts(reason) -> None:
    assert Reason.of(reason.word) == reason
    assert bool(reason.text) == (reason.cause is not Cause.NONE)


def test_a_number_that_is_no_reason_is_none() -> None:
    assert Reason.of(99 << 32) == Reason()


def test_what_nobody_checks_any_more_is_forgotten() -> None:
    config = config_of(app(more=", start: down"))
    segment = segment_of(config)
    verdicts, endpoints = Verdicts(segment), Endpoints(segment)
    verdicts.prepare(config)
    assert endpoints.rows(config)["app"][0]["state"] == "unhealthy"
    verdicts.report([verdicts.bases()["app/127.0.0.1:1"]], Health.UP, Reason(), 5)
    verdicts.prepare(config)  # it is known by now
    assert endpoints.rows(config)["app"][0]["state"] == "ready"
    verdicts.report([verdicts.bases()["app/127.0.0.1:1"]], Health.DOWN, BAD, 6)
    plain = config_of("app: {endpoints: ['127.0.0.1:1']}")
    verdicts.prepare(plain)
    row = endpoints.rows(plain)["app"][0]
    assert row["state"] == "ready"
    assert "health" not in row
