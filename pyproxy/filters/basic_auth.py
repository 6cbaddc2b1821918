"""The filter `basic_auth`."""

from __future__ import annotations

import asyncio
import binascii
import time
from base64 import b64decode
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any

from pyproxy import log
from pyproxy.config.filters.basic_auth import BCRYPT, BasicAuthFilter, read_htpasswd
from pyproxy.filters.base import Filter, Reply
from pyproxy.filters.credentials import KeyedHash, challenge, failure

if TYPE_CHECKING:
    from pyproxy._engine import Exchange

THREADS = 2
MAX_WAITING = 64
MAX_KEPT = 4096
MAX_FIELD = 1024  # longer fields are not looked into
_BCRYPT_BYTES = 72
_FILE_LOOK_S = 2.0


@cache
def _threads() -> ThreadPoolExecutor:
    """Of the whole process, so that several filters do not make it more."""
    return ThreadPoolExecutor(THREADS, "passwords")


class BasicAuth(Filter):
    """Who knows the password of a name has it."""

    config: BasicAuthFilter

    def __init__(self, config: BasicAuthFilter) -> None:
        super().__init__(config)
        self._hash = KeyedHash()
        self._known: dict[bytes, tuple[float, str]] = {}
        self._waiting = 0
        self._due = 0.0
        self._seen: tuple[int, ...] = ()
        self._users = dict(config.users)
        if config.htpasswd:
            self._look()
        self._dummy = _dummy_of(self._users)

    def request(self, exchange: Exchange) -> Reply | Coroutine[Any, Any, Reply | None] | None:
        if self.config.htpasswd and time.monotonic() >= self._due:
            self._look_again()
        values = exchange.request.headers.get_all("authorization")
        if not values:
            return self._refuse("missing_credentials")
        pair = _parse(values[0]) if len(values) == 1 else None
        if pair is None:
            return self._refuse("invalid_credentials")
        name, password = pair
        # Of a NUL none is in a name, so it divides them well.
        key = self._hash(f"{name}\0{password.hex()}")
        known = self._known.get(key)
        if known is not None and known[0] > time.monotonic():
            self._accept(exchange, known[1])
            return None
        if self._waiting >= MAX_WAITING:
            return failure(503, "too_many_logins", ("retry-after", "1"))
        users = self._users
        # For a name that nobody has, too: it takes as long.
        hashed = users.get(name, self._dummy)
        loop = asyncio.get_running_loop()
        verdict = loop.run_in_executor(_threads(), is_right, password, hashed)
        self._waiting += 1
        verdict.add_done_callback(self._on_verdict)
        return self._settle(exchange, name, key, users, verdict)

    def _on_verdict(self, _verdict: asyncio.Future[bool]) -> None:
        self._waiting -= 1

    async def _settle(
        self,
        exchange: Exchange,
        name: str,
        key: bytes,
        users: dict[str, str],
        verdict: asyncio.Future[bool],
    ) -> Reply | None:
        # A client that leaves does not end it: its thread works on, and is to be counted.
        if not await asyncio.shield(verdict) or name not in users:
            return self._refuse("invalid_credentials")
        if self.config.cache_time_ms and users is self._users:
            if len(self._known) >= MAX_KEPT:
                del self._known[next(iter(self._known))]
            self._known[key] = time.monotonic() + self.config.cache_time_ms / 1000, name
        self._accept(exchange, name)
        return None

    def _accept(self, exchange: Exchange, name: str) -> None:
        headers = exchange.request.headers
        if self.config.hide_credentials:
            headers.pop_all("authorization")
        headers[self.config.consumer_header] = name.encode()
        exchange.state["consumer"] = name

    def _refuse(self, word: str) -> Reply:
        return challenge("Basic", self.config.realm, word, charset="UTF-8")

    def _look_again(self) -> None:
        try:
            self._look()
        except (OSError, ValueError) as error:
            path = self.config.htpasswd_file
            log.get("filters").warning("%s: %s; the users from before stay", path, error)

    def _look(self) -> None:
        """Read the file if it has changed."""
        self._due = time.monotonic() + _FILE_LOOK_S
        path = self.config.htpasswd_file
        found = path.stat()
        seen = found.st_mtime_ns, found.st_size, found.st_ino
        if seen != self._seen:
            self._seen = seen
            self._users = read_htpasswd(path.read_text()) | self.config.users
            self._dummy = _dummy_of(self._users)
            self._known.clear()


def _parse(value: str) -> tuple[str, bytes] | None:
    """Name and password of a field's value (RFC 7617 section 2); None: malformed."""
    scheme, _, rest = value.partition(" ")
    if scheme.lower() != "basic" or len(value) > MAX_FIELD:
        return None
    try:
        data = b64decode(rest.strip(" "), validate=True)
        name, colon, password = data.partition(b":")
        text = name.decode()
    except (binascii.Error, ValueError):
        return None
    # Controls are in none (RFC 7617 section 2), and a NUL ends what bcrypt looks at.
    return None if not colon or any(c < 0x20 or c == 0x7F for c in data) else (text, password)


def is_right(password: bytes, hashed: str) -> bool:
    """Is this the password? It takes as long as the hash wants it to."""
    if not hashed:  # there are no users at all
        return False
    if BCRYPT.fullmatch(hashed):
        import bcrypt

        return bcrypt.checkpw(password[:_BCRYPT_BYTES], hashed.encode())
    from cryptography.exceptions import InvalidKey
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    try:
        Argon2id.verify_phc_encoded(password, hashed)
    except InvalidKey:
        return False
    except ValueError as error:  # the parameters, which are the configuration's
        log.get("filters").warning("a hash of argon2id cannot be used: %s", error)
        return False
    return True


def _dummy_of(users: dict[str, str]) -> str:
    """A hash like those of the users, for names that nobody has."""
    return next(iter(users.values()), "")
