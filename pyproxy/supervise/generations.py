"""The older generations of this service that are still finishing their connections.

Each is a supervisor of its own that tells its tree over a link, until it ends. The links go on to
the next generation at an upgrade, so the newest supervisor knows all that is left.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyproxy import log

from .channel import Channel, ChannelError, Kind
from .reactor import READ

if TYPE_CHECKING:
    from .supervisor import Supervisor

# Memory: each generation is a whole set of processes. The oldest ends when there are more.
MAX_OLDER = 3
_TELL_SECONDS = 0.2
# How often the processes of one that has died are looked for.
_AGAIN_SECONDS = 2.0


def _is_alive(pid: int) -> bool:
    return pid > 0 and os.path.exists(f"/proc/{pid}")


class Older:
    """One older generation."""

    def __init__(self, link: Channel, tree: dict[str, Any], on_end: Callable[[], None]) -> None:
        self.link = link
        self.tree = tree
        self.on_end = on_end

    @property
    def name(self) -> str:
        """What people call it."""
        return f"generation {self.tree.get('generation', '?')} (pid {self.tree.get('pid', '?')})"


class Generations:
    """Links to the older generations, and, once there is one, to the newer."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._up = supervisor
        self._log = log.get("supervisor")
        self.older: list[Older] = []
        self._newer: Channel | None = None
        self._telling = False

    # ---- those before us

    def add(
        self, link: Channel, tree: dict[str, Any], on_end: Callable[[], None] = lambda: None
    ) -> None:
        """Listen to an older generation; <tree> is what is known of it."""
        one = Older(link, tree, on_end)
        self.older.append(one)
        self._up.reactor.watch(link, READ, lambda _: self._hear(one))

    def limit(self) -> None:
        """End the oldest ones when there are too many."""
        for one in self.older[:-MAX_OLDER]:
            self._log.warning(f"{one.name} has to end: {MAX_OLDER} older ones are enough")
            one.link.send(Kind.END)

    def end_all(self) -> None:
        """The service ends: so do they."""
        for one in self.older:
            one.link.send(Kind.END)

    def reopen_logs(self) -> None:
        """The log files have been moved away under all of us."""
        for one in self.older:
            one.link.send(Kind.ROTATED)

    def _hear(self, one: Older) -> None:
        try:
            for message in one.link.receive():
                if message.kind is Kind.TREE:
                    one.tree = message.body
                message.close()
        except ChannelError as error:
            self._log.error(f"{one.name} says what nobody understands: {error}")
            one.link.closed = True
        if one.link.closed:
            self._up.reactor.unwatch(one.link)
            one.link.close()
            self.older.remove(one)
            self._log.info(f"{one.name} has ended")
            one.on_end()
            self._release_columns(one)
            self._up.on_change()

    def _release_columns(self, one: Older) -> None:
        """Give its columns of the counters back, when nobody counts there any more.

        Workers of a supervisor that was killed finish what they have.
        """
        pids = [int(worker["pid"]) for worker in one.tree.get("workers", ())]
        if any(_is_alive(pid) for pid in pids):
            self._up.reactor.call_later(_AGAIN_SECONDS, lambda: self._release_columns(one))
        else:
            self._up.service.counters.release_columns_of(int(one.tree.get("pid", 0)))

    def pass_on(self) -> tuple[list[dict[str, Any]], list[int]]:
        """What the next generation needs: what is known of each, and the links."""
        return [one.tree for one in self.older], [one.link.fileno() for one in self.older]

    def let_go(self) -> None:
        """The next generation has them."""
        for one in self.older:
            self._up.reactor.unwatch(one.link)
            one.link.close()
        self.older = []

    # ---- the one after us

    def set_newer(self, link: Channel) -> None:
        """From now on this is told how far the drain is."""
        self._newer = link
        self._up.reactor.watch(link, READ, lambda _: self._hear_newer(link))
        self.tell()

    def _hear_newer(self, link: Channel) -> None:
        try:
            for message in link.receive():
                if message.kind is Kind.ROTATED:
                    self._up.reopen_logs()
                elif message.kind is Kind.END:
                    self._log.warning("the newest generation wants this one to end")
                    self._up.stop()
                message.close()
        except ChannelError:
            link.closed = True
        if link.closed:
            # It is gone, and whoever comes after it did not get the link: drain alone.
            self._up.reactor.unwatch(link)
            link.close()
            self._newer = None

    def tell(self) -> None:
        """Tell the newer generation of a change, a few times a second at most."""
        if self._newer is not None and not self._telling:
            self._telling = True
            self._up.reactor.call_later(_TELL_SECONDS, self._tell_now)

    def _tell_now(self) -> None:
        self._telling = False
        if self._newer is not None:
            self._newer.send(Kind.TREE, self._up.state())

    # ---- life

    def close_inherited(self) -> None:
        """In a forked child: the links are the supervisor's alone."""
        for one in self.older:
            one.link.close()
        if self._newer is not None:
            self._newer.close()

    def close(self) -> None:
        """The end: a closed link is what tells the newer generation."""
        self.close_inherited()
