"""The filter `rate_limit` where several machines count together in one Redis."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from testenv import Proxy, free_port, running, wait_until
from testenv.certificates import Authority
from testenv.redis_server import Redis, redis_server

LONG = "20s"  # no machine is that slow


@pytest.fixture(scope="module")
def server() -> Iterator[Redis]:
    with redis_server() as started:
        yield started


@pytest.fixture
def redis(server: Redis) -> Redis:
    server.ask("FLUSHALL")
    return server


def config(redis: object, workers: int = 2, **limit: object) -> str:
    """Without `rate` so slow that nothing comes back while a test runs."""
    given = {"rate": "50/d", "key": "{header.x-key}", **limit}
    if "limits" in limit:
        del given["rate"], given["key"]
    if redis is not None:
        given["redis"] = redis
    return json.dumps(
        {
            "workers": workers,
            "admin": "127.0.0.1:0",
            "listeners": {"web": {"bind": "127.0.0.1:0"}},
            "routes": [
                {
                    "name": "limited",
                    "respond": {"body": "one"},
                    "filters": [{"rate_limit": given}],
                }
            ],
        }
    )


def statuses(proxies: list[Proxy], n: int, key: str = "k") -> Counter[int]:
    """What so many requests get, each on a connection of its own, from all in turn."""

    def ask(i: int) -> int:
        return proxies[i % len(proxies)].get("/", headers={"x-key": key}).status

    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(ask, range(n)))


@pytest.mark.parametrize(
    "limit",
    [
        {},
        {"algorithm": "sliding_window"},
        {"algorithm": "fixed_window"},
        {"rate": "25/d", "burst": 50},
    ],
    ids=["bucket", "sliding", "fixed", "burst"],
)
def test_two_machines_together_let_exactly_so_many_pass(
    redis: Redis, limit: dict[str, object]
) -> None:
    text = config({"url": redis.url, "timeout": LONG}, **limit)
    with running(text) as one, running(text) as two:
        assert statuses([one, two], 200) == {200: 50, 429: 150}
        assert statuses([one, two], 3, "another") == {200: 3}
        answered = 'pyproxy_limit_redis_requests_total{route="limited",result="answered"}'
        refused = 'pyproxy_limited_total{route="limited",by="rate"}'
        wait_until(
            lambda: one.metrics()[answered] + two.metrics()[answered] == 203, "all are counted"
        )
        assert one.metrics()[refused] + two.metrics()[refused] == 150


def test_clients_are_told_what_the_native_filter_tells(redis: Redis) -> None:
    limits = [
        {"name": "second", "rate": "10/d", "burst": 20, "key": "{header.x-key} {path}"},
        {"name": 'd"y', "rate": "3/d", "algorithm": "sliding_window", "key": "client.address"},
    ]
    other = {"limits": limits, "message": "slow down", "content_type": "text/x"}
    fields, other_fields = [], []
    for where, found in (({"url": where_of(redis), "timeout": LONG}, fields), (None, other_fields)):
        with running(config(where, **other)) as proxy:
            answers = [proxy.get("/", headers={"x-key": "k"}) for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert (answers[3].text, answers[3].headers["content-type"]) == ("slow down", "text/x")
        assert int(answers[3].headers["retry-after"]) >= 1
        for answer in answers:
            # All but the times, of which some pass.
            left = re.sub(r"t=\d+", "t=", answer.headers["ratelimit"])
            found.append((answer.headers["ratelimit-policy"], left))
    assert fields == other_fields
    policy = '"second";q=10;w=86400, "d_y";q=3;w=86400'
    assert fields[0] == (policy, '"second";r=19;t=, "d_y";r=2;t=')
    assert fields[3] == (policy, '"second";r=16;t=, "d_y";r=0;t=')


def where_of(redis: Redis) -> str:
    """Another database of it, through its socket."""
    return f"unix://{redis.path}?db=1"


def test_what_is_counted_cannot_be_read_there(redis: Redis) -> None:
    with running(
        config({"url": redis.url, "timeout": LONG, "prefix": "mine:"}, group="g")
    ) as proxy:
        assert statuses([proxy], 1, "a-secret") == {200: 1}
        keys = redis.ask("KEYS", "*")
        assert b'mine:group g:"rate_limit":b:' in keys
        assert b"a-secret" not in keys


def test_an_emptied_redis_counts_anew(redis: Redis) -> None:
    with running(config({"url": redis.url, "timeout": LONG}, rate="2/d")) as proxy:
        assert statuses([proxy], 3) == {200: 2, 429: 1}
        redis.ask("FLUSHALL")
        redis.ask("SCRIPT", "FLUSH")
        assert statuses([proxy], 3) == {200: 2, 429: 1}


def test_a_queue_delays_and_a_missing_key_is_let_through(redis: Redis) -> None:
    limit = {"rate": "10/s", "burst": 1, "queue": 4}
    with running(config({"url": redis.url, "timeout": LONG}, **limit)) as proxy:
        assert statuses([proxy], 5) == {200: 5}
        delays = 'pyproxy_limit_delays_total{route="limited"}'
        wait_until(lambda: proxy.metrics()[delays] >= 1, "the count of the delayed")
        assert proxy.get("/").status == 200
    with running(config({"url": redis.url}, missing_key="refuse", status=403)) as proxy:
        assert proxy.get("/").status == 403


def test_dry_run_only_counts(redis: Redis) -> None:
    with running(config({"url": redis.url, "timeout": LONG}, rate="1/d", dry_run=True)) as proxy:
        assert statuses([proxy], 4) == {200: 4}
        dry = 'pyproxy_limited_total{route="limited",by="rate_dry_run"}'
        wait_until(lambda: proxy.metrics()[dry] == 3, "the count")
        assert "ratelimit" not in proxy.get("/", headers={"x-key": "k"}).headers


def test_an_outage_is_told_once_and_counted_alone() -> None:
    with redis_server() as redis:
        text = config({"url": redis.url, "timeout": LONG}, workers=1, rate="5/d")
        with running(text) as proxy:
            assert statuses([proxy], 2) == {200: 2}
            redis.stop()
            # On this machine nothing has been counted yet.
            assert statuses([proxy], 20) == {200: 5, 429: 15}
            assert proxy.stderr.count("gives no answer") == 1
            redis.start()
            proxy_is_back = "answers again, after"

            def comes_back() -> bool:
                proxy.get("/", headers={"x-key": "other"})
                return proxy_is_back in proxy.stderr

            wait_until(comes_back, "Redis is asked again")
            assert statuses([proxy], 7) == {200: 5, 429: 2}
            assert proxy.stderr.count("gives no answer") == 1
            assert proxy.stderr.count(proxy_is_back) == 1


@pytest.mark.parametrize(("word", "status"), [("allow", 200), ("deny", 429)])
def test_a_redis_that_is_not_there(word: str, status: int) -> None:
    where = {"url": f"redis://127.0.0.1:{free_port()}", "on_failure": word, "timeout": LONG}
    with running(config(where, rate="1/d", workers=1)) as proxy:
        assert statuses([proxy], 5) == {status: 5}
        failed = 'pyproxy_limit_redis_requests_total{route="limited",result="failed"}'
        wait_until(lambda: proxy.metrics()[failed] == 5, "all are counted")


def test_a_redis_that_hangs_is_not_waited_for_long() -> None:
    where = {"timeout": "50ms", "on_failure": "deny"}
    with redis_server() as redis, running(config({"url": redis.url, **where}, workers=1)) as proxy:

        def status() -> int:
            return proxy.get("/", headers={"x-key": "k"}).status

        wait_until(lambda: status() == 200, "it is counted there")
        redis.freeze()
        try:
            assert {status() for _ in range(3)} == {429}
            wait_until(lambda: status() and "gives no answer" in proxy.stderr, "it is told")
        finally:
            redis.thaw()
        wait_until(lambda: status() == 200, "it is asked again")
        assert "answers again, after" in proxy.stderr


def test_passwords() -> None:
    with redis_server() as redis:
        right = {"url": redis.url, "password": "secret://env/WORD", "timeout": LONG}
        redis.ask("CONFIG", "SET", "requirepass", "a right one")
        with running(config(right, rate="1/d"), env={"WORD": "a right one"}) as proxy:
            assert statuses([proxy], 2) == {200: 1, 429: 1}
            assert "gives no answer" not in proxy.stderr
        wrong = {**right, "on_failure": "deny"}
        with running(config(wrong), env={"WORD": "a wrong one"}) as proxy:
            assert statuses([proxy], 2) == {429: 2}
            proxy.wait_for("gives no answer")
            assert "a wrong one" not in proxy.stderr


def test_tls_is_verified(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "of redis")
    pair = authority.issue("redis", names=["127.0.0.1"])
    port = free_port()
    files = ["--tls-cert-file", str(pair.cert), "--tls-key-file", str(pair.key)]
    words = ["--tls-port", str(port), "--tls-auth-clients", "no", *files]
    with redis_server(*words, "--tls-ca-cert-file", str(authority.cert)):
        where = {"url": f"rediss://127.0.0.1:{port}", "on_failure": "deny", "timeout": LONG}
        trusted = config({**where, "ca": str(authority.cert)}, rate="1/d")
        with running(trusted) as proxy:
            assert statuses([proxy], 2) == {200: 1, 429: 1}
            assert "gives no answer" not in proxy.stderr
        with running(config(where)) as proxy:
            assert statuses([proxy], 1) == {429: 1}
            proxy.wait_for("certificate verify failed")
