"""Who accepts on which socket: worker places, their number, and the end of sockets.

What ought to be is in the socket table; `sync` tells every worker what it lacks and what is not its
own any more. A socket that is to go is closed only when its queue is provably empty:

    removed from the configuration  no new ones (SYN refused) -> a moment for handshakes under way
                                    -> every worker empties the queue and lets go -> closed
    surplus, with fewer workers     new connections are steered to the others -> the same, but
                                    another worker serves it meanwhile
"""

from __future__ import annotations

import math
import socket
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from pyproxy import log

from . import moving, retire, systemd
from .binding import listen
from .channel import MAX_FDS, Kind
from .children import Child, State
from .sockets import BoundAddress, ListenSocket

if TYPE_CHECKING:
    from .supervisor import Supervisor

# For handshakes under way when a socket is told to get no new ones; above a long round trip.
_GRACE_SECONDS = 1.0
# How often a queue that is not empty is looked at again.
_AGAIN_SECONDS = 0.1


class Assignment:
    """Keeps workers and sockets together."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._up = supervisor
        self._log = log.get("supervisor")
        # Socket numbers that a worker's process was told to accept on and has not let go of.
        self._served: dict[Child, set[int]] = {}
        # Successors of workers that leave, until they are ready: then the old one may go.
        self._replacing: dict[Child, Child] = {}

    # ---- workers

    def forked(self, child: Child) -> None:
        """A process for <child> is about to be forked: it accepts on what its slot has now."""
        service = self._up.service
        self._served[child] = {held.id for held in service.sockets_at_fork(child.slot)}

    def left(self, child: Child) -> None:
        """It was told to drain: it empties the queues and lets go of everything by itself."""
        self._served.pop(child, None)
        if not child.running:
            self._give_up_column(child)
        self._close_unserved()

    def on_exit(self, child: Child) -> None:
        """Its process is gone, and with it all that it accepted on."""
        self._served.pop(child, None)
        if not child.lasting:
            self._give_up_column(child)
        self._close_unserved()

    def _give_up_column(self, child: Child) -> None:
        """Nobody counts there any more."""
        column, child.column = child.column, -1
        if column >= 0:
            self._up.service.counters.release_column(column)

    def on_unlistened(self, child: Child, ids: Iterable[int]) -> None:
        """A worker has let go of these sockets."""
        self._served.get(child, set()).difference_update(ids)
        self._close_unserved()

    def sync(self) -> None:
        """Tell every worker what it lacks, and what is not its own any more."""
        service = self._up.service
        if not service.accepting:
            return
        self._let_listen()
        for child in self._up.workers:
            if child.state is not State.READY:
                continue
            served = self._served.setdefault(child, set())
            wanted = [held for held in service.table.of_slot(child.slot) if held.listens]
            self._listen(child, [held for held in wanted if held.id not in served])
            keeps = {held.id for held in service.table.of_slot(child.slot, retiring=True)}
            surplus = sorted(served - keeps)
            if surplus:
                self._up.tree.send(child, Kind.UNLISTEN, {"ids": surplus})
            served.update(held.id for held in wanted)

    def _listen(self, child: Child, sockets: list[ListenSocket]) -> None:
        for start in range(0, len(sockets), MAX_FDS):
            part = sockets[start : start + MAX_FDS]
            self._up.tree.send(
                child,
                Kind.LISTEN,
                {"sockets": [[held.listener, held.id] for held in part]},
                [held.sock.fileno() for held in part],
            )

    def _let_listen(self) -> None:
        """New sockets get connections when every worker is there.

        In the order of the slots, for that is how `steer` counts them.
        """
        up = self._up
        if not all(child.state is State.READY for child in up.workers):
            return
        for bound in up.service.table.bound:
            for held in sorted(bound.sockets, key=lambda held: held.slot or 0):
                if held.id not in up.service.table.closing and not held.listens:
                    listen(bound, held)

    def replace(self, child: Child) -> None:
        """Put another worker in the place of <child>, which goes on until that one is ready."""
        up = self._up
        if child not in up.workers:
            return  # it is leaving already, or has a successor
        child.lasting = False
        new = up.service.worker(child.slot)
        new.restarts = child.restarts + 1
        up.workers[up.workers.index(child)] = new
        self._replacing[new] = child
        self._log.info(f"{child.role} (pid {child.pid}) leaves, and is replaced")
        up.tree.add(new)

    def on_ready(self, child: Child) -> None:
        """A worker can serve."""
        self.sync()
        old = self._replacing.pop(child, None)
        if old is not None and old.running:
            self._send_off(old)

    # ---- the number of workers

    def resize(self, slots: int) -> None:
        """Go to <slots> worker places; the table has the sockets for them already."""
        up = self._up
        first = len(up.workers)
        for slot in range(first, slots):
            self._add(up.service.worker(slot))
        leaving = up.workers[slots:]
        del up.workers[slots:]
        up.service.slots = slots
        self.settle()
        for child in leaving:
            self._send_off(child)

    def settle(self) -> None:
        """Give every socket its worker, and let the surplus ones go in a while."""
        self._steer()
        self.sync()
        if self._up.service.table.surplus():
            self._up.reactor.call_later(_GRACE_SECONDS, self._retire_surplus)

    def _add(self, child: Child) -> None:
        self._up.workers.append(child)
        self._up.tree.add(child)

    def _send_off(self, child: Child) -> None:
        """A worker leaves; another one goes on with its idle connections."""
        heir = self._up.workers[child.slot % len(self._up.workers)]
        arrival, departure = moving.pair()
        with arrival, departure:
            if heir.state is State.READY:
                self._up.tree.send(heir, Kind.ARRIVALS, {}, [arrival.fileno()])
                self._up.tree.send(child, Kind.HAND_OVER, {}, [departure.fileno()])
        self._pass_arrivals_on(child, heir)
        self._up.drain_worker(child)
        pid, seconds = child.pid, self._up.service.drain_limit
        if seconds != math.inf:
            self._up.reactor.call_later(seconds, lambda: self._kill_late(child, pid))

    def _pass_arrivals_on(self, child: Child, heir: Child) -> None:
        """What an older generation still sends to the slot has another receiver."""
        arrival = self._up.service.arrivals.pop(child.slot, None)
        if arrival is not None:
            self._up.tree.send(heir, Kind.ARRIVALS, {}, [arrival.fileno()])
            arrival.close()

    def _kill_late(self, child: Child, pid: int) -> None:
        if child.pid == pid and child.running:
            self._log.warning(f"{child.role} (pid {pid}) did not end in time: killed")
            self._up.tree.kill(child)

    def _steer(self) -> None:
        """New connections go to the sockets of slots that have a worker."""
        service = self._up.service
        for bound in service.table.bound:
            if bound.is_shared or bound.foreign or not bound.sockets:
                continue
            first = bound.sockets[0].sock
            if bound.retiring:
                continue
            if len(bound.sockets) > service.slots:
                retire.steer(first, service.slots)
            else:
                retire.steer_no_more(first)

    def _retire_surplus(self) -> None:
        """Let the surplus sockets go whose queues are empty."""
        if not self._up.service.accepting:
            return  # they are closed already, or somebody else's
        if self._up.reload.active:
            # It counts on what is there now.
            self._up.reactor.call_later(_AGAIN_SECONDS, self._retire_surplus)
            return
        table = self._up.service.table
        surplus = [held for held in table.surplus() if held.id not in table.closing]
        waiting = [held for held in surplus if retire.queue_length(held.sock)]
        table.closing.update(held.id for held in surplus if held not in waiting)
        self.sync()
        self._close_unserved()
        if waiting:
            self._up.reactor.call_later(_AGAIN_SECONDS, self._retire_surplus)

    # ---- addresses that are not in the configuration any more

    def retire(self, removed: Collection[BoundAddress]) -> None:
        """Close these addresses without losing what waits there."""
        for bound in removed:
            bound.remove_file()
            passed_on = any(
                other.real == bound.real and not other.retiring
                for other in self._up.service.table.bound
            )
            # A foreign socket lives on with whoever has bound it.
            for held in bound.sockets if not (passed_on or bound.foreign) else []:
                retire.refuse_new(held.sock)
        if removed:
            grace = 0.0 if all(b.family == socket.AF_UNIX for b in removed) else _GRACE_SECONDS
            self._up.reactor.call_later(grace, lambda: self._let_go(removed))

    def _let_go(self, removed: Collection[BoundAddress]) -> None:
        if not self._up.service.accepting:
            return
        if any(retire.queue_length(held.sock) for b in removed for held in b.sockets):
            # Its workers have not come round to it.
            self._up.reactor.call_later(_AGAIN_SECONDS, lambda: self._let_go(removed))
            return
        table = self._up.service.table
        table.closing.update(held.id for bound in removed for held in bound.sockets)
        self.sync()
        self._close_unserved()

    def _close_unserved(self) -> None:
        """Close what is to go and what no worker holds any more."""
        table = self._up.service.table
        held = set().union(*self._served.values()) if self._served else set()
        gone = table.closing - held
        if gone:
            before = {name for name, _ in table.to_store()}
            table.forget(gone)
            # A service manager's copy would go on taking connections.
            systemd.remove_sockets(before - {name for name, _ in table.to_store()})
