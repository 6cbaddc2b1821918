"""A supervisor's side of its init: the link over which it says who is the main process.

One message is one packet; init learns the sender's process id and user from the kernel, not from
the message.

    main + a pipe's writing end    I am the main process; the pipe brings `ok`, or why not
    end + one byte                 I end in good order, with this exit status
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from collections.abc import MutableMapping

from pyproxy.errors import StartError

LINK_VARIABLE = "PYPROXY_INIT_FD"
BECOME_MAIN = b"main"
END = b"end"
ACCEPTED = b"ok"
CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_ANSWER_SECONDS = 10.0


class InitLink:
    """A main's connection to init; owns its descriptor.

    A successor inherits it: start it with `pass_fds=[link.fileno()]` and the environment as it is.
    Children that are no supervisors must `close` theirs. It turns readable (end of file) when init
    is gone.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end

    @classmethod
    def inherited(cls, environ: MutableMapping[str, str] | None = None) -> InitLink | None:
        """The link that LINK_VARIABLE names; None without one.

        A variable that outlived its descriptor, so that the number means something else or nothing,
        counts as none.
        """
        fd = linked_fd(os.environ if environ is None else environ)
        if fd < 0:
            return None
        os.set_inheritable(fd, False)
        return cls(socket.socket(fileno=fd))

    def fileno(self) -> int:
        """The descriptor to watch and to pass on; -1 after `close`."""
        return self._end.fileno()

    def become_main(self, timeout: float = _ANSWER_SECONDS) -> None:
        """Be the process that gets the signals and whose end is the end of the service.

        Returns when init has agreed: from then on the predecessor may go. Idempotent. Raises
        `StartError` when init refuses or is gone; nothing has changed then.
        """
        answer, theirs = os.pipe()
        try:
            try:
                rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", theirs))
                self._end.sendmsg([BECOME_MAIN], [rights], socket.MSG_DONTWAIT)
            finally:
                # Only init's copy is left: if it goes away, reading ends.
                os.close(theirs)
            poll = select.poll()
            poll.register(answer, select.POLLIN)
            ready = poll.poll(timeout * 1000)
            verdict = os.read(answer, 512) if ready else b"no answer"
        except OSError as error:
            raise StartError(f"init cannot be reached: {error.strerror}") from error
        finally:
            os.close(answer)
        if verdict != ACCEPTED:
            raise StartError(f"init refused: {verdict.decode(errors='replace') or 'it is gone'}")

    def say_end(self, status: int) -> None:
        """Say that this process is about to end in good order, with this exit status.

        Init learns the status of its own children from the kernel. A main whose predecessor still
        lives is the predecessor's child: without these words its end would count as a crash.
        """
        with contextlib.suppress(OSError):
            self._end.send(END + bytes([status & 0xFF]), socket.MSG_DONTWAIT)

    def close(self) -> None:
        """Close this process's end. Idempotent."""
        self._end.close()


def linked_fd(environ: MutableMapping[str, str]) -> int:
    """The descriptor that LINK_VARIABLE names, if it is a link; else -1. Changes nothing."""
    text = environ.get(LINK_VARIABLE, "")
    if not (text.isascii() and text.isdigit()) or int(text) < 3:
        return -1
    try:
        # A copy, so that looking does not take the descriptor.
        with socket.socket(fileno=os.dup(int(text))) as end:
            return int(text) if _leads_to_init(end) else -1
    except (OSError, OverflowError):
        return -1


def _leads_to_init(end: socket.socket) -> bool:
    """The other end was made by an ancestor of this process, and it is the right kind of socket."""
    if end.family != socket.AF_UNIX or end.type != socket.SOCK_SEQPACKET:
        return False
    raw = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    return descends(os.getpid(), CREDENTIALS.unpack(raw)[0])


def _parent_of(pid: int) -> int:
    """The parent's id; 0 when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            # The name in parentheses may hold anything, closing parentheses included.
            return int(stat.read().rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def descends(pid: int, ancestor: int) -> bool:
    """<ancestor> is the parent of <pid>, or the parent of its parent, and so on."""
    for _ in range(64):
        pid = _parent_of(pid)
        if pid in (0, ancestor):
            break
    return pid == ancestor and pid != 0


def children() -> set[int]:
    """The ids of this process's children."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    mine = os.getpid()
    names = [name for name in os.listdir("/proc") if name.isdigit()]
    return {int(name) for name in names if _parent_of(int(name)) == mine}
