"""The demonstration origin: a small HTTP/1.1 server that shows what a proxy sent it.

    /            a welcome page
    /echo        JSON: method, path, query, header fields as they arrived, length of the body
    /bytes/N     N bytes (at most 1 GiB)
    /status/N    an empty answer with that status
    /slow?ms=N   an answer after N milliseconds (at most 60,000)
    /stream      chunks, one every 100 ms; /stream?n=N that many

It runs in a process of its own when an endpoint of the configuration is `demo:`. It is for trying
things out: it has no limits worth the name and must not face the world.
"""

from __future__ import annotations

import asyncio
import http
import json
import socket
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple, cast

import httptools
import uvloop

from pyproxy.supervise import privileges
from pyproxy.supervise.channel import Channel, Kind

_MAX_BYTES = 1 << 30
_MAX_SLOW_MS = 60_000
_MAX_CHUNKS = 1000
_CHUNK_PAUSE_SECONDS = 0.1
_BLOCK = bytes(range(32, 127)) * 690  # just under 64 KiB of printable characters
_MAX_QUEUED = 64
_ESCAPES = {38: "&amp;", 60: "&lt;", 62: "&gt;", 34: "&quot;", 39: "&#x27;"}


class Request:
    """What arrived; the fields in the order and spelling of the wire."""

    def __init__(self) -> None:
        self.method = ""
        self.target = b""
        self.version = ""
        self.fields: list[tuple[str, str]] = []
        self.body_bytes = 0
        self.keep_alive = True
        self.path = ""
        self.query: dict[str, str] = {}

    def finish(self) -> None:
        """Split the target once the head is complete."""
        path, _, query = self.target.decode("latin-1").partition("?")
        self.path = urllib.parse.unquote(path)
        self.query = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))


class Answer(NamedTuple):
    """What goes back: `body`, or `chunks` for one of unknown length."""

    status: int = 200
    type: str = "text/plain; charset=utf-8"
    body: bytes = b""
    length: int | None = None
    chunks: AsyncIterator[bytes] | None = None
    chunked: bool = False


def _number(text: str, limit: int) -> int | None:
    return min(int(text), limit) if text.isascii() and text.isdigit() and len(text) <= 12 else None


def _as_json(value: object) -> Answer:
    return Answer(type="application/json", body=json.dumps(value, indent=2).encode() + b"\n")


def _escape(text: str) -> str:
    """What `html.escape` gives, without the 2 ms that a cold start would wait for its import."""
    return text.translate(_ESCAPES)


async def _welcome(request: Request) -> Answer:
    rows = "".join(
        f"<tr><th>{_escape(name)}</th><td><code>{_escape(value)}</code></td></tr>"
        for name, value in request.fields
    )
    return Answer(
        type="text/html; charset=utf-8", body=(_PAGE.replace("{{fields}}", rows)).encode()
    )


async def _echo(request: Request) -> Answer:
    return _as_json(
        {
            "method": request.method,
            "path": request.path,
            "target": request.target.decode("latin-1"),
            "query": request.query,
            "version": request.version,
            "headers": [list(pair) for pair in request.fields],
            "body_bytes": request.body_bytes,
        }
    )


async def _bytes(request: Request) -> Answer:
    count = _number(request.path.removeprefix("/bytes/"), _MAX_BYTES)
    if count is None:
        return Answer(404, body=b"/bytes/N: how many?\n")

    async def blocks() -> AsyncIterator[bytes]:
        for start in range(0, count, len(_BLOCK)):
            yield _BLOCK[: count - start]

    return Answer(type="application/octet-stream", length=count, chunks=blocks())


async def _status(request: Request) -> Answer:
    status = _number(request.path.removeprefix("/status/"), 599)
    if status is None or status < 200:
        return Answer(404, body=b"/status/N: 200 to 599\n")
    return Answer(status)


async def _slow(request: Request) -> Answer:
    pause = _number(request.query.get("ms", "1000"), _MAX_SLOW_MS)
    if pause is None:
        return Answer(400, body=b"/slow?ms=N: a number of milliseconds\n")
    await asyncio.sleep(pause / 1000)
    return Answer(body=f"waited {pause} ms\n".encode())


async def _stream(request: Request) -> Answer:
    count = _number(request.query.get("n", "10"), _MAX_CHUNKS)
    if count is None:
        return Answer(400, body=b"/stream?n=N: a number of chunks\n")

    async def chunks() -> AsyncIterator[bytes]:
        for i in range(count):
            if i:
                await asyncio.sleep(_CHUNK_PAUSE_SECONDS)
            yield f"chunk {i + 1} of {count}\n".encode()

    return Answer(chunks=chunks(), chunked=True)


_PAGES: dict[str, Callable[[Request], Awaitable[Answer]]] = {
    "": _welcome,
    "echo": _echo,
    "bytes": _bytes,
    "status": _status,
    "slow": _slow,
    "stream": _stream,
}


