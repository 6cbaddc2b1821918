"""Messages between the supervisor and its children."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from pyproxy.supervise.channel import (
    MAX_FDS,
    Channel,
    ChannelError,
    Kind,
    Message,
    Voice,
    encode,
)


@pytest.fixture
def pair():
    left, right = Channel.pair()
    yield left, right
    left.close()
    right.close()


def test_a_message_arrives_as_it_was_sent(pair) -> None:
    left, right = pair
    left.send(Kind.FAILED, {"error": "no such module: größe"})
    assert right.receive() == [Message(Kind.FAILED, {"error": "no such module: größe"})]


def test_both_directions_are_independent(pair) -> None:
    left, right = pair
    left.send(Kind.DRAIN, {"timeout": 1.5})
    right.send(Kind.READY)
    assert left.receive() == [Message(Kind.READY, {})]
    assert right.receive() == [Message(Kind.DRAIN, {"timeout": 1.5})]


def test_messages_keep_their_order_and_count(pair) -> None:
    left, right = pair
    for number in range(100):
        left.send(Kind.STATE, {"n": number})
    assert [m.body["n"] for m in right.receive()] == list(range(100))


@pytest.mark.parametrize("split", range(1, len(encode(Kind.STATE, {"a": 1}))))
def test_a_frame_may_come_in_two_pieces(split: int) -> None:
    raw, end = socket.socketpair()
    channel = Channel(end)
    frame = encode(Kind.STATE, {"a": 1})
    with raw:
        raw.send(frame[:split])
        assert channel.receive() == []
        raw.send(frame[split:])
        assert channel.receive() == [Message(Kind.STATE, {"a": 1})]
    channel.close()


def test_what_the_kernel_does_not_take_waits_for_flush(pair) -> None:
    left, right = pair
    text = "x" * 100_000
    while not left.wants_write:
        left.send(Kind.STATE, {"text": text})
    received = 0
    while left.wants_write:
        received += len(right.receive())
        left.flush()
    received += len(right.receive())
    assert received >= 2


def test_a_voice_says_what_must_wait_when_there_is_room(pair) -> None:
    left, right = pair

    async def listen() -> list[Message]:
        voice = Voice(asyncio.get_running_loop(), left)
        for number in range(20):
            voice.say(Kind.STATE, {"n": number, "text": "x" * 100_000})
        assert left.wants_write
        heard: list[Message] = []
        while len(heard) < 20:
            await asyncio.sleep(0)
            heard += right.receive()
        return heard

    assert [m.body["n"] for m in asyncio.run(listen())] == list(range(20))
    assert not left.wants_write


def test_an_end_that_is_never_read_is_given_up(pair) -> None:
    left, _ = pair
    for _ in range(200):
        left.send(Kind.STATE, {"text": "x" * 100_000})
    assert left.closed


def test_last_words_are_read_before_the_end(pair) -> None:
    left, right = pair
    left.send(Kind.FAILED, {"error": "bye"})
    left.close()
    assert right.receive() == [Message(Kind.FAILED, {"error": "bye"})]
    assert right.closed


def test_sending_to_a_dead_end_raises_nothing(pair) -> None:
    left, right = pair
    right.close()
    left.send(Kind.STOP)
    left.send(Kind.STOP)
    assert left.receive() == []
    assert left.closed


@pytest.mark.parametrize(
    "raw",
    [
        b"\0\0\0\4\1\2{}",  # descriptors are announced and none came
        b"\0\0\0\0\1",  # a frame must hold its kind
        b"\xff\xff\xff\xff\1",  # longer than any frame
        b"\0\0\0\4\xfa\0{}",  # no such kind
        b"\0\0\0\4\1\0{]",  # not JSON
        b"\0\0\0\4\1\0\xff\xff",  # not UTF-8
    ],
)
def test_garbage_is_refused(raw: bytes) -> None:
    sender, end = socket.socketpair()
    channel = Channel(end)
    with sender:
        sender.send(raw)
        with pytest.raises(ChannelError):
            channel.receive()
    channel.close()


def test_a_message_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="too large"):
        encode(Kind.STATE, {"text": "x" * (1 << 20)})


def test_last_words_leave_even_when_the_buffer_is_full(pair) -> None:
    left, right = pair
    while not left.wants_write:
        left.send(Kind.STATE, {"text": "x" * 100_000})
    left.send(Kind.DRAINED)
    pid = os.fork()
    if pid == 0:
        messages = []
        while not messages or messages[-1].kind is not Kind.DRAINED:
            messages += right.receive()
        os._exit(0)
    left.flush_blocking(10)
    assert os.waitpid(pid, 0)[1] == 0


# ---- descriptors


def test_descriptors_travel_with_their_message(pair, tmp_path) -> None:
    left, right = pair
    for name in ("a", "b", "c"):
        with open(tmp_path / name, "w+") as file:
            file.write(name)
            file.flush()
            left.send(Kind.STATE, {"name": name}, [file.fileno()])
            left.send(Kind.STATE, {"name": "none"})
    messages = right.receive()
    assert [len(m.fds) for m in messages] == [1, 0, 1, 0, 1, 0]
    for message in messages[::2]:
        assert os.pread(message.fds[0], 9, 0).decode() == message.body["name"]
        assert not os.get_inheritable(message.fds[0])
        message.close()


def test_descriptors_wait_for_room_and_arrive_whole(pair, tmp_path) -> None:
    left, right = pair
    while not left.wants_write:
        left.send(Kind.STATE, {"text": "x" * 100_000})
    with open(tmp_path / "last", "w+") as file:
        left.send(Kind.LISTEN, {}, [file.fileno()] * MAX_FDS)
    received = []
    while left.wants_write or not received or received[-1].kind is not Kind.LISTEN:
        left.flush()
        received += right.receive()
    assert len(received[-1].fds) == MAX_FDS
    received[-1].close()


def test_what_was_not_taken_is_closed(tmp_path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    left, right = Channel.pair()
    with open(tmp_path / "x", "w") as file:
        left.send(Kind.LISTEN, {}, [file.fileno()] * 3)
    right.receive()[0].close()
    left.close()
    right.close()
    assert len(os.listdir("/proc/self/fd")) == before
