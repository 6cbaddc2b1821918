"""A WebSocket origin of the `websockets` library."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any

from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

Handler = Callable[[ServerConnection], None]


def echo(ws: ServerConnection) -> None:
    """Send every message back, as what it came."""
    for message in ws:
        ws.send(message)


@contextlib.contextmanager
def websocket_origin(handler: Handler = echo, **options: Any) -> Iterator[str]:
    """The address of a server whose connections are given to `handler`, in a thread each.

    A request for `/refused` is answered with 403.
    """

    def look(ws: ServerConnection, request: Request) -> Response | None:
        if request.path == "/refused":
            return ws.respond(HTTPStatus.FORBIDDEN, "not you\n")
        return None

    options = {"max_size": None, "process_request": look, **options}
    with serve(handler, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()
