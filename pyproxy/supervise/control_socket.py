"""Where `pyproxy status`, `reload`, `upgrade` and a new program reach the supervisor.

A unix socket that only its owner may open, and whoever connects must be the same user or root
(SO_PEERCRED). One request on a connection: HELLO with a command, then SAY lines, then DONE.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyproxy import log
from pyproxy.errors import StartError
from pyproxy.tls.held import rows_of

from .bindpoint import bind_file, file_id
from .channel import Channel, ChannelError, Kind, Message
from .endpoints import Endpoints, OrderError
from .pressure import Pressure
from .reactor import READ, WRITE

if TYPE_CHECKING:
    from .supervisor import Supervisor

PROTOCOL = 1
_MODE = 0o600
_BACKLOG = 16
_NAME_CHARACTERS = 32
# More at once is not somebody who wants something (descriptors are what would run out).
_MAX_CALLERS = 32
# Those that end first; the admin server has them all.
_CERTIFICATES_SHOWN = 100


def path_of(configured: str, source: str) -> Path:
    """Where the socket of a service is: as configured, or a path made from its configuration's."""
    if configured:
        return Path(configured)
    # Readable, and still its own for every path (a socket's may have 107 bytes).
    path = os.path.realpath(source or sys.argv[0])
    name = path.strip("/").replace("/", "-")[-_NAME_CHARACTERS:]
    return _runtime_folder() / f"{name}.{zlib.crc32(os.fsencode(path)):08x}.sock"


def _runtime_folder() -> Path:
    uid = os.geteuid()
    given = os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    if uid == 0:
        return Path("/run/pyproxy")
    user = os.environ.get("XDG_RUNTIME_DIR", "")
    return Path(user) / "pyproxy" if user else Path(f"/tmp/pyproxy-{uid}")


class Passed(NamedTuple):
    """The socket of the generation before: whoever waits in it is heard by the next one."""

    path: str
    file_id: tuple[int, int]
    sock: socket.socket


class Caller:
    """Somebody who is connected."""

    def __init__(self, owner: ControlSocket, channel: Channel) -> None:
        self._owner = owner
        self.channel = channel

    def say(self, text: str) -> None:
        """A line on the way."""
        self._send(Kind.SAY, {"text": text})

    def done(self, ok: bool, **more: Any) -> None:
        """The outcome; nothing comes after it."""
        self._send(Kind.DONE, {"ok": ok, **more})
        if not self.channel.wants_write:
            self._owner.drop(self)

    def _send(self, kind: Kind, body: dict[str, Any]) -> None:
        if not self.channel.closed:
            self.channel.send(kind, body)
            self._owner.watch(self)


class ControlSocket:
    """The listening socket and the callers."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._up = supervisor
        self._log = log.get("supervisor")
        self._sock: socket.socket | None = None
        self._callers: list[Caller] = []
        self._path = Path()
        self._file_id = (0, 0)

    # ---- life

    def open(self, passed: Passed | None = None) -> None:
        """Listen, on the socket of the generation before if there is one and it is the right one.

        Without a control socket the service still serves.
        """
        service = self._up.service
        self._path = path_of(service.config.control_socket, service.source)
        try:
            if passed is None or not self._adopt(passed):
                self._bind()
        except OSError as error:
            self._log.warning(f"no control socket: {self._path}: {error.strerror or error}")
            self.close()
            return
        assert self._sock is not None
        self._up.reactor.watch(self._sock, READ, self._on_call)

    def _adopt(self, passed: Passed) -> bool:
        """Go on with the socket of the generation before. False when it is elsewhere now."""
        is_there = False
        with contextlib.suppress(FileNotFoundError):
            is_there = file_id(passed.path) == passed.file_id
        if is_there and passed.path == str(self._path):
            passed.sock.setblocking(False)
            self._sock, self._file_id = passed.sock, passed.file_id
            return True
        passed.sock.close()
        if is_there:
            Path(passed.path).unlink()
        return False

    def pass_on(self) -> Passed | None:
        """What the next generation needs, which gets a duplicate."""
        if self._sock is None:
            return None
        return Passed(str(self._path), self._file_id, self._sock)

    def leave(self) -> None:
        """The next generation listens: close ours, but neither its file nor who is connected."""
        if self._sock is not None:
            self._up.reactor.unwatch(self._sock)
            self._sock.close()
            self._sock = None

    def _bind(self) -> None:
        folder = self._path.parent
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700, parents=True)
        found = folder.stat()
        if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
            raise PermissionError(1, f"everybody may write to {folder}")
        if found.st_uid not in (0, os.geteuid()):
            raise PermissionError(1, f"{folder} belongs to uid {found.st_uid}")
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        bind_file(self._sock, str(temporary), _MODE)
        self._sock.listen(_BACKLOG)
        self._file_id = file_id(temporary)
        # In one step: a file that somebody has left there is no hindrance.
        temporary.replace(self._path)

    def close(self) -> None:
        """Hear nobody any more. Idempotent."""
        if self._sock is None:
            return
        self.leave()
        with contextlib.suppress(OSError):
            if file_id(self._path) == self._file_id:
                self._path.unlink()
        for caller in list(self._callers):
            self.drop(caller)

    def close_inherited(self) -> None:
        """In a forked child."""
        if self._sock is not None:
            self._sock.close()
        for caller in self._callers:
            caller.channel.close()

    # ---- callers

    def _on_call(self, events: int) -> None:
        assert self._sock is not None
        try:
            end, _ = self._sock.accept()
        except OSError:
            return
        credentials = end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, uid, _ = struct.unpack("3i", credentials)
        if uid not in (0, os.geteuid()) or len(self._callers) >= _MAX_CALLERS:
            end.close()
            return
        caller = Caller(self, Channel(end))
        self._callers.append(caller)
        self.watch(caller)

    def watch(self, caller: Caller) -> None:
        """Make the reactor wait for what this caller needs next."""
        if caller in self._callers:
            events = READ | (WRITE if caller.channel.wants_write else 0)
            self._up.reactor.watch(caller.channel, events, lambda e: self._on_events(caller, e))

    def drop(self, caller: Caller) -> None:
        """Hang up."""
        if caller in self._callers:
            self._callers.remove(caller)
            self._up.reactor.unwatch(caller.channel)
            caller.channel.close()

    def detach(self, caller: Caller) -> Channel:
        """Its channel is somebody else's from now on."""
        self._callers.remove(caller)
        self._up.reactor.unwatch(caller.channel)
        return caller.channel

    def _on_events(self, caller: Caller, events: int) -> None:
        if events & WRITE:
            caller.channel.flush()
        if events & READ:
            try:
                for message in caller.channel.receive():
                    self._on_message(caller, message)
            except ChannelError as error:
                self._log.warning(f"control socket: {error}")
                caller.channel.closed = True
            except Exception:
                # Whatever somebody asks for must not end the service.
                self._log.exception("control socket")
                caller.channel.closed = True
        if caller.channel.closed:
            self.drop(caller)
        else:
            self.watch(caller)

    def _on_message(self, caller: Caller, message: Message) -> None:
        message.close()
        command = message.body.get("command") if message.kind is Kind.HELLO else None
        protocol = message.body.get("protocol")
        action = _COMMANDS.get(str(command))
        if protocol != PROTOCOL:
            caller.done(False, error=f"protocol {protocol} is not spoken here, only {PROTOCOL}")
        elif action is None:
            caller.done(False, error=f'there is no command "{command}" here')
        elif self._up.succeeded:
            # It connected at the moment of an upgrade, before we let go.
            caller.done(False, moved=True, error="another generation serves now; ask again")
        else:
            action(self._up, caller, message.body)


