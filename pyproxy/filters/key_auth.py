"""The filter `key_auth`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyproxy.config.filters.key_auth import KeyAuthFilter
from pyproxy.filters.base import Filter, Reply
from pyproxy.filters.credentials import KeyedHash, Places, challenge, same

if TYPE_CHECKING:
    from pyproxy._engine import Exchange


class KeyAuth(Filter):
    """Who shows a key is its consumer."""

    config: KeyAuthFilter

    def __init__(self, config: KeyAuthFilter) -> None:
        super().__init__(config)
        self._places = Places(config.header, config.query, config.cookie)
        self._hash = KeyedHash()
        self._owners: dict[bytes, tuple[str, str]] = {}
        for name, keys in config.keys.items():
            for key in keys:
                self._owners[self._hash(key)] = (key, name)

    def request(self, exchange: Exchange) -> Reply | None:
        found = self._places.find(exchange)
        if found:
            if len(found) > 1 or (consumer := self._owner(found[0])) is None:
                return self._refuse("invalid_key")
            if self.config.hide_credentials:
                self._places.hide(exchange)
        elif self.config.anonymous:
            consumer = self.config.anonymous
        else:
            return self._refuse("missing_key")
        exchange.request.headers[self.config.consumer_header] = consumer
        exchange.state["consumer"] = consumer
        return None

    def _owner(self, key: str) -> str | None:
        owner = self._owners.get(self._hash(key))
        return owner[1] if owner is not None and same(owner[0], key) else None

    def _refuse(self, word: str) -> Reply:
        return challenge("ApiKey", self.config.realm, word)
