"""Both ends of many tunnels, each sending a stream of its own; in one process, so that at the end
everything that was sent can be compared with what arrived.

Most tunnels say little. Of every ten, one is thick: much is sent, and read so slowly that it piles
up in the proxy; and two have only one direction left, because one side has ended its own early.

Run as a program with its options as JSON; see `main`.
"""

from __future__ import annotations

import asyncio
import enum
import json
import random
import struct
import sys
from collections import Counter
from typing import Any, ClassVar, cast

import uvloop

from benchmarks.soak.stream import Receiver, piece

END_SECONDS = 20.0
CONNECT_AT_ONCE = 50
_NUMBER = struct.Struct(">I")
_FROM_ENDPOINT = 1 << 20
_LARGEST, _THICK = 1500, 128 * 1024
_PENDING = 1 << 20
_SLOW = 0.3


class Style(enum.Enum):
    """What a tunnel is like."""

    PLAIN = enum.auto()
    THICK = enum.auto()
    UPWARD_ENDS = enum.auto()
    DOWNWARD_ENDS = enum.auto()


def style_of(number: int) -> Style:
    """The style of tunnel <number>."""
    of_ten = {0: Style.THICK, 1: Style.UPWARD_ENDS, 2: Style.DOWNWARD_ENDS}
    return of_ten.get(number % 10, Style.PLAIN)


class End(asyncio.Protocol):
    """One end of a tunnel: sends its stream, checks the other's."""

    # The style of tunnels in which this end soon has nothing more to say; and the other one.
    one_way: ClassVar[Style]
    other_way: ClassVar[Style]

    def __init__(self, town: Town) -> None:
        self.town = town
        self.number = -1
        self.sent = 0
        self.receiver: Receiver | None = None
        self.over = asyncio.Event()
        self.style = Style.PLAIN
        self.has_ended = False
        self._is_paused = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def begin(self, number: int, own: int, other: int) -> None:
        """Which tunnel this is, and so what to send and to expect."""
        self.number = number
        self.style = style_of(number)
        self._own = own
        self.receiver = Receiver(other)
        if self.style is self.one_way:
            self.send()
            self.end()

    def send(self) -> None:
        """A piece of the stream."""
        transport, draw = self.transport, self.town.draw
        if transport is None or self.has_ended or transport.get_write_buffer_size() > _PENDING:
            return
        size = draw.randrange(1, _THICK if self.style is Style.THICK else _LARGEST)
        transport.write(piece(self._own, self.sent, size))
        self.sent += size
        if self.style is Style.THICK:
            self._read(draw.random() > _SLOW)

    def _read(self, on: bool) -> None:
        """Take what comes, or let it pile up."""
        if self.transport is not None and on is self._is_paused:
            self._is_paused = not on
            if on:
                self.transport.resume_reading()
            else:
                self.transport.pause_reading()

    def end(self) -> None:
        """End our direction. The other one goes on."""
        if self.transport is not None and not self.has_ended:
            self.transport.write_eof()
        self.has_ended = True
        self._read(True)

    def data_received(self, data: bytes) -> None:
        if self.receiver is not None:
            self.receiver.feed(data)

    def eof_received(self) -> bool:
        if not self.town.ending and self.style is not self.other_way:
            self.town.closed(self, None)
        self.over.set()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if not self.town.ending:
            self.town.closed(self, error)
        elif error is not None:
            self.town.faults["reset at the end"] += 1
        self.over.set()
        self.transport = None


class Client(End):
    """The end that connects; its first bytes tell the other which tunnel it is."""

    one_way, other_way = Style.UPWARD_ENDS, Style.DOWNWARD_ENDS

    def open(self, number: int) -> None:
        """Begin as tunnel <number>."""
        assert self.transport is not None
        self.transport.write(_NUMBER.pack(number))
        self.begin(number, number, _FROM_ENDPOINT + number)


class Endpoint(End):
    """The end that the proxy connects to."""

    one_way, other_way = Style.DOWNWARD_ENDS, Style.UPWARD_ENDS

    def __init__(self, town: Town) -> None:
        super().__init__(town)
        self._first = b""

    def data_received(self, data: bytes) -> None:
        if self.receiver is None:
            self._first += data
            if len(self._first) < _NUMBER.size:
                return
            (number,) = _NUMBER.unpack_from(self._first)
            self.begin(number, _FROM_ENDPOINT + number, number)
            self.town.know(self)
            data = self._first[_NUMBER.size :]
        super().data_received(data)


