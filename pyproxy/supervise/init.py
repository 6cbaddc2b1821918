"""A tiny init: the process that stays while supervisors replace each other.

An upgrade of the program makes a new supervisor and lets the old one go. Whoever watches the first
process of the service (a container, a shell, a supervisor of services without systemd's protocol)
would take that for the end. So the first process becomes this:

    init ── main 1 (drains) ── workers          main 1 starts main 2; main 2 registers over the
     └───── main 2 (serves) ── workers          link; main 1 ends; main 2 becomes init's child

Signals go to the newest main; orphans of any kind are reaped; the end of the newest main is the end
of the service:

    it ended with status 0    older mains may finish their drain; signals now go to them
    anything else             the service is down, and only a restart brings it back: older mains
                              are told to stop, what is left gets GRACE_SECONDS, then SIGKILL

The exit status is always that of the newest main (128 + n when signal n killed it).

Terminals: init stays in the foreground, mains live in a process group of their own. So Ctrl-C, and
a signal to the group that the shell knows, reach init alone, and a main gets them once.

Standard library only, and little of it: this process lives as long as the service.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, MutableMapping
from types import FrameType

from pyproxy.errors import StartError

from .init_link import (
    ACCEPTED,
    BECOME_MAIN,
    CREDENTIALS,
    END,
    LINK_VARIABLE,
    InitLink,
    children,
    descends,
    linked_fd,
)

__all__ = ["GRACE_SECONDS", "InitLink", "run_under_init", "should_use_init"]

GRACE_SECONDS = 5.0
_SWEEP_SECONDS = 2.0

# What is passed on to the newest main.
_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# "Stop now" is meant for whatever runs, older mains included.
_FORWARDED_TO_ALL = (signal.SIGINT, signal.SIGQUIT)
_HANDLED = (*_FORWARDED, *_FORWARDED_TO_ALL, signal.SIGCHLD, signal.SIGTSTP, signal.SIGCONT)

_PR_SET_CHILD_SUBREAPER = 36


def should_use_init(asked: bool = False, environ: MutableMapping[str, str] | None = None) -> bool:
    """Whether this process should become an init: it was asked to, or it is PID 1.

    Never when there is one already: then this is the successor of a main.
    """
    if not asked and os.getpid() != 1:
        return False
    return linked_fd(os.environ if environ is None else environ) < 0


def run_under_init(main: Callable[[InitLink], int]) -> int:
    """Fork. The child runs <main>, registered as the first main; this process stays as init.

    Returns in both processes: in the child what <main> returns (or raises), in init the status with
    which the service ended. Call it before anything large is imported and before any thread runs.
    Raises `StartError` when the machine does not let it.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    strangers: set[int] = set()
    if os.getpid() != 1:
        _become_subreaper()
        strangers = children()
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal that comes before there is anybody to forward it to waits behind the mask.
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        pid = os.fork()
    except OSError as error:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        ours.close()
        theirs.close()
        raise StartError(f"init cannot fork: {error.strerror}") from error
    if pid == 0:
        ours.close()
        _leave_init()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        return main(InitLink(_published(theirs)))
    theirs.close()
    _close_given_sockets()
    with contextlib.suppress(OSError), open("/proc/self/comm", "w") as comm:
        comm.write("pyproxy-init")
    return _Init(ours, pid, strangers).run(blocked)


def _become_subreaper() -> None:
    """Make orphans below this process its children, as they would be those of PID 1."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise StartError(f"init cannot adopt orphans: {os.strerror(ctypes.get_errno())}")


def _leave_init() -> None:
    """In the child, before it is the main: whatever init has that the main must not share."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    # In the background of a terminal; output must go through even with `stty tostop`.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    # Until the service is up there is nothing to reload or reopen, and dying of it would be absurd.
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    # Sockets of a service manager were meant for the process that was, before the fork.
    if os.environ.get("LISTEN_PID") == str(os.getppid()):
        os.environ["LISTEN_PID"] = str(os.getpid())


def _close_given_sockets() -> None:
    """In init: a listening socket left open here would take connections after the drain."""
    count = os.environ.get("LISTEN_FDS", "")
    ours = os.environ.get("LISTEN_PID") == str(os.getpid())
    if ours and count.isascii() and count.isdigit():
        os.closerange(3, 3 + min(int(count), 1 << 20))


def _published(end: socket.socket) -> socket.socket:
    """The same socket, named in the environment for the program that succeeds this one."""
    os.environ[LINK_VARIABLE] = str(end.fileno())
    return end


class _Main:
    """A supervisor that has been registered. `said` is the status that it announced."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.said: int | None = None
        self.status: int | None = None
        # A main need not be our child, so only this descriptor tells its end and keeps its number
        # from meaning another process. Old kernels and strict sandboxes have none: then the end of
        # such a main is noticed when its predecessor has ended too.
        self.pidfd = -1
        with contextlib.suppress(OSError):
            self.pidfd = os.pidfd_open(pid)

    def send(self, number: int) -> None:
        with contextlib.suppress(OSError):
            if self.pidfd >= 0:
                signal.pidfd_send_signal(self.pidfd, number)
            else:
                os.kill(self.pid, number)

    def send_group(self, number: int) -> None:
        """To its process group, workers included, unless that is init's own."""
        with contextlib.suppress(OSError):
            group = os.getpgid(self.pid)
            if group != os.getpgrp():
                os.killpg(group, number)

    def forget(self) -> None:
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def _ignore(number: int, frame: FrameType | None) -> None:
    """Only there so that the signal number reaches the wake-up pipe."""


