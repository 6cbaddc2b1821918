"""Keys that signatures are verified with: one that stays, or a set from a file or a URL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar
from weakref import WeakValueDictionary

from pyproxy import log

if TYPE_CHECKING:
    from joserfc.jwk import Key

__all__ = ["FileKeys", "Keys", "UrlKeys", "parse_key_set"]

MAX_BYTES = 1024 * 1024
MAX_KEYS = 256
_FILE_LOOK_S = 2.0
_UrlKey = tuple[str, float, float, float]


def parse_key_set(data: bytes) -> tuple[Key, ...]:
    """The public keys of a key set (RFC 7517 section 5) that signatures can be verified with.

    Keys of unknown kinds are passed over, and so are those that are secret: who could read the set
    could sign with them. ValueError when there is none at all.
    """
    from joserfc.jwk import import_key

    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ValueError("not a key set: not JSON") from error
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise ValueError(f'not a key set: "keys" is no list of at most {MAX_KEYS} keys')
    found = []
    for item in listed:
        if not isinstance(item, dict) or item.get("kty") not in ("RSA", "EC", "OKP"):
            continue
        if item.get("use", "sig") != "sig":
            continue
        # Whatever is wrong with one key, the others count.
        with contextlib.suppress(Exception):
            found.append(import_key(item))
    if not found:
        raise ValueError("the key set has no key for signatures")
    return tuple(found)


class Keys:
    """Keys that stay as they are; others derive from it.

    `version` changes with the keys. `due` is when `look` is to be called next, as `time.time` has
    it: the caller has asked that already, for the tokens.
    """

    ignores_kid = True

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self.keys = tuple(keys)
        self.version = 0
        self.due = math.inf

    def look(self) -> None:
        """See whether there are newer ones. Does not wait."""

    def fetch(self) -> asyncio.Task[None] | None:
        """A token names none of the keys: what to wait for before it is looked for again.

        Others wait for the same: shield it.
        """
        return None

    def find(self, kid: object) -> tuple[Key, ...]:
        """The keys that a token with this `kid` (None: without) may be signed with."""
        if kid is None or self.ignores_kid:
            return self.keys
        return tuple(key for key in self.keys if key.get("kid") == kid)

    def _take(self, data: bytes) -> None:
        keys = parse_key_set(data)
        if [key.as_dict(private=False) for key in keys] != [
            key.as_dict(private=False) for key in self.keys
        ]:
            self.keys = keys
            self.version += 1


class FileKeys(Keys):
    """The key set of a file. OSError or ValueError when it is no good at the start; later such a
    file is told in the log, and the keys from before go on.
    """

    ignores_kid = False

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._seen = self._stamp()
        self._take(_read(path))
        self.due = time.time() + _FILE_LOOK_S

    def look(self) -> None:
        self.due = time.time() + _FILE_LOOK_S
        try:
            seen = self._stamp()
            if seen != self._seen:
                self._seen = seen
                self._take(_read(self._path))
        except (OSError, ValueError) as error:
            log.get("filters").warning("%s: %s; the keys from before go on", self._path, error)

    def _stamp(self) -> tuple[int, ...]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError("too large for a key set")
    return data


class UrlKeys(Keys):
    """The key set of a URL: fetched when it is needed first, and again every <refresh_s>.

    One request at a time, and never two within <cooldown_s>; whoever needs it waits for the same.
    """

    ignores_kid = False
    _shared: ClassVar[WeakValueDictionary[_UrlKey, UrlKeys]] = WeakValueDictionary()

    @classmethod
    def of(cls, url: str, refresh_s: float, cooldown_s: float, timeout_s: float) -> UrlKeys:
        """The one of this process, so that the keys outlive a reload."""
        key = url, refresh_s, cooldown_s, timeout_s
        found = cls._shared.get(key)
        if found is None:
            found = cls._shared[key] = cls(url, refresh_s, cooldown_s, timeout_s)
        return found

    def __init__(self, url: str, refresh_s: float, cooldown_s: float, timeout_s: float) -> None:
        super().__init__()
        import httpx

        self._client = httpx
        self._url = url
        self._refresh_s = refresh_s or math.inf
        self._cooldown_s = cooldown_s
        self._timeout_s = timeout_s or None
        self._task: asyncio.Task[None] | None = None
        self._again = -math.inf  # not asked before that

    def look(self) -> None:
        self.due = time.time() + max(self._cooldown_s, 1)
        self._begin()

    def fetch(self) -> asyncio.Task[None] | None:
        self._begin()
        return self._task

    def _begin(self) -> None:
        now = time.monotonic()
        if self._task is None and now >= self._again:
            self._again = now + self._cooldown_s
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                self._take(await self._get())
            self.due = time.time() + self._refresh_s
        except Exception as error:
            why = str(error) or type(error).__name__
            log.get("filters").warning("%s: %s; the keys from before go on", self._url, why)
        finally:
            self._task = None

    async def _get(self) -> bytes:
        client = self._client.AsyncClient(timeout=self._timeout_s)
        async with client, client.stream("GET", self._url) as answer:
            if answer.status_code != 200:
                raise ValueError(f"answered with {answer.status_code}")
            data = bytearray()
            async for piece in answer.aiter_bytes():
                data += piece
                if len(data) > MAX_BYTES:
                    raise ValueError("too large for a key set")
            return bytes(data)
