"""The circuit and the batches of what is kept in Redis, with a client of the test's."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pyproxy.config.filters.redis_options import Redis
from pyproxy.filters import redis_store
from pyproxy.filters.redis_store import RedisStore, StoreError


class NoScriptError(Exception):
    """As the package calls it."""


class Client:
    """Answers [number of the command]; the test says what goes wrong."""

    def __init__(self) -> None:
        self.connects = self.commands = 0
        self.closed = asyncio.Event()
        self.batches: list[int] = []
        self.fails: Exception | None = None
        self.hangs = False
        self.forgotten = False
        self.connection_pool = self

    async def script_load(self, _script: str) -> None:
        self.connects += 1
        self.forgotten = False
        if self.fails:
            raise self.fails

    def pipeline(self, *, transaction: bool) -> Any:
        assert not transaction
        client = self

        class Pipe(list[Any]):
            def evalsha(self, *words: Any) -> None:
                self.append(words)

            async def execute(self, *, raise_on_error: bool) -> list[Any]:
                assert not raise_on_error
                await asyncio.sleep(0)
                client.batches.append(len(self))
                if client.hangs:
                    await asyncio.sleep(1000)
                if client.fails:
                    raise client.fails
                answers = [
                    NoScriptError() if client.forgotten and i % 2 else [words[2]]
                    for i, words in enumerate(self)
                ]
                client.commands += len(self)
                return answers

        return Pipe()

    async def disconnect(self) -> None:
        self.closed.set()


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    made = Client()
    monkeypatch.setattr(redis_store, "_maker", lambda _connection: lambda: made)
    return made


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(redis_store, "time", made)
    return made


def run(test: Callable[[RedisStore], Awaitable[None]], timeout_s: float = 20) -> None:
    connection = {"host": "h", "port": 1}
    asyncio.run(test(RedisStore(connection, timeout_s, "script", "sha")))  # type: ignore[arg-type]


async def fails(store: RedisStore) -> bool:
    try:
        await store.run(["k"], [])
    except StoreError:
        return True
    return False


def test_requests_of_one_moment_go_in_one_batch(client: Client) -> None:
    async def test(store: RedisStore) -> None:
        found = await asyncio.gather(*(store.run([f"k{i}"], [1]) for i in range(600)))
        assert found == [[f"k{i}"] for i in range(600)]

    run(test)
    assert client.batches == [256, 256, 88]
    assert client.connects == 1


def test_a_forgotten_script_is_loaded_again(client: Client) -> None:
    async def test(store: RedisStore) -> None:
        await store.run(["k"], [])
        client.forgotten = True
        found = await asyncio.gather(*(store.run([f"k{i}"], []) for i in range(5)))
        assert found == [[f"k{i}"] for i in range(5)]

    run(test)
    assert client.connects == 2


def test_one_that_cannot_be_reached_is_left_alone_for_longer_and_longer(
    client: Client, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(store: RedisStore) -> None:
        client.fails = OSError("no way")
        for pause in (1, 2, 4, 4):
            assert await fails(store)
            before = client.connects
            clock.now += pause - 0.1
            assert await fails(store)
            assert client.connects == before
            clock.now += 0.2
        # One of those who come tries.
        assert all(await asyncio.gather(*(fails(store) for _ in range(10))))
        assert client.connects == before + 1
        client.fails = None
        clock.now += 5
        assert [await fails(store) for _ in range(3)] == [False] * 3

    run(test)
    assert [record.getMessage() for record in caplog.records] == [
        "redis h:1 gives no answer: no way",
        "redis h:1 answers again, after 16.4 s",
    ]


def test_a_hiccup_is_forgiven_but_not_the_third_in_a_row(client: Client, clock: Clock) -> None:
    async def test(store: RedisStore) -> None:
        assert not await fails(store)
        for hangs in (True, True, False, True, True, True):
            client.hangs = hangs
            assert await fails(store) == hangs
            if store._task is not None:
                await asyncio.wait([store._task])
        before = client.commands
        client.hangs = False
        assert await fails(store)
        assert client.commands == before
        clock.now += 1.1
        assert not await fails(store)

    run(test, 0.02)


def test_whoever_went_away_is_not_asked_for(client: Client) -> None:
    async def test(store: RedisStore) -> None:
        gone = asyncio.ensure_future(store.run(["gone"], []))
        await asyncio.sleep(0)
        gone.cancel()
        assert await store.run(["k"], []) == ["k"]

    run(test)
    assert client.commands == 1


def test_a_store_is_shared_and_its_connection_goes_with_it(client: Client) -> None:
    async def test(_store: RedisStore) -> None:
        options = Redis(url="redis://:word@h:7/2")
        store = RedisStore.of(options, "s", "sha")
        assert RedisStore.of(options, "s", "sha") is store
        assert RedisStore.of(Redis(url="redis://h:7/3"), "s", "sha") is not store
        assert store.name == "h:7"
        await store.run(["k"], [])
        del store
        gc.collect()
        async with asyncio.timeout(20):
            await client.closed.wait()

    run(test)