class _Init:
    """The life of the init process. `_mains` are those that live, the newest last."""

    def __init__(self, link: socket.socket, first: int, strangers: set[int]) -> None:
        link.setblocking(False)
        self._link = link
        self._link_open = True
        self._mains = [_Main(first)]
        # The exit status, as soon as the newest main has ended.
        self._result: int | None = None
        self._deadline: float | None = None
        # Children of the program that became init (a script that said `exec`): not ours.
        self._strangers = strangers
        self._uid = os.getuid()

    def run(self, mask: set[signal.Signals] | set[int]) -> int:
        """Stay until the service has ended; <mask> is the signal mask of normal life."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        for number in _HANDLED:
            signal.signal(number, _ignore)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        try:
            while not self._turn(wake_read):
                pass
        finally:
            signal.set_wakeup_fd(-1)
            os.close(wake_read)
            os.close(wake_write)
            self._link.close()
        if os.getpid() != 1:
            # With PID 1 the kernel ends every process of the container.
            _sweep(self._strangers)
        assert self._result is not None
        return self._result

    def _turn(self, wake_read: int) -> bool:
        """Wait for something, and handle everything. True when the service has ended."""
        poll = select.poll()
        poll.register(wake_read, select.POLLIN)
        if self._link_open:
            poll.register(self._link, select.POLLIN)
        for main in self._mains:
            if main.pidfd >= 0:
                poll.register(main.pidfd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(self._wait_milliseconds())}
        # Messages before ends, so that a successor counts and last words are heard; signals last,
        # so that they reach the newest main that lives.
        self._receive()
        children_left = self._reap()
        for main in [m for m in self._mains if m.status is not None or m.pidfd in ready]:
            self._on_end(main)
        if wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                for number in os.read(wake_read, 4096):
                    self._on_signal(number)
        late = self._deadline is not None and time.monotonic() >= self._deadline
        if self._result is None or (self._result == 0 and self._mains):
            return False
        return self._result == 0 or late or not children_left

    def _wait_milliseconds(self) -> int | None:
        if self._deadline is None:
            return None
        return max(int((self._deadline - time.monotonic()) * 1000) + 1, 0)

    # ---- signals

    def _on_signal(self, number: int) -> None:
        if number in _FORWARDED and self._mains:
            self._mains[-1].send(number)
        elif number in _FORWARDED_TO_ALL:
            for main in self._mains:
                main.send(number)
        elif number == signal.SIGTSTP and os.getpid() != 1:
            # Ctrl-Z in a shell. In a container nobody could ever say `fg`.
            for main in self._mains:
                main.send_group(signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
        elif number == signal.SIGCONT:
            for main in self._mains:
                main.send_group(signal.SIGCONT)

    # ---- the link

    def _receive(self) -> None:
        """Handle every message that has arrived."""
        room = socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(4)
        while self._link_open:
            try:
                text, extra, _, _ = self._link.recvmsg(64, room, socket.MSG_CMSG_CLOEXEC)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._link_open = False
                return
            sender, passed = (0, -1, -1), []
            for level, kind, data in extra:
                if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                    sender = CREDENTIALS.unpack(data[: CREDENTIALS.size])
                elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    passed += [fd for (fd,) in struct.iter_unpack("i", data[: len(data) & ~3])]
            try:
                if not text and not extra:
                    # All mains have closed their ends.
                    self._link_open = False
                else:
                    self._on_message(text, sender[0], sender[1], passed)
            finally:
                for fd in passed:
                    os.close(fd)

    def _on_message(self, text: bytes, pid: int, uid: int, passed: list[int]) -> None:
        """The sender is who the kernel says, whatever the message says."""
        if text == BECOME_MAIN and passed:
            refusal = self._register(pid, uid)
            # The asker may have gone, or may never read: neither is init's trouble.
            with contextlib.suppress(OSError):
                os.set_blocking(passed[0], False)
                os.write(passed[0], refusal.encode() or ACCEPTED)
        elif text[:-1] == END:
            for main in self._mains:
                if main.pid == pid:
                    main.said = text[-1]

    def _register(self, pid: int, uid: int) -> str:
        """Make <pid> the newest main, or say why not."""
        if self._result is not None:
            return "the service is ending"
        if uid != self._uid:
            # A worker that has given up its privileges must not become the service.
            return f"uid {uid} is not {self._uid}"
        known = [m for m in self._mains if m.pid == pid]
        main = known[0] if known else _Main(pid)
        # After its descriptor is open, so that what is checked is what is registered.
        if not descends(pid, os.getpid()):
            if not known:
                main.forget()
            return f"process {pid} does not descend from init"
        self._mains = [m for m in self._mains if m.pid != pid] + [main]
        return ""

    # ---- ends

    def _reap(self) -> bool:
        """Take leave of every child that has ended. False when there are no children at all."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            for main in self._mains:
                if main.pid == pid:
                    code = os.waitstatus_to_exitcode(status)
                    main.status = code if code >= 0 else 128 - code

    def _on_end(self, main: _Main) -> None:
        newest = main is self._mains[-1]
        self._mains.remove(main)
        main.forget()
        if not newest or self._result is not None:
            return
        self._result = main.status if main.status is not None else main.said
        if self._result is None:
            # Its parent, an older main, got the status, and it did not say goodbye.
            self._result = 1
        if self._result != 0:
            self._deadline = time.monotonic() + GRACE_SECONDS
            for older in self._mains:
                older.send(signal.SIGTERM)


def _sweep(strangers: set[int]) -> None:
    """Kill what is left below this process; the orphans of the killed become children in turn."""
    deadline = time.monotonic() + _SWEEP_SECONDS
    while (left := children() - strangers) and time.monotonic() < deadline:
        for pid in left:
            # Not reaped yet, so the number cannot belong to another process.
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)
