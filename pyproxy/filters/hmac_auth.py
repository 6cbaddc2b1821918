"""The filter `hmac_auth`."""

from __future__ import annotations

import hmac
import time
from typing import TYPE_CHECKING

from pyproxy.config.filters.hmac_auth import HmacAuthFilter
from pyproxy.filters.base import Filter, Reply
from pyproxy.filters.credentials import challenge
from pyproxy.filters.signatures import (
    Covered,
    base_of,
    digests_of,
    has_digests,
    read_inputs,
    read_signatures,
)

if TYPE_CHECKING:
    from pyproxy._engine import Exchange

_DIGESTS = "hmac_auth.digests"
# What covers more than its name says.
_IMPLIED = {
    "@target-uri": ("@scheme", "@authority", "@path", "@query"),
    "@request-target": ("@path", "@query"),
}


class HmacAuth(Filter):
    """Who signs with a key is its consumer."""

    config: HmacAuthFilter

    def __init__(self, config: HmacAuthFilter) -> None:
        super().__init__(config)
        self._keys = {name: config.secret_of(text) for name, text in config.keys.items()}
        self._skew = config.max_skew_ms / 1000
        listed = " ".join(f'"{name}"' for name in config.components)
        self._wanted = f'sig=({listed});created;keyid;alg="hmac-sha256"'
        if config.verify_body:
            # Phases only where they are needed: others cost nothing, and need not collect bodies.
            vars(self).update(
                buffer_request_body=config.max_body_bytes,
                request_body=self._check_body,
                upstream_peer=self._check_no_body,
            )

    def request(self, exchange: Exchange) -> Reply | None:
        headers = exchange.request.headers
        inputs = headers.get_all("signature-input")
        if not inputs:
            return self._refuse("missing_signature")
        try:
            covered = read_inputs(inputs)
            signatures = read_signatures(headers.get_all("signature"))
        except ValueError:
            return self._refuse("invalid_signature")
        for label, one in covered.items():
            consumer = self._signer(exchange, one, signatures.get(label))
            if consumer is not None:
                return self._accept(exchange, consumer, one)
        return self._refuse("invalid_signature")

    def _signer(self, exchange: Exchange, covered: Covered, signature: bytes | None) -> str | None:
        """Whose signature it is; None: it does not hold."""
        name = covered.parameters.get("keyid")
        key = self._keys.get(name) if isinstance(name, str) else None
        if key is None or signature is None or not self._is_in_time(covered):
            return None
        if covered.parameters.get("alg", "hmac-sha256") != "hmac-sha256":
            return None
        has = set(covered.components)
        has.update(more for one in covered.components for more in _IMPLIED.get(one, ()))
        if not has.issuperset(self.config.components):
            return None
        try:
            right = hmac.digest(key, base_of(exchange.request, covered), "sha256")
        except ValueError:
            return None
        return str(name) if hmac.compare_digest(right, signature) else None

    def _is_in_time(self, covered: Covered) -> bool:
        now = time.time()
        created, expires = (covered.parameters.get(name) for name in ("created", "expires"))
        if type(created) is not int or abs(now - created) > self._skew:
            return False
        return expires is None or (type(expires) is int and now < expires)

    def _accept(self, exchange: Exchange, consumer: str, covered: Covered) -> Reply | None:
        headers = exchange.request.headers
        if self.config.verify_body and "content-digest" in covered.components:
            try:
                digests = digests_of(headers.get_all("content-digest"))
            except ValueError:
                return self._refuse("invalid_digest")
            exchange.state[_DIGESTS] = digests
        if self.config.hide_credentials:
            headers.pop_all("signature")
            headers.pop_all("signature-input")
        headers[self.config.consumer_header] = consumer
        exchange.state["consumer"] = consumer
        return None

    def _check_body(self, exchange: Exchange, chunk: bytes, _last: bool) -> Reply | None:
        digests = exchange.state.pop(_DIGESTS, None)
        if digests is None:
            return self._refuse("missing_digest") if chunk else None
        return None if has_digests(chunk, digests) else self._refuse("invalid_digest")

    def _check_no_body(self, exchange: Exchange) -> Reply | None:
        # A request without a body has no body phase, but may have lost one on its way.
        digests = exchange.state.pop(_DIGESTS, None)
        if digests is not None and not has_digests(b"", digests):
            return self._refuse("invalid_digest")
        return None

    def _refuse(self, word: str) -> Reply:
        reply = challenge("Signature", self.config.realm, word)
        reply.headers.append(("accept-signature", self._wanted))
        return reply
