"""One child process: forked with a channel, watched, described when it ends."""

from __future__ import annotations

import contextlib
import enum
import fcntl
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from .channel import Channel
from .restart import Backoff

# Runs in the child with its end of the channel; the result is the exit status.
Entry = Callable[[Channel], int]

# What the supervisor handles itself; a child starts with the defaults of all of them.
SUPERVISOR_SIGNALS = (
    signal.SIGCHLD,
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGQUIT,
)


class State(enum.StrEnum):
    """Where a child is in its life: down → starting → ready → draining → down."""

    DOWN = "down"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


def _keep_nothing() -> list[socket.socket]:
    return []


class Child:
    """A place in the process tree; successive processes fill it.

    `comm` is its process name, `slot` is -1 for all but workers, and `keep` tells the listening
    sockets that a process forked now goes on holding. A `lasting` one is started again when it
    ends.
    """

    def __init__(
        self,
        role: str,
        entry: Entry,
        comm: str,
        *,
        slot: int = -1,
        keep: Callable[[], Sequence[socket.socket]] = _keep_nothing,
        lasting: bool = True,
    ) -> None:
        self.role = role
        self.entry = entry
        self.comm = comm
        self.slot = slot
        self.keep = keep
        self.lasting = lasting
        self.pid = 0
        self.column = -1
        self.channel: Channel | None = None
        self.state = State.DOWN
        self.started_at = 0.0
        self.restarts = 0
        # What the process said about its own end, if it said anything.
        self.error = ""
        self.drained = False
        # What it said last about what it has in hand.
        self.progress: dict[str, Any] = {}
        self.backoff = Backoff()

    @property
    def running(self) -> bool:
        """There is a process that has not been reaped."""
        return self.pid != 0


def fork_child(child: Child, now: float, close_others: Callable[[], None]) -> None:
    """Start the next process of <child>. In the new process this never returns.

    `close_others` is called there first, to let go of every descriptor that is not the child's own.
    """
    ours, theirs = Channel.pair()
    # A signal between the fork and the reset of the handlers would land in the supervisor's wake-up
    # pipe.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SUPERVISOR_SIGNALS)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        ours.close()
        _run(child, theirs, blocked, close_others)
    theirs.close()
    child.pid = pid
    child.channel = ours
    child.state = State.STARTING
    child.started_at = now
    child.error = ""
    child.drained = False
    child.progress = {}
    # Last: a signal that was held back may raise here, and the child must be known by then.
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _run(
    child: Child, channel: Channel, mask: Iterable[int], close_others: Callable[[], None]
) -> None:
    """The life of the new process.

    Ends in `os._exit`, so that nothing of the supervisor is unwound in it.
    """
    status = 1
    try:
        reset_signals(mask)
        close_others()
        set_process_name(child.comm)
        status = child.entry(channel)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            channel.flush_blocking(1.0)
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def reset_signals(mask: Iterable[int]) -> None:
    """Forget the supervisor's handlers and restore its signal mask."""
    signal.set_wakeup_fd(-1)
    for number in SUPERVISOR_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    # Ctrl-C reaches the whole foreground group, but only the supervisor decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def end_with_parent(channel: Channel) -> Callable[[], None]:
    """End this process when the other side of <channel> is gone, also while user code runs here.

    The kernel sends SIGIO for whatever happens to the channel; the result ends that. Code that
    never comes back to the interpreter cannot be interrupted.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        poller = select.poll()
        poller.register(channel.fileno(), 0)
        if any(events & select.POLLHUP for _, events in poller.poll(0)):
            os._exit(1)

    def stop() -> None:
        flags = fcntl.fcntl(channel.fileno(), fcntl.F_GETFL)
        fcntl.fcntl(channel.fileno(), fcntl.F_SETFL, flags & ~os.O_ASYNC)

    signal.signal(signal.SIGIO, on_signal)
    fcntl.fcntl(channel.fileno(), fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(channel.fileno(), fcntl.F_GETFL)
    fcntl.fcntl(channel.fileno(), fcntl.F_SETFL, flags | os.O_ASYNC)
    on_signal(signal.SIGIO, None)  # it may be gone already
    return stop


def set_process_name(comm: str) -> None:
    """The name that `ps` and `top` show; the kernel keeps 15 bytes of it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(comm)


def describe_exit(wait_status: int) -> str:
    """`exit status 3` or `killed by SIGKILL`."""
    code = os.waitstatus_to_exitcode(wait_status)
    if code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}{' (core dumped)' if os.WCOREDUMP(wait_status) else ''}"
