"""The admin HTTP server: uvicorn over a socket that the supervisor has bound."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import socket
from collections.abc import Generator

import uvicorn
from starlette.types import ASGIApp

# An operator's page, not a public service: few connections, short waits.
_KEEP_ALIVE_SECONDS = 15
_SHUTDOWN_SECONDS = 1
_MAX_CONNECTIONS = 256


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handlers and without its ten wake-ups a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def main_loop(self) -> None:
        await self.ended.wait()


class AdminServer:
    """Serves <app> on <sock>, whose ownership it takes; making it imports what serving needs."""

    def __init__(self, app: ASGIApp, sock: socket.socket) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            # The date would be written by the tick that is left out above; RFC 9110 leaves it to
            # us.
            date_header=False,
            proxy_headers=False,
            limit_concurrency=_MAX_CONNECTIONS,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        )
        # Now, not at the first connection: later this process may be a user who cannot read where
        # Python is installed. anyio, too, finds its backend by name when it is first used.
        config.load()
        importlib.import_module("anyio._backends._asyncio")
        self._server = _QuietServer(config)
        self._sock = sock

    async def serve(self) -> None:
        """Run until `end`."""
        await self._server.serve(sockets=[self._sock])

    def end(self) -> None:
        """Close the socket and idle connections; `serve` returns soon after."""
        self._server.ended.set()
