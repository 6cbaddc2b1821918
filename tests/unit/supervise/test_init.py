"""The init process: signals, orphans, successors, and the status that it ends with.

Each test runs a whole init in a process of its own; the mains are small functions that tell what
they see through a pipe.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from pyproxy.errors import StartError
from pyproxy.supervise import init
from pyproxy.supervise.init import InitLink, run_under_init, should_use_init
from pyproxy.supervise.init_link import children, descends

GUARD_SECONDS = 30


class Service:
    """An init in a child of the test; `tell` is what its mains write lines with."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self._text = b""
        self.pid = 0

    def start(self, main: Callable[[InitLink], int], before: Callable[[], None] = bool) -> None:
        self.pid = os.fork()
        if self.pid:
            os.close(self._write)
            return
        status = 99
        try:
            os.close(self._read)
            before()
            status = run_under_init(main)
        except BaseException as error:
            self.tell(f"raised {error!r}")
        finally:
            os._exit(status)

    def tell(self, line: object) -> None:
        os.write(self._write, f"{line}\n".encode())

    def heard(self) -> str:
        """The next line; empty when everybody who could write is gone."""
        while b"\n" not in self._text:
            assert select.select([self._read], [], [], GUARD_SECONDS)[0], "nothing was said"
            chunk = os.read(self._read, 4096)
            if not chunk:
                return ""
            self._text += chunk
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def wait(self) -> int:
        """The exit status of init; no wait is for ever."""
        pidfd = os.pidfd_open(self.pid)
        ended = select.select([pidfd], [], [], GUARD_SECONDS)[0]
        os.close(pidfd)
        assert ended, "init did not end"
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def close(self) -> None:
        if self.pid:
            everyone = [self.pid]
            for pid in everyone:
                everyone += children_of(pid)
            for pid in everyone:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._read)


def children_of(pid: int) -> list[int]:
    names = [name for name in os.listdir("/proc") if name.isdigit()]
    return [int(name) for name in names if parent_of(int(name)) == pid]


