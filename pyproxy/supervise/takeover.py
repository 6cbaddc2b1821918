"""The new side of a hot upgrade: take what the old generation holds, and its place when ready.

Nothing that is done here before TAKEN can harm the old generation: what it passes on are
duplicates, the workers accept nothing until it has agreed to leave, and it leaves only when this
one says that it serves.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyproxy import log
from pyproxy._version import __version__
from pyproxy.errors import ConfigError, StartError

from . import moving
from .bindpoint import address_text
from .channel import Channel, ChannelError, Kind, Message
from .control_socket import PROTOCOL, Passed, call
from .counters import Counters, CountersError
from .reactor import READ
from .shared import Shared, SharedError
from .sockets import is_live
from .systemd import GivenSocket
from .upgrade import LINK_VARIABLE

if TYPE_CHECKING:
    from .service import Service
    from .supervisor import Supervisor

# For each answer of the old generation, which has nothing to do but to answer.
_ANSWER_SECONDS = 10.0


# What this program understands beyond the first version of the protocol: an older one does not send
# it, and is not sent it.
_ABILITIES = {"shared": True}


class TakeoverError(StartError):
    """The old generation cannot be taken over from; it serves on."""


class Takeover:
    """One upgrade, seen by the program that comes."""

    def __init__(self, link: Channel) -> None:
        self._link = link
        self._asked = False
        self._committed = False
        self._departures: list[socket.socket] = []
        self._older: list[tuple[Channel, dict[str, Any]]] = []
        self._counters_fd = self._shared_fd = -1
        self._tree: dict[str, Any] = {}
        self._log = log.get("supervisor")
        self.given: list[GivenSocket] = []
        self.control: Passed | None = None
        self.tickets: dict[str, Any] | None = None

    # ---- meeting the old generation

    @classmethod
    def inherited(cls) -> Takeover | None:
        """The upgrade for which this program was started, if it was for one."""
        link, _, real = os.environ.pop(LINK_VARIABLE, "").partition(":")
        if not link.isdigit() or not real.isdigit():
            return None
        # What went wrong before now was kept for the old generation to tell; now we can speak.
        os.dup2(int(real), 2)
        os.close(int(real))
        os.set_inheritable(int(link), False)
        takeover = cls(Channel(socket.socket(fileno=int(link))))
        hello = {"protocol": PROTOCOL, "command": "takeover", **_ABILITIES}
        takeover._link.send(Kind.HELLO, hello)
        return takeover

    @classmethod
    def of(cls, path: Path) -> Takeover:
        """Take over from the service whose control socket this is. Raises `StartError`."""
        return cls(call(path, "takeover", **_ABILITIES))

    def receive(self) -> None:
        """Take the manifest and all descriptors. Raises `TakeoverError`."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        while True:
            try:
                messages = self._link.receive_blocking(max(deadline - time.monotonic(), 0.0))
            except ChannelError as error:
                raise TakeoverError(f"the running generation: {error}") from error
            for message in messages:
                if message.kind is Kind.MANIFEST_END:
                    return
                self._on_part(message)
            if self._link.closed:
                raise TakeoverError("the running generation has hung up")
            if not messages and time.monotonic() >= deadline:
                raise TakeoverError(
                    f"the running generation said nothing for {_ANSWER_SECONDS:g} s"
                )

    def _on_part(self, message: Message) -> None:
        if message.kind is Kind.MANIFEST:
            self._tree = message.body["tree"]
            self.tickets = message.body.get("tickets")
            self._counters_fd, *links = message.fds
            if message.body.get("shared"):
                self._shared_fd = links.pop()
            if message.body.get("control"):
                path, file_id = message.body["control"]
                self.control = Passed(path, tuple(file_id), socket.socket(fileno=links.pop()))
            self._older = [
                (Channel(socket.socket(fileno=fd)), tree)
                for fd, tree in zip(links, message.body["older"], strict=True)
            ]
        elif message.kind is Kind.SOCKETS:
            for row, fd in zip(message.body["sockets"], message.fds, strict=True):
                self.given.append(_verified(row, socket.socket(fileno=fd)))
        elif message.kind is Kind.DONE:
            raise TakeoverError(str(message.body.get("error", "refused")))
        else:
            message.close()

    @property
    def generation(self) -> int:
        """Ours."""
        return int(self._tree.get("generation", 0)) + 1

    def counters(self, service: Service) -> Counters:
        """The old generation's, so that no counter falls; new ones if they cannot be used."""
        fd, self._counters_fd = self._counters_fd, -1
        try:
            counters = Counters.adopt(fd)
        except CountersError as error:
            self._log.warning("counters begin at zero: %s", error)
            return Counters.make(service.config, service.slots)
        counters.add(service.config)
        return counters

    def shared(self, service: Service) -> Shared:
        """The old generation's table, so that limits hold on; a new one if it cannot be used."""
        fd, self._shared_fd = self._shared_fd, -1
        size = service.config.shared_memory_bytes
        if fd >= 0:
            try:
                return Shared.adopt(fd, size)
            except SharedError as error:
                self._log.warning("limits begin anew: %s", error)
        return Shared.make(size)

    def prepare(self, service: Service) -> None:
        """Make the places at which each worker will take the old generation's connections."""
        for slot in range(service.slots):
            service.arrivals[slot], departure = moving.pair()
            self._departures.append(departure)

    # ---- taking its place

    def watch(self, up: Supervisor) -> None:
        """From now on a refusal, or the end of the old generation, is heard at once."""
        up.reactor.watch(self._link, READ, lambda _: self._on_answer(up))

    def commit(self, up: Supervisor) -> None:
        """All workers are ready. Serve as soon as the old generation has agreed.

        However long that takes: it serves meanwhile.
        """
        self._asked = True
        if self._link.closed:
            self._succeed(up)
            return
        fds = [departure.fileno() for departure in self._departures]
        self._link.send(Kind.COMMIT, {"pid": os.getpid(), "version": __version__}, fds)

    def _on_answer(self, up: Supervisor) -> None:
        messages: list[Message] = []
        with contextlib.suppress(ChannelError):
            messages = self._link.receive()
        for message in messages:
            if message.kind is Kind.COMMITTED:
                self._succeed(up)
                return
            if message.kind is Kind.DONE:
                why = message.body.get("error", "no reason given")
                raise TakeoverError(f"the running generation has refused, and serves on: {why}")
        if self._link.closed:
            # It would have said why; so it has died. All the more reason to serve.
            self._log.warning("the old generation has ended without a word")
            up.reactor.unwatch(self._link)
            if self._asked:
                self._succeed(up)

    def _succeed(self, up: Supervisor) -> None:
        """Serve, and tell the old generation when that is certain: it serves until then."""
        up.begin_serving()
        with contextlib.suppress(ChannelError):
            if any(message.kind is Kind.DONE for message in self._link.receive()):
                raise TakeoverError("the running generation did not wait any longer")
        self._link.send(Kind.TAKEN)
        self._committed = up.served = True
        up.reactor.unwatch(self._link)
        for departure in self._departures:
            departure.close()
        self._departures = []
        for link, tree in self._older:
            up.generations.add(link, tree)
        if not self._link.closed:
            self._tree["phase"] = "draining"  # until it tells more
            up.generations.add(self._link, self._tree, up.service.close_arrivals)
        up.generations.limit()

    # ---- the end of it

    def fail(self, error: BaseException) -> None:
        """Tell the old generation why there will be nothing of it."""
        if self._committed:
            return
        faults = [list(fault) for fault in error.faults] if isinstance(error, ConfigError) else []
        text = str(error) or type(error).__name__
        self._link.send(Kind.FAILED, {"error": text, "faults": faults})
        self._link.flush_blocking(1.0)
        self._link.close()

    def close_inherited(self) -> None:
        """In a forked child."""
        if not self._committed:
            self._link.close()
            for link, _ in self._older:
                link.close()
            if self.control is not None:
                self.control.sock.close()
        for departure in self._departures:
            departure.close()


def _verified(row: dict[str, Any], sock: socket.socket) -> GivenSocket:
    """A socket that is what the manifest says. Raises `TakeoverError`."""
    sock.setblocking(False)
    real = address_text(sock)
    listening = is_live(sock)
    if real != row["address"] or not listening:
        what = "listens" if listening else "does not listen"
        raise TakeoverError(f"the socket passed on for {row['address']} {what} on {real}")
    file_id = row["file"]
    return GivenSocket(
        name=row["name"],
        sock=sock,
        foreign=bool(row["foreign"]),
        configured=row["configured"],
        slot=row["slot"],
        file_id=(file_id[0], file_id[1]) if file_id else None,
    )
