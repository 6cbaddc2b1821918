"""Health checks over HTTP/2: one request on a connection of its own, and calls of gRPC."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from pyproxy.config.sections_health import GrpcCheck, HttpCheck
from pyproxy.supervise.verdicts import Cause

from .probes import BODY_BYTES, CheckFailed, Target, fields_of

_READ_BYTES = 65_536
_SERVING = 1
_GRPC_METHOD = "/grpc.health.v1.Health/Check"


class Answer(NamedTuple):
    """What came on the stream; <fields> are those of the head and of the trailers."""

    status: int
    fields: dict[bytes, bytes]
    body: bytes


async def ask_http(
    target: Target,
    check: HttpCheck,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> tuple[int, bytes]:
    """Status and body of the answer."""
    fields = [(name.lower(), value) for name, value in fields_of(target, check)]
    head = _head(target, check.method, check.path, check.host)
    answer = await _exchange(reader, writer, [*head, *fields], b"")
    return answer.status, answer.body


async def ask_grpc(
    target: Target,
    check: GrpcCheck,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Call the health service. Raises `CheckFailed` when it does not say SERVING."""
    head = _head(target, "POST", _GRPC_METHOD, check.authority)
    fields = [
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("grpc-timeout", f"{target.check.timeout_ms}m"),
    ]
    answer = await _exchange(reader, writer, [*head, *fields], request_of(check.service))
    if answer.status != 200:
        raise CheckFailed(Cause.STATUS, answer.status)
    status = answer.fields.get(b"grpc-status", b"")
    if status != b"0":
        if not status.isdigit():
            raise CheckFailed(Cause.BROKEN)
        raise CheckFailed(Cause.GRPC, int(status[:4]))
    serving = serving_of(answer.body)
    if serving != _SERVING:
        raise CheckFailed(Cause.SERVING, serving)


def _head(target: Target, method: str, path: str, authority: str) -> list[tuple[str, str]]:
    return [
        (":method", method),
        (":scheme", "http" if target.tls is None else "https"),
        (":authority", authority or target.authority),
        (":path", path),
    ]


def request_of(service: str) -> bytes:
    """A HealthCheckRequest as a message of gRPC."""
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return b"\0" + len(message).to_bytes(4, "big") + message


def serving_of(body: bytes) -> int:
    """The status in a HealthCheckResponse. Raises `CheckFailed` for what is none."""
    if len(body) < 5 or body[0] != 0 or len(body) != 5 + int.from_bytes(body[1:5], "big"):
        raise CheckFailed(Cause.BROKEN)
    message = body[5:]
    if not message:  # a field that is zero is left out
        return 0
    if len(message) < 2 or message[0] != 0x08 or message[1] > 0x7F:
        raise CheckFailed(Cause.BROKEN)
    return message[1]


def _varint(n: int) -> bytes:
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    return bytes((*out, n))


async def _exchange(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    fields: list[tuple[str, str]],
    body: bytes,
) -> Answer:
    """One request and its whole answer, but for a body beyond what is looked at."""
    h2c = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=False))
    h2c.initiate_connection()
    h2c.send_headers(1, fields, end_stream=not body)
    if body:
        h2c.send_data(1, body, end_stream=True)
    found: dict[bytes, bytes] = {}
    data = bytearray()
    try:
        while len(data) < BODY_BYTES:
            writer.write(h2c.data_to_send())
            chunk = await reader.read(_READ_BYTES)
            if not chunk:
                raise CheckFailed(Cause.BROKEN)
            for event in h2c.receive_data(chunk):
                if _take(h2c, event, found, data):
                    break
            else:
                continue
            break
    except h2.exceptions.ProtocolError as error:
        raise CheckFailed(Cause.BROKEN) from error
    status = found.get(b":status", b"")
    if not status.isdigit():
        raise CheckFailed(Cause.BROKEN)
    return Answer(int(status), found, bytes(data))


def _take(
    h2c: h2.connection.H2Connection,
    event: h2.events.Event,
    found: dict[bytes, bytes],
    data: bytearray,
) -> bool:
    """Note what an event brings. True: the answer is whole."""
    if isinstance(event, (h2.events.ResponseReceived, h2.events.TrailersReceived)):
        found.update((bytes(name), bytes(value)) for name, value in event.headers or ())
    elif isinstance(event, h2.events.DataReceived):
        data += event.data or b""
        h2c.acknowledge_received_data(event.flow_controlled_length or 0, 1)
    elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
        raise CheckFailed(Cause.BROKEN)
    return isinstance(event, h2.events.StreamEnded)
