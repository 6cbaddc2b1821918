"""One exchange through filters in the engine of this process, and what they did with it.

The engine is the one that serves in production, so a filter sees the very objects that it will see
there. It runs in a thread with an event loop of its own for as long as a `Driver` is open; client
and origin are ordinary sockets on 127.0.0.1 that nobody has to look after.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import uvloop

from pyproxy._engine import Engine, SnapshotBuilder
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.load import from_mapping
from pyproxy.config.model import Config, PythonFilter, filter_refs
from pyproxy.filters.base import Filter, Reply
from pyproxy.filters.chain import BoundFilter, bind, bind_kinds
from pyproxy.testing.fields import Fields
from pyproxy.testing.lasting import Lasting
from pyproxy.testing.origin import Answerable, Handler, Origin, OriginRequest
from pyproxy.testing.recorder import Call, Ending, Recorder

__all__ = ["Done", "Driver", "drive"]

_GUARD_SECONDS = 30.0
_PROGRAM = "pyproxy.testing"
# Runs after every other filter, so that it sees how the exchange ended.
_LAST = -(10**6)

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]
# A filter object, or an entry of a `filters` list: {"headers": {...}}.
Entry = Filter | Mapping[str, Any]


@dataclass
class Done:
    """What came of one exchange.

    `status`, `headers` and `body` are what the client got; status 0: nothing, or not all of it.
    `sent` is what the origin got (the last time, if there were several); None: it was not asked.
    `calls` are the phases that the filters were called in, in their order. `reply` is the answer
    that a filter gave instead of the origin's, `peer` the address that one chose (the scripted
    origin was asked in its place). `state` is `exchange.state` at the end, `fault` the word for
    what went wrong, `errors` the exceptions that filters raised (see `drive`).
    """

    status: int = 0
    headers: Fields = field(default_factory=lambda: Fields([]))
    body: bytes = b""
    sent: OriginRequest | None = None
    calls: list[Call] = field(default_factory=list)
    reply: Reply | None = None
    peer: str | None = None
    state: dict[Any, Any] = field(default_factory=dict)
    fault: str | None = None
    route: str = "-"
    captures: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    upstream_status: int = 0
    errors: list[BaseException] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The body as UTF-8."""
        return self.body.decode()

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def phases(self) -> list[str]:
        """The names of the phases that were called, in their order."""
        return [call.phase for call in self.calls]

    @property
    def request_pieces(self) -> list[bytes]:
        """What filters let go on of the request's body, piece by piece."""
        return [call.passed for call in self.calls if call.phase == "request_body"]

    @property
    def response_pieces(self) -> list[bytes]:
        """What filters let go on of the response's body, piece by piece."""
        return [call.passed for call in self.calls if call.phase == "response_body"]


