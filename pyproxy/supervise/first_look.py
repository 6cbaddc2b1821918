"""The endpoints that sources name at once, before a configuration is served.

In a process of its own: what name servers say is parsed there, and code of other packages runs
there, as the user that workers become.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from pyproxy import log
from pyproxy.config.found import carried, from_rows, with_found
from pyproxy.config.model import Config
from pyproxy.config.sections_balance import Endpoint
from pyproxy.errors import StartError

from . import privileges
from .channel import Channel, ChannelError, Kind
from .children import Child, end_with_parent, fork_child

# For all sources together; who says nothing until then is waited for while others are served.
SECONDS = 5.0
_GRACE_SECONDS = 3.0


def _nothing() -> None:
    pass


def with_first_look(
    config: Config,
    running: Config | None,
    identity: privileges.Identity | None,
    close_others: Callable[[], None] = _nothing,
) -> Config:
    """<config> with the endpoints that <running> has from the same sources, and with what the
    other sources find now.

    That one finds nothing is told, and keeps nobody from serving: it is asked again.
    """
    config, fresh = carried(config, running or Config())
    if not fresh:
        return config
    found: dict[str, tuple[Endpoint, ...]] = {}
    for message in _ask(config, fresh, identity, close_others):
        name, rows = message["upstream"], message["endpoints"]
        if rows is not None:
            found[name] = from_rows(rows)
    for name in fresh:
        if name not in found:
            log.get("supervisor").warning("upstream %s: no endpoints were found yet", name)
    return with_found(config, found)


def _ask(
    config: Config,
    names: Sequence[str],
    identity: privileges.Identity | None,
    close_others: Callable[[], None],
) -> list[dict[str, Any]]:
    child = Child(
        "the search for endpoints", lambda c: _look(c, config, names, identity), "pyproxy-find"
    )
    heard: list[dict[str, Any]] = []
    give_up = time.monotonic() + SECONDS + _GRACE_SECONDS
    try:
        fork_child(child, time.monotonic(), close_others)
        assert child.channel is not None
        while not child.channel.closed and time.monotonic() < give_up:
            messages = child.channel.receive_blocking(give_up - time.monotonic())
            heard += [m.body for m in messages if m.kind is Kind.FOUND]
    except ChannelError as error:
        raise StartError(f"the search for endpoints: {error}") from error
    finally:
        if child.running:
            os.kill(child.pid, signal.SIGKILL)
            os.waitpid(child.pid, 0)
        if child.channel is not None:
            child.channel.close()
    return heard


def _look(
    channel: Channel,
    config: Config,
    names: Sequence[str],
    identity: privileges.Identity | None,
) -> int:
    # Before the user changes, who may not be able to read where Python is installed.
    from pyproxy.control.discovery import wanted
    from pyproxy.control.discovery.watchers import look_once

    end_with_parent(channel)
    if wanted(config, "dns"):
        from pyproxy.control.discovery import dns_source

        assert dns_source
    if identity is not None:
        privileges.drop(identity)
    for message in asyncio.run(look_once(config, names, SECONDS)):
        channel.send(Kind.FOUND, message)
    return 0
