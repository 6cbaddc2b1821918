"""Keep-alive clients that think between POSTs, and the origin that writes down what arrives.

Both are in one process, so that one ledger knows everything. Run as a program with its options as
JSON; see `main`.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from typing import Any, cast

import uvloop

from benchmarks.soak.ledger import Ledger

ANSWER_SECONDS = 15.0
# Now and then a client closes its connection itself and comes back on another.
_LEAVES = 0.02
_HEAD_END = b"\r\n\r\n"


def content_length(head: bytes) -> int:
    """Of a head as the proxy or a client of ours writes it; 0 without."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


class Messages:
    """Cuts a stream into messages with a Content-Length: (head, body)."""

    def __init__(self) -> None:
        self._unread = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """All that are complete now."""
        self._unread += data
        found = []
        while (end := self._unread.find(_HEAD_END)) >= 0:
            head = bytes(self._unread[:end])
            whole = end + len(_HEAD_END) + content_length(head)
            if len(self._unread) < whole:
                break
            found.append((head, bytes(self._unread[end + len(_HEAD_END) : whole])))
            del self._unread[:whole]
        return found


class Origin(asyncio.Protocol):
    """Answers every POST with its own body, after having written its id down."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._messages = Messages()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        for _, body in self._messages.feed(data):
            self._ledger.see(int(body.partition(b" ")[0]))
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            self._transport.write(head + body)


class Client(asyncio.Protocol):
    """One connection at a time: POST, answer, thought, POST, …"""

    def __init__(self, ledger: Ledger, think: float, draw: random.Random) -> None:
        self._ledger = ledger
        self._think = think
        self._draw = draw
        self._messages = Messages()
        self._number = 0
        self._body = b""
        self._sent_at = 0.0
        self._closing = False
        self._transport: asyncio.Transport | None = None
        self._next: asyncio.TimerHandle | None = None
        self.over = asyncio.get_running_loop().create_future()

    @property
    def is_idle(self) -> bool:
        """No request is under way."""
        return self._number == 0

    @property
    def is_late(self) -> bool:
        """The answer should have come long ago."""
        return not self.is_idle and time.monotonic() - self._sent_at > ANSWER_SECONDS

    def close(self) -> None:
        """The end, by the client."""
        self._closing = True
        if self._next is not None:
            self._next.cancel()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._port = self._transport.get_extra_info("sockname")[1]
        self._plan()

    def _plan(self) -> None:
        pause = self._draw.expovariate(1 / self._think)
        self._next = asyncio.get_running_loop().call_later(min(pause, 10 * self._think), self._send)

    def _send(self) -> None:
        assert self._transport is not None
        self._number = self._ledger.send()
        self._sent_at = time.monotonic()
        self._body = b"%d %s" % (self._number, b"x" * self._draw.randrange(2000))
        head = b"POST /posts HTTP/1.1\r\nHost: soak\r\nContent-Length: %d\r\n\r\n" % len(self._body)
        if self._draw.random() < 0.2:
            # In two packets: a head without its body is not idle, and must not be cut either.
            self._transport.write(head)
            loop = asyncio.get_running_loop()
            loop.call_later(self._draw.random() * 0.02, self._transport.write, self._body)
        else:
            self._transport.write(head + self._body)

    def data_received(self, data: bytes) -> None:
        for head, body in self._messages.feed(data):
            if head.startswith(b"HTTP/1.1 200 ") and body == self._body:
                self._ledger.answer(self._number)
            else:
                self._ledger.wrong += 1
                self._ledger.note(f"{head[:80]!r} for {self._number}")
            self._number = 0
            if not self._closing and self._draw.random() < _LEAVES:
                self.close()
            elif not self._closing:
                self._plan()

    def connection_lost(self, error: Exception | None) -> None:
        if self._next is not None:
            self._next.cancel()
        if not self._closing:
            if self.is_idle:
                self._ledger.closed += 1
                self._note("idle", error)
            else:
                self._ledger.cut += 1
                self._note(f"waiting for {self._number}", error)
        if not self.over.done():
            self.over.set_result(None)

    def _note(self, what: str, error: Exception | None) -> None:
        how = type(error).__name__ if error else "end of stream"
        self._ledger.note(f"{time.strftime('%H:%M:%S')} port {self._port} {what}: {how}")


class Crowd:
    """Clients that connect again whenever they are put out."""

    def __init__(self, ledger: Ledger, port: int, think: float) -> None:
        self._ledger = ledger
        self._port = port
        self._think = think
        self._now: set[Client] = set()
        self._ending = False

    async def one(self, seed: int) -> None:
        """One client for ever."""
        loop = asyncio.get_running_loop()
        draw = random.Random(seed)
        while not self._ending:
            try:
                _, client = await loop.create_connection(
                    lambda: Client(self._ledger, self._think, draw), "127.0.0.1", self._port
                )
            except OSError as error:
                self._ledger.cut += 1
                self._ledger.note(f"no connection: {error}")
                await asyncio.sleep(0.1)
                continue
            self._now.add(client)
            await client.over
            self._now.discard(client)

    async def end(self) -> None:
        """Wait for the answers that are due, then close."""
        self._ending = True
        while waiting := [c for c in self._now if not c.is_idle and not c.is_late]:
            for client in self._now - set(waiting):
                client.close()
            await asyncio.sleep(0.01)
        for client in list(self._now):
            self._ledger.timed_out += client.is_late
            client.close()


async def begin(ledger: Ledger) -> int:
    """Serve the origin and say where it is; the port of the proxy, when it is told."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Origin(ledger), "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"origin": server.sockets[0].getsockname()[1]}), flush=True)
    return int(json.loads(await loop.run_in_executor(None, sys.stdin.readline))["port"])


async def told_to_end() -> None:
    """Wait for the end of the input."""
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


async def serve(options: dict[str, Any]) -> None:
    """Say where the origin is, hear where the proxy is, work until the input ends, and report."""
    loop = asyncio.get_running_loop()
    ledger = Ledger()
    crowd = Crowd(ledger, await begin(ledger), options["think"])
    tasks = [loop.create_task(crowd.one(seed)) for seed in range(options["clients"])]
    await told_to_end()
    await crowd.end()
    await asyncio.wait(tasks, timeout=ANSWER_SECONDS)
    report = {"counts": ledger.counts(), "answered": ledger.answered, "notes": ledger.notes}
    print(json.dumps(report), flush=True)


def main() -> int:
    """`python -m benchmarks.soak.posts '{"clients": 64, "think": 0.1}'`."""
    uvloop.run(serve(json.loads(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
