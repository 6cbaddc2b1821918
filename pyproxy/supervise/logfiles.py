"""Log files: made by the supervisor, written by workers that may be another user."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from typing import Any

from pyproxy.config.model import AccessLog, Config, Listener, Route
from pyproxy.config.sections_tls import Tls, UpstreamTls
from pyproxy.errors import StartError

from .privileges import Identity

_MODE = 0o644
# Whoever reads a key log can read what was encrypted.
_KEY_LOG_MODE = 0o600


def paths_of(config: Config) -> list[str]:
    """Every log file of a configuration, each once."""
    parts: list[Config | Listener | Route] = [config, *config.listeners.values(), *config.routes]
    paths = [part.access_log.path for part in parts if isinstance(part.access_log, AccessLog)]
    return [path for path in dict.fromkeys(paths) if path not in ("stdout", "stderr")]


def key_logs_of(config: Config) -> list[str]:
    """The files for keys of TLS sessions, each once."""
    sections: list[Any] = [listener.tls for listener in config.listeners.values()]
    sections += [upstream.tls for upstream in config.upstreams.values()]
    paths = [tls.key_log for tls in sections if isinstance(tls, (Tls, UpstreamTls))]
    return [path for path in dict.fromkeys(paths) if path]


def prepare_all(config: Config, identity: Identity | None) -> None:
    """Prepare every log file of a configuration. Raises `StartError`."""
    prepare(paths_of(config), identity)
    prepare(key_logs_of(config), identity, "key log", _KEY_LOG_MODE)


def prepare(
    paths: Iterable[str], identity: Identity | None, what: str = "access log", mode: int = _MODE
) -> None:
    """Create the files that do not exist, and give those that root holds to <identity>.

    Raises `StartError` for the first file that cannot be opened for appending.
    """
    for path in paths:
        try:
            _prepare(path, identity, mode)
        except OSError as error:
            raise StartError(f"{what} {path}: {error.strerror}") from error


def _prepare(path: str, identity: Identity | None, mode: int) -> None:
    hand_over = identity is not None and os.geteuid() == 0 and identity.uid != 0
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        # The folder may belong to the worker user. Whoever controls a worker could put a link there
        # and have root give away any file of the machine: links are never followed on this way.
        fd = os.open(path, flags | (os.O_NOFOLLOW if hand_over else 0), mode)
    except OSError as error:
        if error.errno == errno.ELOOP and hand_over:
            # A link, such as one to /dev/stdout: whether the workers may write there is its owner's
            # affair.
            return
        if error.errno == errno.ENXIO:
            # A named pipe that nobody reads yet.
            return
        raise
    try:
        found = os.fstat(fd)
        plain = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
        if hand_over and identity is not None and plain and found.st_uid != identity.uid:
            os.fchown(fd, identity.uid, identity.gid)
    finally:
        os.close(fd)


def check(paths: Iterable[str]) -> None:
    """Raise `StartError` for the first file that this process, as the user it is now.

    Cannot append to.
    """
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, _MODE))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise StartError(f"access log {path}: {error.strerror}") from error
