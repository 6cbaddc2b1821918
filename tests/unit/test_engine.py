"""The engine in this process: building snapshots, serving, draining, closing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import threading
import weakref

import pytest

from pyproxy._engine import (
    Engine,
    Exchange,
    ExchangeOver,
    Headers,
    ListenerTls,
    Request,
    Response,
    Snapshot,
    SnapshotBuilder,
)
from pyproxy.filters.base import Reply
from pyproxy.tls.settings import ServerSettings
from testenv.certificates import certificates


@pytest.fixture
def door():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def snapshot(add=lambda builder: None, **route):
    builder = SnapshotBuilder()
    builder.add_listener("web")
    if not route:
        route = {"respond": (200, [("X-A", "b")], b"hello")}
    extra = add(builder) or {}
    builder.add_route("r", **route, **extra)
    return builder.finish()


def ask(
    engine: Engine, door: socket.socket, raw: bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
) -> bytes:
    """Send <raw> and let the engine run until something came back."""
    with socket.create_connection(door.getsockname()) as client:
        client.sendall(raw)
        client.setblocking(False)
        for _ in range(500):
            engine.run_for(0.01)
            try:
                return client.recv(65536)
            except BlockingIOError:
                continue
    raise AssertionError("no answer")


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.close()


# ---- building


def test_things_that_come_with_others_cannot_be_made() -> None:
    for kind in (Snapshot, Exchange, Request, Response, Headers):
        with pytest.raises(TypeError):
            kind()


@pytest.mark.parametrize(
    ("what", "arguments"),
    [
        ("add_route", {"name": "r", "paths": ["no-slash"], "respond": (200, [], b"")}),
        ("add_route", {"name": "r", "paths": ["/{a}/{a}"], "respond": (200, [], b"")}),
        ("add_route", {"name": "r", "hosts": ["a..b"], "respond": (200, [], b"")}),
        ("add_route", {"name": "r", "redirect": (302, "/{nothing")}),
        ("add_access_log", {"fd": 1, "json": False, "format": "{no.such.variable}"}),
        ("add_upstream", {"name": "u", "balance": "by_magic"}),
    ],
)
def test_what_cannot_be_built_is_refused_with_a_sentence(what, arguments) -> None:
    builder = SnapshotBuilder()
    builder.add_listener("web")
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        getattr(builder, what)(**arguments)


@pytest.mark.parametrize(
    "address", ["", "host:80", "127.0.0.1", "127.0.0.1:0x50", "unix:rel", "[::1]"]
)
def test_endpoints_are_numeric_addresses(address) -> None:
    builder = SnapshotBuilder()
    builder.add_listener("web")
    upstream = builder.add_upstream("u")
    with pytest.raises(ValueError, match="address"):
        builder.add_endpoint(upstream, address)


def test_an_upstream_is_added_before_it_is_named() -> None:
    builder = SnapshotBuilder()
    for wrong in (0, 1):
        with pytest.raises(IndexError, match=f"no such upstream: {wrong}"):
            builder.add_endpoint(wrong, "127.0.0.1:80")
        with pytest.raises(IndexError, match=f"no such upstream: {wrong}"):
            builder.add_route("r", upstream=wrong)
        builder.add_upstream("u")


def test_upstreams_and_endpoints_may_come_after_routes() -> None:
    builder = SnapshotBuilder()
    first = builder.add_upstream("u")
    builder.add_route("r", upstream=first)
    assert builder.add_upstream("v") == 1
    assert builder.add_endpoint(first, "127.0.0.1:80") == 0
    assert builder.add_endpoint(first, "127.0.0.1:81") == 1
    assert builder.finish()


def test_an_unknown_phase_is_refused() -> None:
    builder = SnapshotBuilder()
    with pytest.raises(ValueError, match="no such phase: dance"):
        builder.add_filter("f", {"dance": print})


def test_global_filters_come_once_and_first() -> None:
    builder = SnapshotBuilder()
    builder.add_listener("web")
    builder.add_route("r", respond=(200, [], b""))
    with pytest.raises(ValueError, match="once"):
        builder.set_global_filters([])


def test_a_builder_is_used_once() -> None:
    builder = SnapshotBuilder()
    builder.add_listener("web")
    builder.finish()
    with pytest.raises(ValueError, match="finished"):
        builder.add_listener("more")
    with pytest.raises(ValueError, match="finished"):
        builder.finish()


def test_filters_live_as_long_as_their_snapshot() -> None:
    class Phase:
        def __call__(self, exchange):
            return None

    phase = Phase()
    alive = weakref.ref(phase)
    builder = SnapshotBuilder()
    builder.add_listener("web")
    builder.add_filter("f", {"request": phase})
    made = builder.finish()
    del phase, builder
    gc.collect()
    assert alive() is not None
    del made
    gc.collect()
    assert alive() is None


# ---- serving


def test_a_route_that_responds(engine, door) -> None:
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    answer = ask(engine, door)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\nX-A: b\r\n")
    assert answer.endswith(b"\r\n\r\nhello")


def test_the_descriptor_is_ready_when_there_is_work(engine, door) -> None:
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    loop = asyncio.new_event_loop()
    loop.add_reader(engine.fileno(), engine.run_ready)

    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection(*door.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return answer

    try:
        assert loop.run_until_complete(talk()).endswith(b"hello")
    finally:
        loop.close()


def test_async_filters_run_on_the_given_loop(door) -> None:
    loop = asyncio.new_event_loop()
    engine = Engine(loop=loop)
    seen = []

    async def answer(exchange):
        seen.append(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return Reply(201, body=exchange.request.path)

    def add(builder):
        return {"filters": [builder.add_filter("f", {"request": answer})]}

    async def talk() -> bytes:
        reader, writer = await asyncio.open_connection(*door.getsockname())
        writer.write(b"GET /p HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        got = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return got

    try:
        engine.install(snapshot(add))
        engine.listen(door.fileno(), "web")
        loop.add_reader(engine.fileno(), engine.run_ready)
        assert loop.run_until_complete(talk()).endswith(b"\r\n\r\n/p")
        assert seen == [loop]
    finally:
        engine.close()
        loop.close()


def test_errors_of_filters_are_told(door) -> None:
    told = []
    engine = Engine(on_error=lambda where, error: told.append((where, str(error))))

    def add(builder):
        def fail(exchange):
            raise RuntimeError("trouble")

        return {"filters": [builder.add_filter("mine", {"request": fail})]}

    engine.install(snapshot(add))
    engine.listen(door.fileno(), "web")
    assert ask(engine, door).startswith(b"HTTP/1.1 500 ")
    assert told == [("mine.request", "trouble")]
    engine.close()


def test_views_are_empty_after_the_exchange(engine, door) -> None:
    kept = []

    def add(builder):
        return {"filters": [builder.add_filter("f", {"request": kept.append})]}

    engine.install(snapshot(add))
    engine.listen(door.fileno(), "web")
    for _ in range(3):
        ask(engine, door)
    assert len({id(view) for view in kept}) == 3
    for view in kept:
        for use in (
            lambda view=view: view.id,
            lambda view=view: view.state,
            lambda view=view: view.request.path,
            lambda view=view: view.response.status,
            lambda view=view: view.request.headers["host"],
        ):
            with pytest.raises(ExchangeOver):
                use()


def test_views_that_nobody_keeps_are_used_again(engine, door) -> None:
    seen = []

    def add(builder):
        return {"filters": [builder.add_filter("f", {"request": lambda x: seen.append(id(x))})]}

    engine.install(snapshot(add))
    engine.listen(door.fileno(), "web")
    others = []
    for _ in range(5):
        ask(engine, door)
        # Whatever was freed is taken, so that equal addresses mean the same object.
        others.append([bytes(size) for size in range(256)])
    assert len(set(seen)) == 1


def test_a_new_snapshot_serves_new_requests(engine, door) -> None:
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    assert b"hello" in ask(engine, door)
    engine.install(snapshot(respond=(200, [], b"changed")))
    assert b"changed" in ask(engine, door)


def test_an_unknown_listener_is_refused(engine, door) -> None:
    engine.install(snapshot())
    with pytest.raises(ValueError, match="no such listener: x"):
        engine.listen(door.fileno(), "x")


def test_the_callers_descriptor_stays_open(engine, door) -> None:
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    engine.close()
    assert door.getsockname()[1] > 0


# ---- ending


def test_draining_closes_idle_connections(engine, door) -> None:
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    with socket.create_connection(door.getsockname()) as client:
        client.settimeout(30)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for _ in range(500):
            engine.run_for(0.01)
            if engine.connections == 1 and engine.exchanges == 0:
                break
        assert b"hello" in client.recv(65536)
        engine.drain()
        engine.run_for(0.01)
        assert client.recv(1) == b""
    assert engine.connections == 0


def serve_one(engine: Engine, client: socket.socket) -> bytes:
    """Let the engine run until the client got an answer."""
    client.setblocking(False)
    for _ in range(500):
        engine.run_for(0.01)
        try:
            return client.recv(65536)
        except BlockingIOError:
            continue
    raise AssertionError("no answer")


def test_draining_may_take_its_time(engine, door) -> None:
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    with socket.create_connection(door.getsockname()) as client:
        engine.run_for(0.05)
        engine.drain(spread_ms=600_000)
        engine.run_for(0.05)
        assert engine.connections == 1
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"Connection: close" in serve_one(engine, client)
        engine.run_for(0.05)
    assert engine.connections == 0


# ---- connections that move


def test_a_connection_moves_to_another_process_over_a_socket(engine, door) -> None:
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    other = Engine()
    other.install(snapshot())  # listens to nothing
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def send(fd: int, packed: bytes) -> bool:
        socket.send_fds(here, [packed], [fd])
        return True

    with here, there, socket.create_connection(door.getsockname()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"hello" in serve_one(engine, client)
        client.sendall(b"GET / HT")
        engine.run_for(0.05)
        engine.hand_over(send)
        engine.drain()
        engine.run_for(0.05)
        assert (engine.connections, engine.exchanges) == (0, 0)
        packed, fds, _, _ = socket.recv_fds(there, 1 << 18, 1)
        engine.close()
        other.take(fds[0], packed)
        os.close(fds[0])
        assert other.connections == 1
        client.sendall(b"TP/1.1\r\nHost: a\r\n\r\n")
        answer = serve_one(other, client)
        assert b"hello" in answer
        assert b"Connection" not in answer
        other.close()


@pytest.mark.parametrize("raises", [False, True])
def test_a_refused_connection_is_ended(engine, door, raises) -> None:
    def refuse(fd: int, packed: bytes) -> bool:
        asked.append(fd)
        if raises:
            raise OSError("the channel is gone")
        return False

    asked: list[int] = []
    errors = []
    engine = Engine(on_error=lambda where, exc: errors.append((where, str(exc))))
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    with socket.create_connection(door.getsockname()) as client:
        engine.run_for(0.05)
        engine.hand_over(refuse)
        assert serve_one(engine, client) == b""
    assert len(asked) == 1
    assert errors == ([("hand_over", "the channel is gone")] if raises else [])
    engine.close()


def test_a_receiver_may_ask_for_time_and_go(engine, door) -> None:
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    asked = []
    with socket.create_connection(door.getsockname()) as client:
        engine.run_for(0.05)
        engine.hand_over(lambda fd, packed: asked.append(fd))
        while len(asked) < 3:
            engine.run_for(0.01)
        engine.hand_over(None)
        del asked[:]
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"hello" in serve_one(engine, client)
        engine.run_for(0.05)
        assert asked == []
        assert engine.connections == 1


def test_a_receiver_is_called(engine) -> None:
    with pytest.raises(TypeError, match="called"):
        engine.hand_over(3)


def test_what_cannot_be_taken_stays_the_callers(engine, door) -> None:
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    offered = []

    def keep(fd: int, packed: bytes) -> bool:
        offered.append((os.dup(fd), packed))
        return True

    with socket.create_connection(door.getsockname()) as client:
        engine.run_for(0.05)
        engine.hand_over(keep)
        engine.run_for(0.05)
        [(fd, packed)] = offered
        other = Engine()
        with pytest.raises(ValueError, match="not in the snapshot"):
            other.take(fd, packed)
        other.install(snapshot())
        for bad in (b"", packed[:-1], packed + b"x", b"\x02" + packed[1:]):
            with pytest.raises(ValueError, match="this version"):
                other.take(fd, bad)
        with pytest.raises(OSError, match="file descriptor"):
            other.take(-1, packed)
        other.take(fd, packed)
        os.close(fd)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"hello" in serve_one(other, client)
        other.close()


# ---- doors


def test_a_listener_may_be_removed_while_it_is_in_use(engine, door) -> None:
    def two(builder):
        builder.add_listener("admin")

    engine.install(snapshot(two))
    with socket.create_server(("127.0.0.1", 0)) as more:
        handles = [engine.listen(sock.fileno(), "admin") for sock in (door, more)]
        assert len(set(handles)) == 2
        with socket.create_connection(door.getsockname()) as client:
            engine.run_for(0.05)
            engine.install(snapshot())
            engine.unlisten(handles[0])
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert b"hello" in serve_one(engine, client)
            assert b"hello" in ask(engine, more)
            with pytest.raises(ValueError, match="no such listening socket"):
                engine.unlisten(handles[0])
            with pytest.raises(ValueError, match="no such listener"):
                engine.listen(more.fileno(), "admin")
        engine.unlisten(handles[1])
        engine.run_for(0.05)
    assert engine.connections == 0


def test_closing_ends_everything_and_may_be_repeated(door) -> None:
    engine = Engine()
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    with socket.create_connection(door.getsockname()) as client:
        client.settimeout(30)
        client.sendall(b"GET / HT")
        engine.run_for(0.05)
        assert engine.connections == 1
        engine.close()
        engine.close()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    assert (engine.connections, engine.exchanges) == (0, 0)
    for use in (engine.fileno, engine.run_ready, engine.drain, engine.stop_listening):
        with pytest.raises(RuntimeError, match="closed"):
            use()


def test_closing_cancels_async_filters(door) -> None:
    loop = asyncio.new_event_loop()
    engine = Engine(loop=loop)
    begun, ended = asyncio.Event(), threading.Event()

    async def wait(exchange):
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    def add(builder):
        return {"filters": [builder.add_filter("f", {"request": wait})]}

    engine.install(snapshot(add))
    engine.listen(door.fileno(), "web")
    loop.add_reader(engine.fileno(), engine.run_ready)
    with socket.create_connection(door.getsockname()) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

        loop.run_until_complete(asyncio.wait_for(begun.wait(), 30))
        loop.remove_reader(engine.fileno())
        engine.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.run_until_complete(asyncio.sleep(0))
    assert ended.is_set()
    loop.close()


def test_a_forgotten_engine_frees_itself(door) -> None:
    engine = Engine()
    engine.install(snapshot())
    engine.listen(door.fileno(), "web")
    with socket.create_connection(door.getsockname()) as client:
        client.settimeout(30)
        client.sendall(b"GET / HT")
        engine.run_for(0.05)
        del engine
        gc.collect()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_many_engines_leave_nothing_behind(door) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        engine = Engine()
        engine.install(snapshot())
        engine.listen(door.fileno(), "web")
        ask(engine, door)
        engine.close()
    assert len(os.listdir("/proc/self/fd")) == before


# ---- tunnels


def tcp_snapshot(address):
    builder = SnapshotBuilder()
    upstream = builder.add_upstream("up")
    builder.add_endpoint(upstream, address)
    builder.add_listener("db", upstream=upstream)
    return builder.finish()


@contextlib.contextmanager
def tcp_engine(origin, **options):
    """An engine with a TCP listener, and the listening socket of that."""
    made = Engine(**options)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        made.install(tcp_snapshot(f"127.0.0.1:{origin.getsockname()[1]}"))
        made.listen(sock.fileno(), "db")
        yield made, sock
        made.close()


def joined(engine, door, origin):
    """A client, and what accepted it behind the tunnel."""
    client = socket.create_connection(door.getsockname())
    engine.run_for(0.02)
    up, _ = origin.accept()
    engine.run_for(0.02)
    client.settimeout(10)
    up.settimeout(10)
    return client, up


def passes(engine, source, sink, data):
    source.sendall(data)
    engine.run_for(0.02)
    return sink.recv(len(data) + 1) == data


def test_a_tunnel_moves_to_another_engine_with_the_bytes_that_are_in_flight(door):
    moved = []

    def take(client_fd, endpoint_fd, packed):
        moved.append((os.dup(client_fd), os.dup(endpoint_fd), packed))
        return True

    with tcp_engine(door) as (old, old_door), tcp_engine(door) as (new, _):
        client, up = joined(old, old_door, door)
        with client, up:
            assert passes(old, client, up, b"before")
            assert (old.tunnels, old.connections) == (1, 0)
            client.setblocking(False)
            sent = 0
            for _ in range(100):
                with contextlib.suppress(BlockingIOError):
                    sent += client.send(bytes(65536))
                old.run_for(0.001)
            client.settimeout(10)
            old.hand_over_tunnels(take)
            old.run_for(0.02)
            assert (old.tunnels, len(moved)) == (0, 1)
            ((client_fd, endpoint_fd, packed),) = moved
            assert len(packed) > 1000
            new.take_tunnel(client_fd, endpoint_fd, packed)
            os.close(client_fd)
            os.close(endpoint_fd)
            assert new.tunnels == 1
            got = 0
            while got < sent:
                new.run_for(0.001)
                got += len(up.recv(1 << 20))
            assert got == sent
            assert passes(new, up, client, b"after")
            new.close_tunnels()
            assert new.tunnels == 0
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_tunnels_that_nobody_takes_stay(door):
    answers = [None, False]
    errors = []

    def take(client_fd, endpoint_fd, packed):
        if not answers:
            raise ValueError("no")
        return answers.pop(0)

    with tcp_engine(door, on_error=lambda where, exc: errors.append((where, str(exc)))) as (
        engine,
        sock,
    ):
        client, up = joined(engine, sock, door)
        with client, up:
            engine.hand_over_tunnels(take)
            engine.run_for(0.1)
            assert answers == []
            assert passes(engine, client, up, b"still here")
            engine.hand_over_tunnels(take)
            engine.run_for(0.05)
            assert errors == [("hand_over_tunnels", "no")]
            assert passes(engine, up, client, b"and here")
            engine.hand_over_tunnels(None)
            assert engine.tunnels == 1


def test_what_is_no_tunnel_is_refused_and_the_descriptors_stay_the_callers(door):
    a, b = socket.socketpair()
    with tcp_engine(door) as (engine, _), a, b:
        for packed in (b"", b"ppt\x01", b"x" * 200):
            with pytest.raises(ValueError, match="not a tunnel"):
                engine.take_tunnel(a.fileno(), b.fileno(), packed)
        with pytest.raises(OSError, match="Bad file descriptor"):
            engine.take_tunnel(a.fileno(), 1 << 20, b"")
        a.sendall(b"x")
        assert b.recv(1) == b"x"
        assert engine.tunnels == 0


def test_a_tcp_listener_needs_an_upstream_that_is_there():
    builder = SnapshotBuilder()
    with pytest.raises(IndexError, match="no such upstream: 0"):
        builder.add_listener("db", upstream=0)


def test_tls_of_a_listener_is_complete_and_used_once():
    pair = certificates().server
    keys = (pair.cert.read_bytes(), pair.key.read_bytes(), b"")
    builder = SnapshotBuilder()
    first, second = (builder.add_listener(name) for name in ("a", "b"))
    tls = builder.begin_tls(first, ServerSettings())
    with pytest.raises(ValueError, match="no certificate"):
        builder.set_listener_tls(first, tls)
    with pytest.raises(ValueError, match=r"certificate 1 \(x.test\): the private key"):
        tls.add(["x.test"], [(keys[0], b"", b"")])
    tls = ListenerTls("a", ServerSettings())
    tls.add([], [keys])
    builder.set_listener_tls(first, tls)
    for use in (lambda: builder.set_listener_tls(second, tls), lambda: tls.add([], [keys])):
        with pytest.raises(ValueError, match="in use already"):
            use()
    builder.finish()