def _status(up: Supervisor, caller: Caller, body: dict[str, Any]) -> None:
    rows = sorted(rows_of(up.service.config, time.time()), key=lambda row: row["not_after"])
    caller.done(
        True,
        generations=[_state(up), *(one.tree for one in reversed(up.generations.older))],
        listeners=up.service.listener_rows(),
        certificates=rows[:_CERTIFICATES_SHOWN],
        certificates_more=len(rows[_CERTIFICATES_SHOWN:]),
        certificates_refused=up.certificates.refused,
        reload=up.reload.active,
        upgrade=up.upgrade.active,
    )


def _state(up: Supervisor) -> dict[str, Any]:
    """Our tree, with what the workers have in hand."""
    state = up.state()
    for worker in state["workers"]:
        column = next((c.column for c in up.tree.children if c.pid == worker["pid"]), -1)
        if column >= 0:
            worker.setdefault("connections", up.service.counters.open_connections(column))
            worker.update(up.service.counters.overload(column))
    return state


def _reload(up: Supervisor, caller: Caller, body: dict[str, Any]) -> None:
    up.reload.request(caller, only_diff=bool(body.get("diff")))


def _upgrade(up: Supervisor, caller: Caller, body: dict[str, Any]) -> None:
    program = body.get("program")
    up.upgrade.request(caller, [str(word) for word in program] if program else None)


def _take_over(up: Supervisor, caller: Caller, body: dict[str, Any]) -> None:
    up.upgrade.answer(caller, body)


def _upstreams(up: Supervisor, caller: Caller, body: dict[str, Any]) -> None:
    segment, config = up.service.counters.segment, up.service.config
    rows, groups = Endpoints(segment).rows(config), Pressure(segment).rows(config)
    caller.done(True, upstreams=rows, groups=groups, discovery=up.discovery.rows())


def _endpoint(up: Supervisor, caller: Caller, body: dict[str, Any]) -> None:
    """Change the state or weight of an endpoint."""
    weight = body.get("weight")
    try:
        row = Endpoints(up.service.counters.segment).order(
            up.service.config,
            str(body.get("upstream")),
            str(body.get("endpoint")),
            state=body.get("state"),
            weight=None if weight is None else int(weight),
        )
    except (OrderError, ValueError) as error:
        caller.done(False, error=str(error))
    else:
        caller.done(True, endpoint=row)


_COMMANDS: dict[str, Callable[[Supervisor, Caller, dict[str, Any]], None]] = {
    "status": _status,
    "reload": _reload,
    "upgrade": _upgrade,
    "takeover": _take_over,
    "upstreams": _upstreams,
    "endpoint": _endpoint,
}


def call(path: Path, command: str, **more: Any) -> Channel:
    """Connect and say HELLO. Raises `StartError` in words for people."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        end.connect(str(path))
    except OSError as error:
        end.close()
        raise StartError(
            f"no pyproxy answers at {path} ({error.strerror}); is it running, with the same "
            "configuration path and user?"
        ) from error
    channel = Channel(end)
    channel.send(Kind.HELLO, {"protocol": PROTOCOL, "command": command, **more})
    return channel