async def respond(request: Request) -> Answer:
    """The answer to one request."""
    first, _, rest = request.path.removeprefix("/").partition("/")
    page = _PAGES.get(first)
    if page is None or (rest and page not in (_bytes, _status, _echo)):
        return Answer(
            404,
            body=b"here are /, /echo, /bytes/N, /status/N, /slow?ms=N and /stream\n",
        )
    return await page(request)


class DemoProtocol(asyncio.Protocol):
    """One connection; requests are answered in order, whatever was pipelined."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._waiting: list[Request] = []
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    # ---- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            text = f"{error}\n".encode()
            self._transport.write(
                _head(400, "text/plain", f"content-length: {len(text)}", close=True) + text
            )
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # ---- the parser's side

    def on_message_begin(self) -> None:
        self._request = Request()

    def on_url(self, url: bytes) -> None:
        self._request.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.fields.append((name.decode("latin-1"), value.decode("latin-1")))
        if name.lower() == b"expect" and value.lower() == b"100-continue" and self._task is None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._request.body_bytes += len(body)

    def on_message_complete(self) -> None:
        request = self._request
        request.method = self._parser.get_method().decode("latin-1")
        request.version = self._parser.get_http_version()
        request.keep_alive = self._parser.should_keep_alive()
        request.finish()
        self._waiting.append(request)
        if len(self._waiting) > _MAX_QUEUED:
            self._transport.pause_reading()
        if self._task is None:
            self._task = self._loop.create_task(self._answer_waiting())

    # ---- answers

    async def _answer_waiting(self) -> None:
        while self._waiting and not self._transport.is_closing():
            request = self._waiting.pop(0)
            await self._send(request, await respond(request))
            if not request.keep_alive:
                self._transport.close()
        self._task = None
        if not self._transport.is_closing():
            self._transport.resume_reading()

    async def _send(self, request: Request, answer: Answer) -> None:
        chunked = answer.chunked and request.version == "1.1"
        close = not request.keep_alive or (answer.chunked and not chunked)
        if chunked:
            framing = "transfer-encoding: chunked"
        elif answer.chunked or answer.status in (204, 304):
            framing = ""
        else:
            framing = (
                f"content-length: {len(answer.body) if answer.length is None else answer.length}"
            )
        head = _head(answer.status, answer.type, framing, close=close)
        bodiless = request.method == "HEAD" or answer.status in (204, 304)
        self._transport.write(head if bodiless else head + answer.body)
        if answer.chunks is not None and not bodiless:
            async for chunk in answer.chunks:
                self._transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
                await self._writable.wait()
            if chunked:
                self._transport.write(b"0\r\n\r\n")
        if close:
            self._transport.close()


def _head(status: int, media_type: str, framing: str, *, close: bool) -> bytes:
    try:
        reason = http.HTTPStatus(status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {status} {reason}", "server: pyproxy-demo", f"content-type: {media_type}"]
    if framing:
        lines.append(framing)
    if close:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def run(sock: socket.socket, identity: privileges.Identity | None, channel: Channel) -> int:
    """Entry after the fork: serve on <sock>, already listening.

    Until told to stop or the supervisor is gone.
    """
    if identity is not None:
        privileges.drop(identity)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    server = loop.run_until_complete(loop.create_server(lambda: DemoProtocol(loop), sock=sock))

    def on_channel() -> None:
        stop = any(message.kind is Kind.STOP for message in channel.receive())
        if stop or channel.closed:
            loop.stop()

    loop.add_reader(channel.fileno(), on_channel)
    channel.send(Kind.READY)
    loop.run_forever()
    server.close()
    return 0


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>pyproxy works</title>
<meta name="viewport" content="width=device-width"><style>
body { font: 16px/1.55 system-ui, sans-serif; max-width: 46rem; margin: 3rem auto; padding: 0 1rem }
body { color: #1c2733; background: #fff }
table { border-collapse: collapse }
th, td { text-align: left; padding: .25rem 1rem .25rem 0; border-bottom: 1px solid #dde3e9 }
th { font-weight: 600; color: #5a6875 }
code { font-size: .92em; overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) {
  body { color: #d8e0e8; background: #12171d } a { color: #7ab7ff }
  th, td { border-color: #2c3742 } th { color: #93a1ae }
}
</style></head><body>
<h1>pyproxy works</h1>
<p>This page comes from the built-in demonstration origin, and it came to you through the proxy.
These are the header fields that the origin saw; <code>via</code> and <code>x-forwarded-*</code> are
the proxy's.</p>
<table>{{fields}}</table>
<p>Also here: <a href="/echo">/echo</a>, <a href="/bytes/1000">/bytes/N</a>,
<a href="/status/418">/status/N</a>, <a href="/slow?ms=500">/slow?ms=N</a>,
<a href="/stream">/stream</a>.</p>
<p>Next: replace the <code>demo:</code> endpoint in the configuration by your own server.</p>
</body></html>
"""
