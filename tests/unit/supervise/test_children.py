"""One child: forked, named, described."""

from __future__ import annotations

import os
import signal
import time

import pytest

from pyproxy.supervise.channel import Kind
from pyproxy.supervise.children import Child, State, describe_exit, fork_child


def run(entry) -> tuple[Child, list, int]:
    """Fork a child that runs <entry>; it, what it said, and its wait status."""
    child = Child("test", entry, "pyproxy-test")
    fork_child(child, time.monotonic(), lambda: None)
    assert child.state is State.STARTING
    _, status = os.waitpid(child.pid, 0)
    messages = child.channel.receive()
    child.channel.close()
    return child, messages, status


def test_a_child_speaks_and_ends_with_the_status_of_its_entry() -> None:
    def entry(channel) -> int:
        channel.send(Kind.READY, {"pid": os.getpid()})
        return 7

    child, messages, status = run(entry)
    assert [(m.kind, m.body) for m in messages] == [(Kind.READY, {"pid": child.pid})]
    assert describe_exit(status) == "exit status 7"


def test_an_entry_that_raises_ends_in_error(capfd) -> None:
    def entry(channel) -> int:
        raise RuntimeError("oops")

    _, _, status = run(entry)
    assert describe_exit(status) == "exit status 1"
    assert "RuntimeError: oops" in capfd.readouterr().err


def test_system_exit_does_not_unwind_the_parents_frames() -> None:
    def entry(channel) -> int:
        raise SystemExit(3)

    _, _, status = run(entry)
    assert os.waitstatus_to_exitcode(status) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGVTALRM])
def test_a_signal_is_named(number) -> None:
    def entry(channel) -> int:
        os.kill(os.getpid(), number)
        return 0

    _, _, status = run(entry)
    assert describe_exit(status).startswith(f"killed by {number.name}")


def test_signals_of_the_terminal_are_ignored_and_others_have_their_defaults() -> None:
    def entry(channel) -> int:
        ignored = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
        good = all(signal.getsignal(n) is signal.SIG_IGN for n in ignored)
        good &= signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        good &= not signal.pthread_sigmask(signal.SIG_BLOCK, [])
        return 0 if good else 1

    _, _, status = run(entry)
    assert status == 0


def test_the_process_has_its_name() -> None:
    def entry(channel) -> int:
        with open("/proc/self/comm") as comm:
            channel.send(Kind.STATE, {"comm": comm.read().strip()})
        return 0

    _, messages, _ = run(entry)
    assert messages[0].body == {"comm": "pyproxy-test"}


def test_the_parent_keeps_its_signal_mask() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    run(lambda channel: 0)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before
