"""gRPC through the proxy: clients and servers of grpcio at both ends."""

from __future__ import annotations

import base64
import struct
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from dataclasses import dataclass, field

import grpc
import pytest

from testenv import Proxy, free_port, running
from testenv.raw import same_workers

CONFIG = """
workers: 1
listeners: {{web: {{bind: "127.0.0.1:0"}}}}
upstreams:
  calls: {{endpoints: "127.0.0.1:{port}", protocol: h2c}}
  nobody: {{endpoints: "127.0.0.1:{dead}", protocol: h2c}}
routes:
  - {{match: {{path: "/nobody.Service/*"}}, upstream: nobody}}
  - {{match: {{path: "/forbidden.Service/*"}}, respond: {{status: 403}}}}
  - {{match: {{path: "/missing.Service/*"}}, respond: {{status: 404}}}}
  - {{match: {{path: "/test.Service/*"}}, upstream: calls, max_body: unlimited, grpc_web: on}}
  - {{match: {{path: "/grpc.health.v1.Health/*"}}, upstream: calls}}
admin: "127.0.0.1:0"
"""
GUARD = 30
BIG = bytes(range(256)) * (16 << 10)  # 4 MiB
# grpc.health.v1.HealthCheckResponse{status: SERVING}
SERVING = b"\x08\x01"


