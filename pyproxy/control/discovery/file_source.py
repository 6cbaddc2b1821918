"""Endpoints in a file that somebody else writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from pyproxy.config.decode import BAD, decode
from pyproxy.config.found import endpoint
from pyproxy.config.nodes import Node, read_tree
from pyproxy.config.sections_balance import Endpoint
from pyproxy.config.sections_discovery import MOST, FileSource
from pyproxy.errors import Fault
from pyproxy.tls.look import look_of

from .base import DiscoveryError, Found

_LOOK_SECONDS = 1.0
_MOST_BYTES = 1 << 20


class FileWatch:
    """Looks every second; wherever links lead, so that swapped folders are seen as well."""

    def __init__(self, section: FileSource, *, pause: float = _LOOK_SECONDS) -> None:
        self._path = section.path
        self._pause = pause

    async def watch(self) -> AsyncIterator[list[Found]]:
        """What the file says, whenever it has become another one."""
        seen: object = None
        while True:
            now = look_of(self._path)
            if now != seen:
                yield read(self._path)
                seen = now
            await asyncio.sleep(self._pause)


def read(path: str) -> list[Found]:
    """The endpoints in a file. Raises `DiscoveryError` with all that is wrong, by line."""
    try:
        with Path(path).open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise DiscoveryError(f"{path}: {error.strerror}") from error
    if len(raw) > _MOST_BYTES:
        raise DiscoveryError(f"{path}: larger than 1 MiB")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DiscoveryError(f"{path}: not UTF-8 text") from None
    root, faults = read_tree(text, path)
    found = _endpoints(root, faults) if root is not None else []
    if faults:
        raise DiscoveryError("\n  ".join(str(fault) for fault in sorted(faults)))
    return found


def _endpoints(root: Node, faults: list[Fault]) -> list[Found]:
    node = root
    if root.kind == "map":
        for key, below in root.value.items():
            if key != "endpoints":
                faults.append(below.fault(f'unknown key "{key}"', "remove it", on_key=True))
        if not root.has("endpoints"):
            faults.append(root.fault('"endpoints" is missing', "add it"))
            return []
        node = root.value["endpoints"]
    if node.kind != "seq":
        faults.append(node.fault("this must be a list of endpoints"))
        return []
    if len(node.value) > MOST:
        faults.append(node.fault(f"{len(node.value)} endpoints are more than {MOST}"))
        return []
    found = []
    for item in node.value:
        one = decode(item, Endpoint, faults)
        if one is BAD:
            continue
        try:
            at = endpoint(one.address, one.weight, one.tier)
        except ValueError as error:
            what, _, cure = str(error).partition("; ")
            faults.append(item.find("address").fault(what, cure))
            continue
        found.append(Found(at.address, one.weight, one.tier, drain=one.drain))
    return found
