"""Clients of HTTP/1.1 and of HTTP/2 over TLS that think between POSTs, and the origin of `posts`.

Connections of TLS cannot go to another process: they have to end, and no request with them. A
request may be sent again only when the protocol says that nobody has seen it:

* HTTP/1.1: the connection ended before the first byte of an answer (it was idle, and closed);
* HTTP/2: GOAWAY names a stream below it, or it is reset with REFUSED_STREAM.

That nobody has seen it is checked: the ledger counts ids that came to the origin twice. Run as a
program with its options as JSON; see `main`.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import sys
from typing import Any

import uvloop

from benchmarks.soak.frames import Connection, Refused
from benchmarks.soak.ledger import Ledger
from benchmarks.soak.posts import ANSWER_SECONDS, begin, content_length, told_to_end

STREAMS = 4
_TRIES = 5


class NotSeen(Exception):
    """The connection ended before anybody can have looked at the request."""


def _context(protocol: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([protocol])
    return context


class Crowd:
    """Clients, all with one ledger, and what they do when they are put out."""

    def __init__(self, ledger: Ledger, port: int, think: float) -> None:
        self.ledger = ledger
        self.again = 0  # requests that were sent once more
        self._port = port
        self._think = think
        self._ending = False
        self._contexts = {name: _context(name) for name in ("http/1.1", "h2")}

    async def connect(self, protocol: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection that speaks <protocol>."""
        context = self._contexts[protocol]
        return await asyncio.open_connection("127.0.0.1", self._port, ssl=context)

    async def one(self, seed: int) -> None:
        """One client for ever."""
        draw = random.Random(seed)
        client = Http1(self) if seed % 2 else Http2(self)
        lanes = 1 if seed % 2 else STREAMS
        await asyncio.gather(*(self._lane(client, draw) for _ in range(lanes)))
        client.close()

    async def _lane(self, client: Http1 | Http2, draw: random.Random) -> None:
        while not self._ending:
            await asyncio.sleep(min(draw.expovariate(1 / self._think), 10 * self._think))
            number = self.ledger.send()
            body = b"%d %s" % (number, b"x" * draw.randrange(2000))
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._ask(client, number, body)
            except TimeoutError:
                self.ledger.timed_out += 1
                self.ledger.note(f"{client.name}: {number} is not answered")

    async def _ask(self, client: Http1 | Http2, number: int, body: bytes) -> None:
        for _ in range(_TRIES):
            try:
                status, got = await client.ask(body)
            except (NotSeen, Refused):
                self.again += 1
                continue
            except (OSError, EOFError) as error:
                self.ledger.cut += 1
                self.ledger.note(f"{client.name}: {number}: {error!r}")
                return
            if status == 200 and got == body:
                self.ledger.answer(number)
            else:
                self.ledger.wrong += 1
                self.ledger.note(f"{client.name}: {status} for {number}")
            return
        self.ledger.note(f"{client.name}: {number} was sent {_TRIES} times")

    def end(self) -> None:
        """Let everybody finish what is under way."""
        self._ending = True


class Http1:
    """One connection at a time, and one request on it."""

    name = "http/1.1"

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes) -> tuple[int, bytes]:
        """POST: (status, body). Raises `NotSeen`, OSError or EOFError."""
        if self._streams is None:
            self._streams = await self._crowd.connect("http/1.1")
        reader, writer = self._streams
        head = b"POST /posts HTTP/1.1\r\nHost: soak\r\nContent-Length: %d\r\n\r\n" % len(body)
        try:
            writer.write(head + body)
            answer = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.close()
            if getattr(error, "partial", b""):
                raise
            raise NotSeen from error
        got = await reader.readexactly(content_length(answer))
        if b"connection: close" in answer.lower():
            self.close()
        return int(answer[9:12]), got

    def close(self) -> None:
        """The end, by the client."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


class Http2:
    """One connection for new requests; one that has said GOAWAY finishes what it has."""

    name = "h2"

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._now: Connection | None = None
        self._opening = asyncio.Lock()

    async def ask(self, body: bytes) -> tuple[int, bytes]:
        """POST on a stream of its own: (status, body). Raises `Refused`, OSError or EOFError."""
        async with self._opening:
            if self._now is None or not self._now.is_open:
                reader, writer = await self._crowd.connect("h2")
                self._now = Connection(reader, writer)
        return await self._now.post("soak", "/posts", body)

    def close(self) -> None:
        """The end, by the client."""
        if self._now is not None:
            self._now.close()


async def serve(options: dict[str, Any]) -> None:
    """Say where the origin is, hear where the proxy is, work until the input ends, and report."""
    loop = asyncio.get_running_loop()
    ledger = Ledger()
    crowd = Crowd(ledger, await begin(ledger), options["think"])
    tasks = [loop.create_task(crowd.one(seed)) for seed in range(options["clients"])]
    await told_to_end()
    crowd.end()
    await asyncio.wait(tasks, timeout=2 * ANSWER_SECONDS)
    broken = [task.exception() for task in tasks if task.done() and task.exception()]
    for error in broken:
        ledger.note(f"a client ended with {error!r}")
    counts = {**ledger.counts(), "clients ended": len(broken)}
    del counts["connections closed"]
    report = {
        "counts": counts,
        "answered": ledger.answered,
        "again": crowd.again,
        "notes": ledger.notes,
    }
    print(json.dumps(report), flush=True)


def main() -> int:
    """`python -m benchmarks.soak.secure '{"clients": 64, "think": 0.1}'`."""
    uvloop.run(serve(json.loads(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