class Town:
    """All of them."""

    def __init__(self, tunnels: int, pause: float) -> None:
        self.draw = random.Random(tunnels)
        self.ending = False
        self.clients: list[Client] = []
        self.endpoints: dict[int, Endpoint] = {}
        self.faults: Counter[str] = Counter()
        self.notes: list[str] = []
        self.all_known = asyncio.Event()
        self._tunnels = tunnels
        self._pause = pause

    def know(self, endpoint: Endpoint) -> None:
        """An endpoint has read which tunnel it is."""
        self.endpoints[endpoint.number] = endpoint
        if len(self.endpoints) == self._tunnels:
            self.all_known.set()

    def closed(self, end: End, error: Exception | None) -> None:
        """A tunnel has ended although neither side wanted it."""
        side = "client" if isinstance(end, Client) else "endpoint"
        self.faults[f"closed, seen by {side}"] += 1
        if len(self.notes) < 20:
            how = type(error).__name__ if error else "end of stream"
            got = end.receiver.received if end.receiver else 0
            self.notes.append(
                f"tunnel {end.number}, {side}: {how} after {end.sent} sent, {got} received"
            )

    async def open(self, port: int) -> None:
        """Open every tunnel, and wait until the other ends know which they are."""
        loop = asyncio.get_running_loop()
        gate = asyncio.Semaphore(CONNECT_AT_ONCE)

        async def one(number: int) -> None:
            async with gate:
                _, client = await loop.create_connection(lambda: Client(self), "127.0.0.1", port)
                client.open(number)
                self.clients.append(client)

        await asyncio.gather(*(one(number) for number in range(self._tunnels)))
        await asyncio.wait_for(self.all_known.wait(), END_SECONDS)

    async def talk(self, over: asyncio.Future[Any]) -> None:
        """Send from every end in turn until it is over."""
        ends: list[End] = [*self.clients, *self.endpoints.values()]
        ticks = 20
        while not over.done():
            for part in range(ticks):
                for end in ends[part::ticks]:
                    end.send()
                await asyncio.sleep(self._pause / ticks)

    async def end(self) -> None:
        """Stop sending, end every stream in order, and wait until all has arrived."""
        self.ending = True
        ends: list[End] = [*self.clients, *self.endpoints.values()]
        for end in ends:
            end.end()
        try:
            await asyncio.wait_for(asyncio.gather(*(end.over.wait() for end in ends)), END_SECONDS)
        except TimeoutError:
            self.notes.append("the end of some streams did not arrive")
        for end in ends:
            if end.transport is not None:
                end.transport.close()

    def report(self) -> dict[str, Any]:
        """What must be zero, and how much there was."""
        lost = wrong = total = 0
        for client in self.clients:
            endpoint = self.endpoints[client.number]
            for sender, receiver in ((client, endpoint.receiver), (endpoint, client.receiver)):
                assert receiver is not None
                lost += abs(sender.sent - receiver.received)
                wrong += receiver.wrong
                total += receiver.received
        closed = sum(n for kind, n in self.faults.items() if kind.startswith("closed"))
        counts = {
            "closed tunnels": closed,
            "bytes lost": lost,
            "bytes wrong or out of order": wrong,
            "reset at the end": self.faults["reset at the end"],
        }
        return {"counts": counts, "bytes": total, "notes": self.notes}


async def serve(options: dict[str, Any]) -> None:
    """Say where the endpoint is, hear where the proxy is, work until the input ends, and report."""
    loop = asyncio.get_running_loop()
    town = Town(options["tunnels"], options["pause"])
    server = await loop.create_server(lambda: Endpoint(town), "127.0.0.1", 0, backlog=1024)
    print(json.dumps({"origin": server.sockets[0].getsockname()[1]}), flush=True)
    port = json.loads(await loop.run_in_executor(None, sys.stdin.readline))["port"]
    await town.open(port)
    print(json.dumps({"open": len(town.clients)}), flush=True)
    await town.talk(loop.run_in_executor(None, sys.stdin.read))
    await town.end()
    print(json.dumps(town.report()), flush=True)


def main() -> int:
    """`python -m benchmarks.soak.tunnels '{"tunnels": 500, "pause": 0.5}'`."""
    uvloop.run(serve(json.loads(sys.argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