class Driver(Lasting):
    """Filters in an engine that shows them one exchange after the other, from `with` to its end.

    `filters` are filter objects, and entries of a `filters` list for those that come with pyproxy
    (`{"headers": {...}}`). They stand where the filters of all routes do, so `early_request` is
    called as well. `upstream` is what the origin answers: a `Reply`, an `Answer`, a text, bytes, a
    status, or a function of the `OriginRequest` that returns one of these; None: nobody is there to
    connect to. `route` has more fields of the route (`{"match": {"path": "/users/{id}"}}`),
    `options` more of the file. Calls of async phases may take `timeout` seconds.
    """

    def __init__(
        self,
        *filters: Entry,
        upstream: Handler | Answerable = "hello\n",
        route: Mapping[str, Any] | None = None,
        timeout: float = _GUARD_SECONDS,
        **options: Any,
    ) -> None:
        self._filters = filters
        self._recorder = Recorder()
        self._timeout_ms = int(timeout * 1000)
        self._upstream = upstream
        self._route = dict(route or {})
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the engine, and the origin behind it."""
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._origin = Origin(self._upstream)
        self._origin.start()
        self._closed = socket.socket()
        self._closed.bind(("127.0.0.1", 0))  # and never listens
        self._door = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        try:
            self._loop = started.result(_GUARD_SECONDS)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the engine and the origin."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(_GUARD_SECONDS)
        self._loop = self._thread = None
        self._door.close()
        self._closed.close()
        self._origin.close()

    # ---- the engine's thread

    def _run(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        loop = uvloop.new_event_loop()
        asyncio.set_event_loop(loop)
        engine = Engine(loop=loop, on_error=self._recorder.on_error)
        try:
            config = self._config()
            snapshot = compile_snapshot(config, SnapshotBuilder(), self._bound(config))
            engine.install(snapshot)
            engine.listen(self._door.fileno(), "test")
            loop.add_reader(engine.fileno(), engine.run_ready)
            started.set_result(loop)
        except BaseException as error:
            started.set_exception(error)
        else:
            loop.run_forever()
            loop.remove_reader(engine.fileno())
        finally:
            engine.close()
            with contextlib.suppress(RuntimeError):
                loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    def _config(self) -> Config:
        entries: list[Any] = [
            {"python": {"use": f"{_PROGRAM}:filter_{i}"}} if isinstance(entry, Filter) else entry
            for i, entry in enumerate(self._filters)
        ]
        entries.append({"python": {"use": f"{_PROGRAM}:ending"}, "priority": _LAST})
        port = self._closed.getsockname()[1]
        nobody = self._upstream is None
        address = f"127.0.0.1:{port}" if nobody else self._origin.address
        self._recorder.peer = address
        route = {"name": "test", "upstream": "origin", "max_body": "unlimited", **self._route}
        return from_mapping(
            {
                "listeners": {"test": {"bind": "127.0.0.1:0"}},
                "upstreams": {"origin": {"endpoints": [address]}},
                "filters": entries,
                "routes": [route],
                **self._options,
            }
        )

    def _bound(self, config: Config) -> dict[str, BoundFilter]:
        bound = bind_kinds(config)
        for i, entry in enumerate(self._filters):
            if isinstance(entry, Filter):
                made = bind(entry, timeout_ms=self._timeout_ms)
                bound[f"filters[{i}]"] = self._recorder.watch(made)
        bound[f"filters[{len(self._filters)}]"] = bind(self._recorder)
        others = [k for k, r in filter_refs(config) if isinstance(r.options, PythonFilter)]
        if missing := [key for key in others if key not in bound]:
            raise TypeError(f"{missing[0]}: give the filter as an object, not by its name")
        return bound

    # ---- the client's side

    def send(
        self,
        method: str = "GET",
        path: str = "/",
        *,
        headers: Pairs = (),
        body: bytes | str | Iterable[bytes] | None = None,
        host: str = "test",
        catch: bool = False,
    ) -> Done:
        """One request, and what came of it.

        A `body` that is no single piece is sent chunked, a chunk for each. What a filter raises is
        raised here, unless `catch` is true: then the exchange goes on as in production, with a 500,
        and `errors` has it.
        """
        self._recorder.begin()
        before = len(self._origin.requests)
        done = Done()
        with contextlib.suppress(OSError, http.client.HTTPException):
            done.status, done.headers, done.body = self._exchange(method, path, headers, body, host)
        ending = self._recorder.wait(_GUARD_SECONDS)
        _complete(done, self._recorder, ending)
        done.sent = next(reversed(self._origin.requests[before:]), None)
        if done.errors and not catch:
            raise done.errors[0]
        return done

    def _exchange(
        self,
        method: str,
        path: str,
        headers: Pairs,
        body: bytes | str | Iterable[bytes] | None,
        host: str,
    ) -> tuple[int, Fields, bytes]:
        if isinstance(body, str):
            body = body.encode()
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        given = {name.lower() for name, _ in pairs}
        address, port = self._door.getsockname()[:2]
        client = http.client.HTTPConnection(address, port, timeout=_GUARD_SECONDS)
        with contextlib.closing(client):
            client.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if "host" not in given:
                client.putheader("host", host)
            for name, value in pairs:
                client.putheader(name, value)
            chunked = body is not None and not isinstance(body, bytes)
            if chunked:
                client.putheader("transfer-encoding", "chunked")
            elif isinstance(body, bytes) and "content-length" not in given:
                client.putheader("content-length", str(len(body)))
            # Whoever answers before the body has come may hang up on the rest of it.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.endheaders(body, encode_chunked=chunked)
            response = client.getresponse()
            return response.status, Fields(response.getheaders()), response.read()


def _complete(done: Done, recorder: Recorder, ending: Ending) -> None:
    """What the filters' side knows of the exchange."""
    done.calls = list(recorder.calls)
    done.errors = list(recorder.errors)
    replies = [call.returned for call in done.calls if isinstance(call.returned, Reply)]
    done.reply = replies[-1] if replies else None
    peers = [c.returned for c in done.calls if c.phase == "upstream_peer" and c.returned]
    done.peer = peers[-1] if peers and isinstance(peers[-1], str) else None
    done.state, done.fault = ending.state, ending.fault
    done.route, done.captures = ending.route, ending.captures
    done.attempts, done.upstream_status = ending.attempts, ending.upstream_status


def drive(
    *filters: Entry,
    method: str = "GET",
    path: str = "/",
    headers: Pairs = (),
    body: bytes | str | Iterable[bytes] | None = None,
    host: str = "test",
    upstream: Handler | Answerable = "hello\n",
    route: Mapping[str, Any] | None = None,
    timeout: float = _GUARD_SECONDS,
    catch: bool = False,
    **options: Any,
) -> Done:
    """Show one exchange to filters, and tell what they did with it.

    The arguments are those of `Driver` and of its `send`.
    """
    with Driver(*filters, upstream=upstream, route=route, timeout=timeout, **options) as driver:
        return driver.send(method, path, headers=headers, body=body, host=host, catch=catch)
