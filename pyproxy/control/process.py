"""The control process: it runs the admin server; whatever it does, no request waits for it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable
from mmap import mmap
from typing import TYPE_CHECKING, Any, NamedTuple

import uvloop

from pyproxy import log
from pyproxy._wire import SharedTable, StatSegment
from pyproxy.config.model import Config
from pyproxy.supervise import blob, privileges
from pyproxy.supervise.channel import Channel, ChannelError, Kind
from pyproxy.supervise.endpoints import Endpoints
from pyproxy.tls.held import with_part, without_keys

if TYPE_CHECKING:
    from pyproxy.admin.api import Overview
    from pyproxy.admin.server import AdminServer


class ControlPlan(NamedTuple):
    """All that the control process is made from."""

    config: Config
    admin_socket: socket.socket
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
    from pyproxy.admin.server import AdminServer

    segment = StatSegment.open(plan.stats)
    overview = Overview(
        without_keys(plan.config),
        segment,
        plan.listeners,
        plan.start_time,
        Endpoints(segment),
        shared=SharedTable.open(plan.shared),
    )
    server = AdminServer(application(overview), plan.admin_socket)
    if plan.identity is not None:
        privileges.drop(plan.identity)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_serve(server, overview, channel))
    return 0


async def _serve(server: AdminServer, overview: Overview, channel: Channel) -> None:
    serving = asyncio.ensure_future(server.serve())
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(channel.fileno(), _on_channel, channel, overview, stopped)
    await _first_of(serving, asyncio.ensure_future(stopped.wait()))
    loop.remove_reader(channel.fileno())
    server.end()
    # Raises what the server may have died of: then this process ends in error and is started again.
    await serving


async def _first_of(*futures: Awaitable[Any]) -> None:
    await asyncio.wait(
        [asyncio.ensure_future(f) for f in futures], return_when=asyncio.FIRST_COMPLETED
    )


def _on_channel(channel: Channel, overview: Overview, stopped: asyncio.Event) -> None:
    try:
        for message in channel.receive():
            if message.kind is Kind.STATE:
                overview.state = message.body
            elif message.kind is Kind.CONFIG:
                overview.config = without_keys(blob.unpack(message.fds[0]))
                overview.listeners = message.body["listeners"]
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
