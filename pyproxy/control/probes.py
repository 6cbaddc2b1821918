"""One health check: connect to an endpoint as the workers would, ask, and judge the answer."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, NamedTuple

import msgspec

from pyproxy._version import __version__
from pyproxy._wire import BodyDecoder, HeadParser, Regex, WireError
from pyproxy.config import addresses
from pyproxy.config.compile_tls import client_settings
from pyproxy.config.model import Endpoint, Upstream
from pyproxy.config.sections_health import HealthCheck, HttpCheck, TcpCheck
from pyproxy.supervise.verdicts import Cause, Reason

BODY_BYTES = 65_536
_READ_BYTES = 16_384
# PROXY protocol headers of a connection that is nobody's (its specification, sections 2.1, 2.2).
_PROXY = {
    "off": b"",
    "v1": b"PROXY UNKNOWN\r\n",
    "v2": b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
}


class CheckFailed(Exception):
    """The endpoint is not fit."""

    def __init__(self, cause: Cause, detail: int = 0) -> None:
        super().__init__(cause, detail)
        self.reason = Reason(cause, detail)


class Tls(NamedTuple):
    """How TLS is spoken: settings, and the name that is asked for."""

    context: ssl.SSLContext
    server_name: str


class Target(NamedTuple):
    """What is checked, and how. Addresses of one name are tried one after the other."""

    check: HealthCheck
    addresses: tuple[addresses.Address, ...]
    authority: str
    protocol: str
    tls: Tls | None
    preface: bytes


def key_of(upstream: Upstream, endpoint: Endpoint) -> object:
    """Equal for two endpoints of which one check tells all about both."""
    assert upstream.health_check is not None
    return _plain(
        (
            endpoint.address,
            endpoint.resolved,
            upstream.health_check,
            client_settings(upstream),
            upstream.spoken,
            upstream.proxy_protocol,
        )
    )


def _plain(value: Any) -> Any:
    """A section as something that can be a key, without its place in the file."""
    if isinstance(value, msgspec.Struct):
        names = [name for name in value.__struct_fields__ if name != "place"]
        return (type(value).__name__, *(_plain(getattr(value, name)) for name in names))
    if isinstance(value, dict):
        return tuple(sorted((key, _plain(item)) for key, item in value.items()))
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value


def target_of(upstream: Upstream, endpoint: Endpoint) -> Target:
    """How an endpoint of an upstream that has a health check is checked."""
    check = upstream.health_check
    assert check is not None
    found = [addresses.parse_endpoint(text) for text in endpoint.resolved]
    if check.port is not None:
        found = [address._replace(port=check.port) for address in found]
    settings = client_settings(upstream) if check.tls is not False else None
    tls = None
    if settings is not None:
        from .probe_tls import library_settings

        name = settings.server_name or addresses.host_of(endpoint.address)
        offers = _offers(check, upstream.spoken)
        tls = Tls(library_settings(settings, offers), name or (found[0].host if found else ""))
    authority = endpoint.address
    if authority.startswith("unix:") or authority == addresses.DEMO:
        authority = "localhost"
    return Target(
        check, tuple(found), authority, upstream.spoken, tls, _PROXY[upstream.proxy_protocol]
    )


def _offers(check: HealthCheck, protocol: str) -> tuple[str, ...]:
    if check.grpc is not None or protocol == "h2":
        return ("h2",)
    return ("http/1.1",) if check.http is not None else ()


async def probe(target: Target) -> None:
    """Check once. Raises `CheckFailed`."""
    failed = CheckFailed(Cause.CONNECT)
    for address in target.addresses:
        try:
            async with asyncio.timeout(target.check.timeout_ms / 1000 / len(target.addresses)):
                await _probe_address(target, address)
                return
        except TimeoutError:
            failed = CheckFailed(Cause.TIMEOUT)
        except CheckFailed as error:
            failed = error
    raise failed


async def _probe_address(target: Target, address: addresses.Address) -> None:
    reader, writer = await _connect(target, address)
    try:
        await _converse(target, reader, writer)
    except (WireError, OSError, EOFError) as error:
        raise CheckFailed(Cause.BROKEN) from error
    finally:
        if target.tls is None:
            writer.close()
        else:  # nobody waits for the other side's farewell
            writer.transport.abort()


async def _connect(
    target: Target, address: addresses.Address
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    try:
        if address.kind == "unix":
            reader, writer = await asyncio.open_unix_connection(address.path)
        else:
            reader, writer = await asyncio.open_connection(address.host, address.port)
    except OSError as error:
        raise CheckFailed(Cause.CONNECT, error.errno or 0) from error
    if target.preface:
        writer.write(target.preface)
    if target.tls is None:
        return reader, writer
    try:
        await writer.start_tls(target.tls.context, server_hostname=target.tls.server_name)
    except BaseException as error:
        writer.transport.abort()
        if isinstance(error, (OSError, EOFError, ValueError)):
            raise CheckFailed(Cause.TLS, getattr(error, "verify_code", 0)) from error
        raise
    return reader, writer


async def _converse(
    target: Target, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    check = target.check
    if check.http is not None and target.protocol not in ("h2", "h2c"):
        await _ask_http1(target, check.http, reader, writer)
    elif check.http is not None:
        from .probe_http2 import ask_http

        judge(check.http, *await ask_http(target, check.http, reader, writer))
    elif check.grpc is not None:
        from .probe_http2 import ask_grpc

        await ask_grpc(target, check.grpc, reader, writer)
    elif check.tcp is not None:
        await _ask_tcp(check.tcp, reader, writer)


async def _ask_tcp(
    check: TcpCheck, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    if check.send:
        writer.write(check.send.encode())
        await writer.drain()
    wanted, seen = check.expect.encode(), b""
    while wanted not in seen:
        chunk = await reader.read(_READ_BYTES)
        seen += chunk
        if not chunk or len(seen) > BODY_BYTES:
            raise CheckFailed(Cause.BODY)


def fields_of(target: Target, check: HttpCheck) -> list[tuple[str, str]]:
    """What a request has besides its host."""
    given = {name.lower() for name in check.headers}
    own = [("user-agent", f"pyproxy-health/{__version__}"), ("accept", "*/*")]
    return [row for row in own if row[0] not in given] + list(check.headers.items())


async def _ask_http1(
    target: Target,
    check: HttpCheck,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    lines = [
        f"{check.method} {check.path} HTTP/1.1",
        f"host: {check.host or target.authority}",
        "connection: close",
        *(f"{name}: {value}" for name, value in fields_of(target, check)),
        *(["content-length: 0"] if check.method in ("POST", "PUT", "PATCH") else []),
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head, rest = await _read_head(reader)
    body = b""
    if check.allows(head.status) and (check.body or check.body_regex):
        body = await _read_body(head, rest, reader)
    judge(check, head.status, body)


async def _read_head(reader: asyncio.StreamReader) -> tuple[HeadParser, bytes]:
    """The final head, and what has come after it."""
    rest = b""
    while True:
        parser = HeadParser(response=True)
        while not parser.feed(rest):
            rest = await reader.read(_READ_BYTES)
            if not rest:
                raise EOFError
        rest = parser.rest
        if parser.status >= 200 or parser.status == 101:
            return parser, rest


async def _read_body(head: HeadParser, rest: bytes, reader: asyncio.StreamReader) -> bytes:
    """As much of it as is looked at."""
    if head.body == "none":
        return b""
    decoder = BodyDecoder(head.body, head.content_length if head.body == "length" else 0)
    body = decoder.feed(rest) if not decoder.done else b""
    while not decoder.done and len(body) < BODY_BYTES:
        chunk = await reader.read(_READ_BYTES)
        if not chunk:
            decoder.feed_eof()
            break
        body += decoder.feed(chunk)
    return body


def judge(check: HttpCheck, status: int, body: bytes) -> None:
    """Raises `CheckFailed` for an answer that is not good."""
    body = body[:BODY_BYTES]
    if not check.allows(status):
        raise CheckFailed(Cause.STATUS, status)
    if check.body.encode() not in body:
        raise CheckFailed(Cause.BODY)
    if check.body_regex and not Regex(check.body_regex).search(body):
        raise CheckFailed(Cause.BODY)