@dataclass
class Service:
    """What the server's methods have seen."""

    metadata: list[dict[str, str | bytes]] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.metadata.append(dict(context.invocation_metadata()))
        context.send_initial_metadata((("x-first", "1"),))
        context.set_trailing_metadata((("x-last", "2"), ("x-last-bin", b"\0\xff")))
        return request[::-1]

    def repeat(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        for i in range(int(request)):
            yield b"%d" % i

    def collect(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        return b",".join(requests)

    def echo(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        yield from requests

    def fail(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 100 % ü")
        raise AssertionError

    def hang(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        context.add_callback(self.cancelled.set)
        self.cancelled.wait(GUARD)
        return b""

    def check(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        return SERVING

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        methods = {
            "Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "Repeat": grpc.unary_stream_rpc_method_handler(self.repeat),
            "Collect": grpc.stream_unary_rpc_method_handler(self.collect),
            "Echo": grpc.stream_stream_rpc_method_handler(self.echo),
            "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
            "Hang": grpc.unary_unary_rpc_method_handler(self.hang),
        }
        health = {"Check": grpc.unary_unary_rpc_method_handler(self.check)}
        return [
            grpc.method_handlers_generic_handler("test.Service", methods),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
        ]


UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Service, Proxy]]:
    service = Service()
    server = grpc.server(futures.ThreadPoolExecutor(32), service.handlers(), options=UNLIMITED)
    service.port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    config = CONFIG.format(port=service.port, dead=free_port())
    try:
        with running(config) as proxy, same_workers(proxy):
            yield service, proxy
    finally:
        server.stop(0).wait()


@pytest.fixture
def service(served: tuple[Service, Proxy]) -> Service:
    served[0].cancelled.clear()
    return served[0]


@pytest.fixture
def channel(served: tuple[Service, Proxy]) -> Iterator[grpc.Channel]:
    at = f"127.0.0.1:{served[1].port()}"
    with grpc.insecure_channel(at, options=UNLIMITED) as made:
        yield made


def unary(
    channel: grpc.Channel, method: str = "/test.Service/Unary"
) -> grpc.UnaryUnaryMultiCallable:
    return channel.unary_unary(method)


def test_a_call_is_answered_and_its_metadata_go_both_ways(service, channel):
    sent = (("x-word", "hi"), ("x-data-bin", b"\0\1\xff"))
    answer, call = unary(channel).with_call(b"abc", metadata=sent, timeout=GUARD)
    assert answer == b"cba"
    assert ("x-first", "1") in call.initial_metadata()
    assert {("x-last", "2"), ("x-last-bin", b"\0\xff")} <= set(call.trailing_metadata())
    seen = service.metadata[-1]
    assert (seen["x-word"], seen["x-data-bin"]) == ("hi", b"\0\1\xff")
    assert seen["x-forwarded-for"] == "127.0.0.1"


def test_all_four_kinds_of_calls_stream(service, channel):
    repeat = channel.unary_stream("/test.Service/Repeat")
    assert list(repeat(b"1000", timeout=GUARD)) == [b"%d" % i for i in range(1000)]
    collect = channel.stream_unary("/test.Service/Collect")
    assert collect(iter([b"a", b"b", b"c"]), timeout=GUARD) == b"a,b,c"
    echo = channel.stream_stream("/test.Service/Echo")
    assert list(echo(iter([b"1", b"2"]), timeout=GUARD)) == [b"1", b"2"]


def test_a_conversation_is_not_held_up(service, channel):
    """Each message is sent only after the answer to the one before."""
    turn = threading.Semaphore(1)

    def messages() -> Iterator[bytes]:
        for i in range(50):
            assert turn.acquire(timeout=GUARD)
            yield b"%d" % i

    answers = []
    for answer in channel.stream_stream("/test.Service/Echo")(messages(), timeout=GUARD):
        answers.append(answer)
        turn.release()
    assert answers == [b"%d" % i for i in range(50)]


def test_big_messages_are_whole(service, channel):
    assert unary(channel)(BIG, timeout=GUARD) == BIG[::-1]
    echo = channel.stream_stream("/test.Service/Echo")
    assert all(got == BIG for got in echo(iter([BIG] * 4), timeout=GUARD))


def test_compressed_messages_go_through(service, channel):
    call = unary(channel)
    assert call(BIG, timeout=GUARD, compression=grpc.Compression.Gzip) == BIG[::-1]


def test_many_calls_share_a_connection(service, channel, served):
    calls = [unary(channel).future(b"%d" % i, timeout=GUARD) for i in range(300)]
    assert [call.result() for call in calls] == [(b"%d" % i)[::-1] for i in range(300)]
    name = 'pyproxy_upstream_connections_active{upstream="calls"}'
    assert served[1].metrics()[name] <= 4


def test_errors_of_the_service_arrive_as_they_are(service, channel):
    with pytest.raises(grpc.RpcError) as error:
        unary(channel, "/test.Service/Fail")(b"", timeout=GUARD)
    assert error.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error.value.details() == "not now: 100 % ü"
    with pytest.raises(grpc.RpcError) as error:
        unary(channel, "/test.Service/Nothing")(b"", timeout=GUARD)
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("path", "code", "says"),
    [
        ("/nobody.Service/M", grpc.StatusCode.UNAVAILABLE, "refused the connection"),
        ("/forbidden.Service/M", grpc.StatusCode.PERMISSION_DENIED, "Forbidden"),
        ("/missing.Service/M", grpc.StatusCode.UNIMPLEMENTED, "Not Found"),
        ("/no.Route/M", grpc.StatusCode.UNIMPLEMENTED, "no route"),
    ],
)
def test_errors_of_the_proxy_are_those_of_grpc(service, channel, path, code, says):
    with pytest.raises(grpc.RpcError) as error:
        unary(channel, path)(b"x", timeout=GUARD)
    assert error.value.code() is code
    assert says in error.value.details()


def test_a_deadline_ends_the_call_at_both_ends(service, channel):
    with pytest.raises(grpc.RpcError) as error:
        unary(channel, "/test.Service/Hang")(b"", timeout=0.5)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert service.cancelled.wait(GUARD)


def test_a_caller_that_cancels_ends_the_call(service, channel):
    call = unary(channel, "/test.Service/Hang").future(b"", timeout=GUARD)
    time.sleep(0.2)
    call.cancel()
    assert service.cancelled.wait(GUARD)


def test_health_checks_pass_through(service, channel):
    assert unary(channel, "/grpc.health.v1.Health/Check")(b"", timeout=GUARD) == SERVING


def test_no_call_is_lost_when_the_proxy_reloads(service, channel, served):
    proxy = served[1]
    calls = [unary(channel).future(b"ab", timeout=GUARD) for _ in range(50)]
    asked = proxy.reload((proxy.folder / "pyproxy.yaml").read_text() + "\ndrain: 1m\n")
    assert asked.returncode == 0, asked.stderr
    calls += [unary(channel).future(b"ab", timeout=GUARD) for _ in range(50)]
    assert {call.result() for call in calls} == {b"ba"}


# ---- gRPC-Web, with a client of our own


def frames_of(body: bytes) -> list[tuple[int, bytes]]:
    """(flags, content) of every frame of a body."""
    found = []
    while body:
        flags, size = struct.unpack_from(">BI", body)
        found.append((flags, body[5 : 5 + size]))
        body = body[5 + size :]
    return found


def joined(text: bytes) -> bytes:
    """The bytes of base64 that was padded in pieces."""
    return b"".join(base64.b64decode(text[i : i + 4]) for i in range(0, len(text), 4))


@pytest.mark.parametrize("kind", ["grpc-web", "grpc-web+proto", "grpc-web-text"])
def test_a_browser_calls_over_http_1(service, served, kind):
    message = struct.pack(">BI", 0, 3) + b"abc"
    body = base64.b64encode(message) if "text" in kind else message
    answer = served[1].get(
        "/test.Service/Unary",
        method="POST",
        headers={"content-type": f"application/{kind}", "x-grpc-web": "1"},
        body=body,
    )
    assert (answer.status, answer.headers["content-type"]) == (200, f"application/{kind}")
    assert answer.headers["x-first"] == "1"
    raw = joined(answer.body) if "text" in kind else answer.body
    (flags, data), (last, trailers) = frames_of(raw)
    assert (flags, data, last) == (0, b"cba", 0x80)
    lines = trailers.decode().splitlines()
    assert "grpc-status: 0" in lines
    assert "x-last: 2" in lines


def test_a_browser_gets_a_stream_message_by_message(service, served):
    answer = served[1].get(
        "/test.Service/Repeat",
        method="POST",
        headers={"content-type": "application/grpc-web-text"},
        body=base64.b64encode(struct.pack(">BI", 0, 3) + b"500"),
    )
    *messages, (last, _) = frames_of(joined(answer.body))
    assert [data for _, data in messages] == [b"%d" % i for i in range(500)]
    assert last == 0x80


def test_a_browser_is_told_errors_in_the_head(service, served):
    answer = served[1].get(
        "/test.Service/Hang",
        method="POST",
        headers={"content-type": "application/grpc-web", "grpc-timeout": "300m"},
        body=struct.pack(">BI", 0, 0),
    )
    assert (answer.status, answer.headers["grpc-status"]) == (200, "4")
    assert answer.headers["content-type"] == "application/grpc-web"
    assert service.cancelled.wait(GUARD)
