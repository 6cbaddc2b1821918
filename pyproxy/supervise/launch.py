"""From a configuration to a running process tree: everything before the first fork, in order.

User and log files are checked, then the Python filters (in a process that ends afterwards), and
only then is anything bound, or taken over from an older generation; a fault of the configuration or
of a filter never leaves a half-open service behind.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from pyproxy import log
from pyproxy.config.model import Config, python_refs
from pyproxy.errors import StartError
from pyproxy.filters.chain import bind_filters

from . import logfiles, pidfile, privileges, systemd
from .certificates import warn_of_certificates
from .control_socket import path_of
from .counters import Counters
from .init_link import InitLink
from .loader import check_filters
from .service import Service
from .shared import Shared
from .supervisor import Supervisor
from .takeover import Takeover
from .verdicts import Verdicts
from .worker import BindFilters, prepare_tls


def _nothing() -> None:
    """The default of a hook."""


def serve(
    config: Config,
    bind: BindFilters = bind_filters,
    *,
    source: str | Path = "",
    upgrade: bool = False,
    before_fork: Callable[[], None] = _nothing,
) -> int:
    """Run the proxy until a signal ends it; returns the exit status.

    <bind> makes the filters, in each worker; <source> is where the configuration was read, and is
    read again by a reload; with <upgrade> the running service of that source is taken over from;
    <before_fork> runs once when everything is loaded. Raises `PyproxyError` when the proxy cannot
    start: nothing is bound or running then.
    """
    if threading.current_thread() is not threading.main_thread():
        raise StartError("the proxy must be run in the main thread: it looks after signals")
    # Until the supervisor does, SIGTERM unwinds like Ctrl-C, so that nothing is left behind.
    old_handler = signal.signal(signal.SIGTERM, _leave)
    takeover = Takeover.inherited()
    try:
        log.configure(config.log.level, config.log.format)
        if takeover is None and upgrade:
            takeover = Takeover.of(path_of(config.control_socket, str(source)))
        return _run(config, bind, str(source), takeover, before_fork)
    except BaseException as error:
        if takeover is not None:
            takeover.fail(error)
        raise
    finally:
        signal.signal(signal.SIGTERM, old_handler)


def _run(
    config: Config,
    bind: BindFilters,
    source: str,
    takeover: Takeover | None,
    before_fork: Callable[[], None],
) -> int:
    identity = _identity(config)
    logfiles.prepare_all(config, identity)
    code: list[str] = []
    if python_refs(config):
        closing = takeover.close_inherited if takeover is not None else _nothing
        code = check_filters(config, identity, bind, closing)
    warn_of_certificates(config, log.get("supervisor").warning)
    privileges.raise_file_limit()
    service = Service(config, identity, bind, source=source)
    service.modules = code
    supervisor = None
    try:
        _open(service, takeover)
        Verdicts(service.counters.segment).prepare(service.config)
        prepare_tls(service.config)
        supervisor = Supervisor(service, takeover, InitLink.inherited(), before_fork)
        return supervisor.run()
    finally:
        # What a successor serves, and what we never served, is not ours to remove.
        served = supervisor is not None and supervisor.served
        service.give_up_columns()
        service.close(files=supervisor is None or not supervisor.succeeded, inherited=served)
        if service.pid_file:
            pidfile.remove(service.pid_file)


def _open(service: Service, takeover: Takeover | None) -> None:
    if takeover is not None:
        takeover.receive()
        service.generation = takeover.generation
        service.open(takeover.given)
        service.counters = takeover.counters(service)
        service.shared = takeover.shared(service)
        takeover.prepare(service)
        service.accepting = False
        return
    try:
        given = systemd.given_sockets()
    except ValueError as error:
        raise StartError(str(error)) from error
    service.open(given)
    service.counters = Counters.make(service.config, service.slots)
    service.shared = Shared.make(service.config.shared_memory_bytes)


def _identity(config: Config) -> privileges.Identity | None:
    if not config.user:
        return None
    identity = privileges.resolve(config.user)
    privileges.check(identity)
    return identity


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
