"""What a source of endpoints is. This is the interface for other packages, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple, Protocol

from pyproxy.config.sections_discovery import Discover, DnsSource, FileSource
from pyproxy.errors import PyproxyError


class DiscoveryError(PyproxyError):
    """Nothing could be found out; the text says why. What was found before stays in use."""


class Found(NamedTuple):
    """One endpoint: `127.0.0.1:80`, `[::1]:80` or `unix:/path`.

    `weight` is from 1 to 65535, `priority` from 0 (used first) to 15. `host` is the name that its
    certificate must be for; empty: its address. `drain`: it gets nothing new.
    """

    address: str
    weight: int = 1
    priority: int = 0
    host: str = ""
    drain: bool = False


class Source(Protocol):
    """Made with what `config` of the section says (a dict), in the control process."""

    def watch(self) -> AsyncIterator[list[Found]]:
        """All endpoints as they are now, and again whenever they may have changed.

        An async generator, mostly. It decides itself when to look. When it raises, what was found
        last stays in use, and `watch` is called again after a pause that grows.
        """


def make_source(discover: Discover) -> Source:
    """The source that a section asks for. Raises `DiscoveryError` when there can be none."""
    section = discover.source
    if isinstance(section, DnsSource):
        try:
            from .dns_source import DnsWatch  # needs dnspython
        except ImportError as error:
            raise DiscoveryError(f"asking name servers needs dnspython: {error}") from error
        return DnsWatch(section)
    if isinstance(section, FileSource):
        from .file_source import FileWatch

        return FileWatch(section)
    from importlib import import_module

    from pyproxy.config.found import plugins

    module, _, name = plugins().get(section.name, "").partition(":")
    if not module:
        raise DiscoveryError(f'no installed package announces the source "{section.name}"')
    source: Any = getattr(import_module(module), name)(dict(section.config))
    return source  # type: ignore[no-any-return]
