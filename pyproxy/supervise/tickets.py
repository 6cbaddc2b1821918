"""The keys of session tickets: made here, shared by all workers, and changed from time to time.

A client that comes back shows a ticket, and whoever has its key goes on with the session. Whoever
steals the key can read what was said in such sessions, if only of TLS 1.2, and pass for us in those
that are resumed: so a key makes tickets for `session_ticket_lifetime`, opens them for as long
again, and is forgotten.

    keys      [now, next, before]
    a change  next becomes now, a new one next

The next key is known everywhere before any worker makes a ticket with it: no client meets a worker
that has not heard of it yet. Workers that are forked have the keys from this process, those that
run get them by their channels, and the next generation in the manifest of the upgrade, so that
sessions go on there. Nothing is written anywhere.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .channel import Kind

if TYPE_CHECKING:
    from .supervisor import Supervisor

# What io/tls_ticket.h takes.
_KEY_BYTES, _MAX_KEYS = 80, 3
# A shorter lifetime that a reload brings is noticed so soon.
_LOOK_SECONDS = 60.0


class Tickets:
    """The keys of one generation; none when the TLS library keeps to its own."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._up = supervisor
        self._keys: list[bytes] = []
        self._since = 0.0

    def prepare(self, passed: dict[str, Any] | None) -> None:
        """Before the first fork: go on with what the old generation has <passed>, or begin."""
        self._since = self._up.reactor.clock()
        keys = _unpack(passed)
        if passed is not None and keys:
            self._since -= float(passed.get("age", 0.0))
        self._keys = keys or [_new(), _new()]
        if not self._up.service.use_ticket_keys(self._keys):
            self._keys = []

    def begin(self) -> None:
        """This generation serves: change keys when it is time."""
        if self._keys:
            self._look()

    def _look(self) -> None:
        up, clock = self._up, self._up.reactor.clock()
        if up.phase not in ("running", "leaving"):
            return
        lifetime = up.service.config.session_ticket_lifetime_ms / 1000
        if lifetime and clock >= self._since + lifetime:
            self._since = clock
            self._change()
        left = self._since + lifetime - clock if lifetime else _LOOK_SECONDS
        up.reactor.call_later(min(left, _LOOK_SECONDS), self._look)

    def _change(self) -> None:
        now, following = self._keys[:2]
        self._keys = [following, _new(), now]
        self._up.service.use_ticket_keys(self._keys)
        for child in self._up.workers:
            self._up.tree.send(child, Kind.TICKET_KEYS, _pack(self._keys))

    def pass_on(self) -> dict[str, Any]:
        """For the next generation."""
        return {**_pack(self._keys), "age": self._up.reactor.clock() - self._since}


def _new() -> bytes:
    return os.urandom(_KEY_BYTES)


def _pack(keys: list[bytes]) -> dict[str, Any]:
    return {"keys": [key.hex() for key in keys]}


def _unpack(passed: dict[str, Any] | None) -> list[bytes]:
    """The keys of another generation, which may be of another version; none if they do not fit."""
    try:
        keys = [bytes.fromhex(text) for text in (passed or {"keys": []})["keys"]]
    except (KeyError, TypeError, ValueError):
        return []
    fits = 2 <= len(keys) <= _MAX_KEYS and all(len(key) == _KEY_BYTES for key in keys)
    return keys if fits else []
