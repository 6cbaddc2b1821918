"""The control process: it runs the admin server, finds endpoints and checks their health.

Whatever it does, no request waits for it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from functools import partial
from importlib import import_module
from mmap import mmap
from typing import TYPE_CHECKING, Any, NamedTuple

import uvloop

from pyproxy import log
from pyproxy._counters import SharedTable, StatSegment
from pyproxy.config.model import Config
from pyproxy.control.care import Care
from pyproxy.supervise import blob, privileges
from pyproxy.supervise.channel import Channel, ChannelError, Kind, Voice
from pyproxy.supervise.endpoints import Endpoints
from pyproxy.supervise.pressure import Pressure
from pyproxy.tls.held import with_part, without_keys

if TYPE_CHECKING:
    from pyproxy.admin.api import Overview
    from pyproxy.admin.server import AdminServer
    from pyproxy.control.discovery.watchers import Watchers


class ControlPlan(NamedTuple):
    """All that the control process is made from."""

    config: Config
    admin_socket: socket.socket | None
    stats: mmap
    shared: mmap
    listeners: list[dict[str, Any]]
    start_time: float
    identity: privileges.Identity | None


def run(plan: ControlPlan, channel: Channel) -> int:
    """Entry after the fork; returns when told to stop or when the supervisor is gone."""
    # Imported here, in this process alone and after the workers are ready, for this is the slow
    # part of a start; and before the user changes, who may not be able to read where Python is
    # installed.
    from pyproxy.admin.api import Overview, application
    from pyproxy.control.discovery import wanted
    from pyproxy.control.discovery.watchers import Watchers

    if wanted(plan.config, "dns"):
        import_module("pyproxy.control.discovery.dns_source")
    segment = StatSegment.open(plan.stats)
    care = Care(segment, plan.config)
    overview = Overview(
        without_keys(plan.config),
        segment,
        plan.listeners,
        plan.start_time,
        Endpoints(segment),
        Pressure(segment),
        shared=SharedTable.open(plan.shared),
    )
    server = None
    if plan.admin_socket is not None:
        from pyproxy.admin.server import AdminServer

        server = AdminServer(application(overview), plan.admin_socket)
    if plan.identity is not None:
        privileges.drop(plan.identity)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    watchers = Watchers(partial(Voice(loop, channel).say, Kind.FOUND))
    overview.discovery = watchers.rows
    loop.run_until_complete(_serve(server, overview, watchers, care, plan.config, channel))
    return 0


async def _serve(
    server: AdminServer | None,
    overview: Overview,
    watchers: Watchers,
    care: Care,
    config: Config,
    channel: Channel,
) -> None:
    stopped = asyncio.Event()
    ending = asyncio.ensure_future(stopped.wait())
    serving = ending if server is None else asyncio.ensure_future(server.serve())
    loop = asyncio.get_running_loop()
    watchers.adopt(overview.config)
    care.adopt(config)
    loop.add_reader(channel.fileno(), _on_channel, channel, overview, watchers, care, stopped)
    await _first_of(serving, ending)
    loop.remove_reader(channel.fileno())
    watchers.close()
    care.close()
    if server is not None:
        server.end()
    # Raises what the server may have died of: then this process ends in error and is started again.
    await serving


async def _first_of(*futures: Awaitable[Any]) -> None:
    await asyncio.wait(
        [asyncio.ensure_future(f) for f in futures], return_when=asyncio.FIRST_COMPLETED
    )


def _on_channel(
    channel: Channel,
    overview: Overview,
    watchers: Watchers,
    care: Care,
    stopped: asyncio.Event,
) -> None:
    try:
        for message in channel.receive():
            if message.kind is Kind.STATE:
                overview.state = message.body
            elif message.kind is Kind.CONFIG:
                config = blob.unpack(message.fds[0])
                care.adopt(config)
                overview.config = without_keys(config)
                overview.listeners = message.body["listeners"]
                watchers.adopt(overview.config)
            elif message.kind is Kind.CERTIFICATES:
                part = without_keys(blob.unpack(message.fds[0]))
                overview.config = with_part(overview.config, part)
            elif message.kind is Kind.STOP:
                stopped.set()
            message.close()
    except ChannelError as error:
        log.get("control").error("the supervisor broke the protocol of the channel: %s", error)
        channel.closed = True
    if channel.closed:
        stopped.set()
