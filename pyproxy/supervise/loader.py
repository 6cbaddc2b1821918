"""Reading a configuration in a process of its own.

The supervisor parses nothing, waits for no name server, and imports no code of the user. The reader
hands its result over in memory; the filters are tried in a further process, whose word is only yes
or no.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import time
import traceback
from collections.abc import Callable

import msgspec

from pyproxy._engine import SnapshotBuilder
from pyproxy.config import modules
from pyproxy.config.compile import compile_snapshot
from pyproxy.config.diff import differences
from pyproxy.config.load import load
from pyproxy.config.model import Config, filter_refs, python_refs
from pyproxy.config.resolve import resolve_endpoints
from pyproxy.errors import ConfigError, Fault, PyproxyError, StartError
from pyproxy.filters.chain import BoundFilter
from pyproxy.tls.held import part_of

from . import blob, privileges
from .channel import Channel, Kind
from .children import Child, describe_exit, end_with_parent, fork_child
from .first_look import with_first_look
from .memory import share_memory
from .worker import BindFilters, verify_filters

_NICER = 10
_LOOK_MS = 100


def read_again(
    channel: Channel,
    source: str,
    running: Config,
    demo_address: str,
    identity: privileges.Identity | None,
    bind: BindFilters,
    *,
    only_diff: bool,
) -> int:
    """Entry of the loader's process: LOADED with the new configuration, or FAILED.

    With <only_diff>, LOADED has only the lines that tell how it differs from <running>.
    """
    # Those who serve come first; and what is made here is no garbage until this process ends.
    os.nice(_NICER)
    gc.disable()
    try:
        config = share_memory(resolve_endpoints(load(source), demo_address=demo_address))
        config = with_first_look(config, running, identity, channel.close)
        found: list[str] = []
        if python_refs(config):
            found += check_filters(config, identity, bind, channel.close)
        _try_to_build(config)
        if only_diff:
            channel.send(Kind.LOADED, {"diff": differences(running, config)})
            return 0
        memory = blob.pack(config)
        channel.send(Kind.LOADED, {"modules": sorted({*found, *modules.files()})}, [memory])
    except ConfigError as error:
        channel.send(Kind.FAILED, {"faults": error.faults})
    except PyproxyError as error:
        channel.send(Kind.FAILED, {"error": str(error)})
    except Exception:
        channel.send(Kind.FAILED, {"error": traceback.format_exc().rstrip()})
    return 0


def read_files_again(channel: Channel, running: Config) -> int:
    """Entry of the loader's process for the files that <running> names, such as certificates.

    LOADED tells the sections that have `changed` and the `faults` of those that stay. If any has
    changed the configuration comes with it; or, when they are all of listeners, only a `part`: for
    those everything but the certificates can stay in the workers. Or FAILED.
    """
    gc.disable()
    try:
        from pyproxy.tls import files

        outcome = files.read_again(running)
        part = all(path.startswith("listeners.") for path in outcome.changed)
        body = {"changed": outcome.changed, "faults": outcome.faults}
        if not outcome.changed:
            channel.send(Kind.LOADED, body)
            return 0
        config = part_of(outcome.config, running) if part else outcome.config
        _try_to_build(_only_http(config) if part else config)
        channel.send(Kind.LOADED, {**body, "part": part}, [blob.pack(config)])
    except PyproxyError as error:
        channel.send(Kind.FAILED, {"error": str(error)})
    except Exception:
        channel.send(Kind.FAILED, {"error": traceback.format_exc().rstrip()})
    return 0


def pass_on(channel: Channel, config: Config) -> int:
    """Entry of the loader's process for a configuration that is known: LOADED, or FAILED."""
    gc.disable()
    try:
        _try_to_build(config)
        channel.send(Kind.LOADED, {}, [blob.pack(config)])
    except PyproxyError as error:
        channel.send(Kind.FAILED, {"error": str(error)})
    except Exception:
        channel.send(Kind.FAILED, {"error": traceback.format_exc().rstrip()})
    return 0


def _try_to_build(config: Config) -> None:
    """Let the engine refuse here, with the place, what it would refuse in the workers."""
    filters = {key: BoundFilter(key, {}) for key, _ in filter_refs(config)}
    compile_snapshot(config, SnapshotBuilder(), filters)


def _only_http(part: Config) -> Config:
    """Listeners that can be built without the upstreams they lead to."""
    listeners = {
        name: msgspec.structs.replace(listener, protocol="http", upstream=None)
        for name, listener in part.listeners.items()
    }
    return msgspec.structs.replace(part, listeners=listeners)


def check_filters(
    config: Config,
    identity: privileges.Identity | None,
    bind: BindFilters,
    close_others: Callable[[], None],
) -> list[str]:
    """Import the user's filters in a process of their own, and wait for the outcome.

    So their faults are reported before anything is bound or changed, and this process stays free of
    user code. <close_others> closes there what user code must not get hold of. Returns the files of
    the modules that were loaded from the folders of the configuration. Raises `ConfigError` or
    `StartError`.
    """
    child = Child(
        "the check of the filters", lambda c: _try(c, config, identity, bind), "pyproxy-check"
    )
    try:
        fork_child(child, time.monotonic(), close_others)
        status = _wait_for(child.pid)
    except BaseException:
        if child.running:
            # A signal that comes when it has just been reaped finds nobody any more.
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
        raise
    assert child.channel is not None
    messages = child.channel.receive()
    verdicts = [m.body for m in messages if m.kind is Kind.FAILED]
    child.channel.close()
    for verdict in verdicts:
        if "faults" in verdict:
            raise ConfigError(Fault(*fault) for fault in verdict["faults"])
        raise StartError(verdict["error"])
    if status:
        raise StartError(f"the check of the Python filters ended: {describe_exit(status)}")
    return [file for m in messages if m.kind is Kind.LOADED for file in m.body["modules"]]


def _wait_for(pid: int) -> int:
    """The wait status of a child, while signals are heard.

    `waitpid` alone would miss one that comes just before it goes to sleep.
    """
    ended = select.poll()
    fd = os.pidfd_open(pid)
    try:
        ended.register(fd)
        while not ended.poll(_LOOK_MS):
            pass
    finally:
        os.close(fd)
    return os.waitpid(pid, 0)[1]


def _try(
    channel: Channel, config: Config, identity: privileges.Identity | None, bind: BindFilters
) -> int:
    end_with_parent(channel)
    try:
        verify_filters(config, identity, bind)
        channel.send(Kind.LOADED, {"modules": modules.files()})
    except ConfigError as error:
        channel.send(Kind.FAILED, {"faults": error.faults})
        return 1
    except PyproxyError as error:
        channel.send(Kind.FAILED, {"error": str(error)})
        return 1
    except Exception:
        text = f"a Python filter cannot be made\n{traceback.format_exc()}"
        channel.send(Kind.FAILED, {"error": text.rstrip()})
        return 1
    return 0