def parent_of(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def wait_for_state(pid: int, *states: str) -> None:
    """Until the process is stopped (T), waits to be reaped (Z), or is gone (the empty text)."""
    deadline = time.monotonic() + GUARD_SECONDS
    while state_of(pid) not in states:
        assert time.monotonic() < deadline, f"the process is in state {state_of(pid)}"
        time.sleep(0.01)


def state_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


@pytest.fixture
def service() -> Iterator[Service]:
    it = Service()
    yield it
    it.close()


def signals_told(service: Service, name: str, until: dict[int, int]) -> int:
    """A main: tell every signal that arrives; end with a status at those of <until>."""
    names = {signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT}
    names |= {signal.SIGQUIT, signal.SIGCONT}
    signal.pthread_sigmask(signal.SIG_BLOCK, names)
    service.tell(f"{name} {os.getpid()}")
    while True:
        number = signal.sigwait(names)
        service.tell(f"{name} {signal.Signals(number).name}")
        if number in until:
            return until[number]


def successor(service: Service, link: InitLink, until: dict[int, int], name: str = "new") -> int:
    """Fork another main, which registers. Returns its id in the old one."""
    pid = os.fork()
    if pid:
        return pid
    status = 98
    try:
        # Blocked before, as a supervisor installs its handlers before it registers.
        signal.pthread_sigmask(signal.SIG_BLOCK, set(range(1, 32)) - {signal.SIGCHLD})
        link.become_main()
        status = signals_told(service, name, until)
        link.say_end(status)
    except BaseException as error:
        service.tell(f"{name} {error!r}")
    finally:
        os._exit(status)


ENDS = {signal.SIGTERM: 0}


# ---- one main


@pytest.mark.parametrize("status", [0, 1, 2, 77])
def test_init_ends_with_the_status_of_its_main(service, status) -> None:
    service.start(lambda link: status)
    assert service.wait() == status


def test_a_killed_main_counts_as_a_shell_would_count_it(service) -> None:
    service.start(lambda link: os.kill(os.getpid(), signal.SIGKILL) or 0)
    assert service.wait() == 128 + signal.SIGKILL


def test_what_the_main_raises_reaches_its_caller(service) -> None:
    def main(link: InitLink) -> int:
        raise StartError("the address is in use")

    service.start(main)
    assert "the address is in use" in service.heard()
    assert service.wait() == 99


def test_signals_are_passed_on_once(service) -> None:
    service.start(lambda link: signals_told(service, "main", ENDS))
    assert service.heard().startswith("main ")
    for name in ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGINT", "SIGQUIT", "SIGTERM"):
        service.signal(signal.Signals[name])
        assert service.heard() == f"main {name}"
    assert service.heard() == ""
    assert service.wait() == 0


def test_a_signal_before_there_is_a_main_is_kept_for_it(service, monkeypatch) -> None:
    fork = os.fork

    def slow_fork() -> int:
        # The signal arrives when init has blocked it and nobody can receive it yet.
        os.kill(os.getpid(), signal.SIGTERM)
        return fork()

    service.start(
        lambda link: signals_told(service, "main", ENDS),
        lambda: monkeypatch.setattr(init.os, "fork", slow_fork),
    )
    # It may come before the main can catch it: then it ends the main, as it would without init.
    said = [service.heard(), service.heard()]
    assert service.wait() == (0 if "main SIGTERM" in said else 128 + signal.SIGTERM)


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_a_start_is_not_ended_by_a_request_to_reload(service, name) -> None:
    def main(link: InitLink) -> int:
        service.tell("starting")
        os.kill(os.getpid(), signal.Signals[name])
        return signals_told(service, "main", ENDS)

    service.start(main)
    assert service.heard() == "starting"
    assert service.heard().startswith("main ")
    service.signal(signal.SIGTERM)
    assert service.heard() == "main SIGTERM"
    assert service.wait() == 0


def test_a_signal_to_the_whole_group_arrives_once(service) -> None:
    """What a shell sends for Ctrl-C, and `kill %1`, go to the group of init."""
    service.start(lambda link: signals_told(service, "main", ENDS), os.setpgrp)
    service.heard()
    os.killpg(service.pid, signal.SIGINT)
    assert service.heard() == "main SIGINT"
    os.killpg(service.pid, signal.SIGTERM)
    assert service.heard() == "main SIGTERM"
    assert service.heard() == ""
    assert service.wait() == 0


def test_ctrl_c_arrives_once(service) -> None:
    terminal, line = os.openpty()

    def before() -> None:
        # As in a container with a terminal: init leads the foreground group.
        os.setsid()
        fcntl.ioctl(line, termios.TIOCSCTTY, 0)

    service.start(lambda link: signals_told(service, "main", ENDS), before)
    service.heard()
    os.write(terminal, b"\x03")
    assert service.heard() == "main SIGINT"
    service.signal(signal.SIGTERM)
    assert service.heard() == "main SIGTERM"
    assert service.wait() == 0
    os.close(terminal)
    os.close(line)


def test_a_suspended_init_suspends_the_service(service) -> None:
    service.start(lambda link: signals_told(service, "main", ENDS))
    main = int(service.heard().split()[1])
    service.signal(signal.SIGTSTP)
    _, status = os.waitpid(service.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    wait_for_state(main, "T")
    service.signal(signal.SIGCONT)
    assert service.heard() == "main SIGCONT"
    service.signal(signal.SIGTERM)
    assert service.heard() == "main SIGTERM"
    assert service.wait() == 0


def test_orphans_are_reaped(service) -> None:
    def main(link: InitLink) -> int:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            grandchild = os.fork()
            if grandchild == 0:
                # Outlives its parent, then ends: somebody has to take leave of it.
                os.read(read, 1)
                os._exit(0)
            service.tell(grandchild)
            os._exit(0)
        os.waitpid(child, 0)
        os.write(write, b"x")
        return signals_told(service, "main", ENDS)

    service.start(main)
    orphan = int(service.heard())
    service.heard()
    deadline = time.monotonic() + GUARD_SECONDS
    while os.path.exists(f"/proc/{orphan}"):
        assert time.monotonic() < deadline, "the orphan is still there"
        time.sleep(0.01)
    service.signal(signal.SIGTERM)
    assert service.heard() == "main SIGTERM"
    assert service.wait() == 0


def test_nothing_outlives_the_service_but_strangers(service) -> None:
    stranger = []

    def before() -> None:
        stranger.append(os.fork())
        if stranger[0] == 0:
            signal.pause()
            os._exit(0)
        service.tell(stranger[0])

    def main(link: InitLink) -> int:
        stray = os.fork()
        if stray == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while True:
                signal.pause()
        service.tell(stray)
        return 0

    service.start(main, before)
    other, stray = int(service.heard()), int(service.heard())
    assert service.wait() == 0
    try:
        assert not os.path.exists(f"/proc/{stray}")
        assert os.path.exists(f"/proc/{other}")
    finally:
        os.kill(other, signal.SIGKILL)


ACTIVATED = """
import os, socket, sys, time
from pyproxy.supervise.init import run_under_init
sock = socket.create_server(("127.0.0.1", 0))
os.dup2(sock.fileno(), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
def main(link):
    mine = os.readlink("/proc/self/fd/3")
    # Init lets go of it at its leisure.
    while mine in {os.readlink(e.path) for e in os.scandir(f"/proc/{os.getppid()}/fd")}:
        time.sleep(0.01)
    return 0 if os.environ["LISTEN_PID"] == str(os.getpid()) else 1
if sock.fileno() != 3:
    sock.close()
sys.exit(run_under_init(main))
"""


def test_sockets_that_were_passed_in_go_to_the_main_alone() -> None:
    done = subprocess.run([sys.executable, "-c", ACTIVATED], timeout=GUARD_SECONDS)
    assert done.returncode == 0


def open_fds(pid: int) -> list[str]:
    return os.listdir(f"/proc/{pid}/fd")


# ---- successors


def test_signals_go_to_the_newest_main(service) -> None:
    def main(link: InitLink) -> int:
        successor(service, link, ENDS)
        return signals_told(service, "old", {signal.SIGALRM: 0, signal.SIGQUIT: 0})

    service.start(main)
    pids = dict(service.heard().split() for _ in range(2))
    service.signal(signal.SIGHUP)
    assert service.heard() == "new SIGHUP"
    service.signal(signal.SIGTERM)
    assert service.heard() == "new SIGTERM"
    # It ended in order; the old one may finish, and signals are its own again.
    wait_for_state(int(pids["new"]), "Z", "")
    service.signal(signal.SIGUSR1)
    assert service.heard() == "old SIGUSR1"
    service.signal(signal.SIGQUIT)
    assert service.heard() == "old SIGQUIT"
    assert service.wait() == 0


def test_the_old_main_may_leave(service) -> None:
    def main(link: InitLink) -> int:
        successor(service, link, ENDS | {signal.SIGUSR1: 5})
        return signals_told(service, "old", {signal.SIGINT: 0})

    service.start(main)
    pids = dict(service.heard().split() for _ in range(2))
    os.kill(int(pids["old"]), signal.SIGINT)
    assert service.heard() == "old SIGINT"
    deadline = time.monotonic() + GUARD_SECONDS
    while parent_of(int(pids["new"])) != service.pid:
        assert time.monotonic() < deadline, "init has not adopted the successor"
        time.sleep(0.01)
    service.signal(signal.SIGUSR1)
    assert service.heard() == "new SIGUSR1"
    assert service.wait() == 5


def test_stop_now_reaches_every_main(service) -> None:
    def main(link: InitLink) -> int:
        successor(service, link, {signal.SIGINT: 0})
        return signals_told(service, "old", {signal.SIGINT: 0})

    service.start(main)
    service.heard(), service.heard()
    service.signal(signal.SIGINT)
    assert {service.heard(), service.heard()} == {"old SIGINT", "new SIGINT"}
    assert service.wait() == 0


def test_a_successor_that_crashes_ends_the_service(service) -> None:
    def main(link: InitLink) -> int:
        successor(service, link, {})
        return signals_told(service, "old", ENDS)

    service.start(main)
    pids = dict(service.heard().split() for _ in range(2))
    os.kill(int(pids["new"]), signal.SIGKILL)
    assert service.heard() == "old SIGTERM"
    # Its status is known to its parent alone, which is the old main.
    assert service.wait() == 1


def test_an_old_main_that_will_not_stop_is_not_waited_for(service, monkeypatch) -> None:
    def main(link: InitLink) -> int:
        successor(service, link, {})
        return signals_told(service, "old", {})

    monkeypatch.setattr(init, "GRACE_SECONDS", 0.1)
    service.start(main)
    pids = dict(service.heard().split() for _ in range(2))
    os.kill(int(pids["new"]), signal.SIGKILL)
    assert service.heard() == "old SIGTERM"
    assert service.heard() == ""
    assert service.wait() == 1


def test_a_main_that_dies_without_successor_ends_the_service(service, monkeypatch) -> None:
    """Even while another process is about to become one: it must not come too late."""

    def main(link: InitLink) -> int:
        if os.fork() == 0:
            service.tell("preparing")
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
            signal.sigwait({signal.SIGUSR1})
            os._exit(0)
        signal.pause()
        return 0

    monkeypatch.setattr(init, "GRACE_SECONDS", 0.1)
    service.start(main)
    service.heard()
    first = children_of(service.pid)
    os.kill(first[0], signal.SIGKILL)
    assert service.wait() == 128 + signal.SIGKILL
    assert service.heard() == ""


def test_a_third_main_follows_the_second(service) -> None:
    def main(link: InitLink) -> int:
        for name in ("second", "third"):
            successor(service, link, ENDS, name)
            service.tell(f"started {name}")
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
            signal.sigwait({signal.SIGALRM})
        return 0

    service.start(main)
    assert {service.heard().split()[0] for _ in range(2)} == {"second", "started"}
    first = children_of(service.pid)[0]
    os.kill(first, signal.SIGALRM)
    said = [service.heard().split() for _ in range(2)]
    third = next(int(pid) for name, pid in said if name == "third")
    os.kill(first, signal.SIGALRM)
    service.signal(signal.SIGTERM)
    assert service.heard() == "third SIGTERM"
    wait_for_state(third, "Z", "")
    service.signal(signal.SIGTERM)
    assert service.heard() == "second SIGTERM"
    assert service.wait() == 0


def test_registering_twice_changes_nothing(service) -> None:
    def main(link: InitLink) -> int:
        link.become_main()
        link.become_main()
        return signals_told(service, "main", ENDS)

    service.start(main)
    service.heard()
    service.signal(signal.SIGTERM)
    assert service.heard() == "main SIGTERM"
    assert service.wait() == 0


# ---- who may register


def test_a_process_of_another_family_is_refused(service) -> None:
    """The number in a message is not believed, and a stranger with the link gets nowhere."""
    ours, theirs = socket.socketpair()

    def main(link: InitLink) -> int:
        socket.send_fds(theirs, [b"x"], [link.fileno()])
        return signals_told(service, "main", ENDS)

    service.start(main)
    _, fds, _, _ = socket.recv_fds(ours, 1, 1)
    ours.close()
    theirs.close()
    link = InitLink(socket.socket(fileno=fds[0]))
    with pytest.raises(StartError, match=f"process {os.getpid()} does not descend"):
        link.become_main()
    link.say_end(0)
    link.close()
    service.heard()
    service.signal(signal.SIGTERM)
    assert service.heard() == "main SIGTERM"
    assert service.wait() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_worker_without_privileges_is_refused(service) -> None:
    def main(link: InitLink) -> int:
        if os.fork() == 0:
            os.setresuid(65534, 65534, 65534)
            try:
                link.become_main()
            except StartError as error:
                service.tell(error)
            os._exit(0)
        os.wait()
        return signals_told(service, "main", ENDS)

    service.start(main)
    assert service.heard() == "init refused: uid 65534 is not 0"
    service.heard()
    service.signal(signal.SIGTERM)
    assert service.heard() == "main SIGTERM"
    assert service.wait() == 0


def test_nonsense_on_the_link_is_ignored(service) -> None:
    def main(link: InitLink) -> int:
        for message in (b"", b"main", b"end", b"x" * 4096, b"\0" * 64):
            link._end.send(message)
        for _ in range(20):
            socket.send_fds(link._end, [b"main"], [0, 1, 2, 0, 1, 2])
        link.become_main()
        return signals_told(service, "main", ENDS)

    service.start(main)
    while not (line := service.heard()).startswith("main "):
        assert line == "ok"  # descriptor 0 or 1 of a test may be this very pipe
    # Nothing of what was passed stays open, beside what init has of its own.
    assert len(open_fds(service.pid)) < len(open_fds(os.getpid())) + 10
    service.signal(signal.SIGTERM)
    assert service.heard() == "main SIGTERM"
    assert service.wait() == 0


def test_nobody_answers_when_init_is_gone(service) -> None:
    def main(link: InitLink) -> int:
        service.tell("ready")
        assert select.select([link.fileno()], [], [], GUARD_SECONDS)[0]
        try:
            link.become_main()
        except StartError as error:
            service.tell(error)
        return 0

    service.start(main)
    assert service.heard() == "ready"
    main_pid = children_of(service.pid)[0]
    os.kill(service.pid, signal.SIGKILL)
    assert service.wait() == -signal.SIGKILL
    assert service.heard().startswith("init cannot be reached")
    assert not descends(main_pid, os.getpid()) or main_pid in children()


# ---- the environment


PROGRAM = """
import os, sys
from pyproxy.supervise.init import InitLink, should_use_init
link = InitLink.inherited()
link.become_main()
print("linked", should_use_init(True), os.get_inheritable(link.fileno()), flush=True)
link.say_end(3)
sys.exit(3)
"""


def test_the_link_outlives_an_exec(service) -> None:
    def main(link: InitLink) -> int:
        os.dup2(service._write, 1)
        os.set_inheritable(link.fileno(), True)
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM])

    service.start(main)
    assert service.heard() == "linked False False"
    assert service.wait() == 3


def test_an_init_is_used_when_asked_or_as_process_one(monkeypatch) -> None:
    assert not should_use_init(environ={})
    assert should_use_init(True, {})
    monkeypatch.setattr(init.os, "getpid", lambda: 1)
    assert should_use_init(environ={})


def test_a_stale_variable_is_no_link(tmp_path) -> None:
    left, right = socket.socketpair()
    mine, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with left, right, mine, other, open(tmp_path / "file", "w") as file:
        numbers = ["", "x", "1", "99999", str(1 << 40), str(file.fileno()), str(left.fileno())]
        # The right kind of socket, but this process itself made it: no ancestor did.
        numbers.append(str(mine.fileno()))
        for number in numbers:
            assert InitLink.inherited({"PYPROXY_INIT_FD": number}) is None
            assert should_use_init(True, {"PYPROXY_INIT_FD": number})
        assert file.fileno() > 0
        assert left.send(b"x") == 1
    assert InitLink.inherited({}) is None
