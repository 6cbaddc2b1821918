"""Every kind of filter: what its options are, and what does its work.

One module for each, imported when a configuration names it. A native kind is known to the data
plane under the same word (csrc/proxy/filters.h).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

__all__ = ["ENTRY_POINTS", "FILTER_KINDS", "third_party"]

ENTRY_POINTS = "pyproxy.filters"
"""The group under which other packages announce filters: a word and `module:Class`."""

# Word -> module and class of its section, by word.
_KINDS = {
    "bandwidth_limit": "pyproxy.config.filters.bandwidth_limit:BandwidthLimitFilter",
    "basic_auth": "pyproxy.config.filters.basic_auth:BasicAuthFilter",
    "body_limit": "pyproxy.config.filters.body_limit:BodyLimitFilter",
    "compression": "pyproxy.config.filters.compression:CompressionFilter",
    "concurrency_limit": "pyproxy.config.filters.concurrency_limit:ConcurrencyLimitFilter",
    "cors": "pyproxy.config.filters.cors:CorsFilter",
    "csrf": "pyproxy.config.filters.csrf:CsrfFilter",
    "decompression": "pyproxy.config.filters.decompression:DecompressionFilter",
    "error_pages": "pyproxy.config.filters.error_pages:ErrorPagesFilter",
    "fault_injection": "pyproxy.config.filters.fault_injection:FaultInjectionFilter",
    "forward_auth": "pyproxy.config.filters.forward_auth:ForwardAuthFilter",
    "headers": "pyproxy.config.filters.headers:HeadersFilter",
    "hmac_auth": "pyproxy.config.filters.hmac_auth:HmacAuthFilter",
    "ip_restriction": "pyproxy.config.filters.ip_restriction:IpRestrictionFilter",
    "jwt": "pyproxy.config.filters.jwt:JwtFilter",
    "key_auth": "pyproxy.config.filters.key_auth:KeyAuthFilter",
    "mirror": "pyproxy.config.filters.mirror:MirrorFilter",
    "python": "pyproxy.config.model:PythonFilter",
    "rate_limit": "pyproxy.config.filters.rate_limit:RateLimitFilter",
    "real_ip": "pyproxy.config.filters.real_ip:RealIpFilter",
    "referer_restriction": "pyproxy.config.filters.referer_restriction:RefererRestrictionFilter",
    "request_id": "pyproxy.config.filters.request_id:RequestIdFilter",
    "request_validation": "pyproxy.config.filters.request_validation:RequestValidationFilter",
    "response_rewrite": "pyproxy.config.filters.response_rewrite:ResponseRewriteFilter",
    "rewrite": "pyproxy.config.filters.rewrite:RewriteFilter",
    "static": "pyproxy.config.filters.static:StaticFilter",
    "ua_restriction": "pyproxy.config.filters.ua_restriction:UaRestrictionFilter",
}


class _Kinds(Mapping[str, Any]):
    """The classes, imported one by one when they are asked for."""

    def __getitem__(self, word: str) -> Any:
        module, _, name = _KINDS[word].partition(":")
        return getattr(import_module(module), name)

    def __contains__(self, word: object) -> bool:
        return word in _KINDS

    def __iter__(self) -> Iterator[str]:
        return iter(_KINDS)

    def __len__(self) -> int:
        return len(_KINDS)


FILTER_KINDS: Mapping[str, Any] = _Kinds()
"""Every kind of pyproxy's own: the word in the file -> the struct of its options."""


def third_party() -> dict[str, str]:
    """What installed packages announce: word -> `module:Class`. Nothing of theirs is imported."""
    from importlib.metadata import entry_points  # 10 ms, for those who name a filter we do not have

    found: dict[str, str] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        if entry.name not in _KINDS:
            found.setdefault(entry.name, entry.value)
    return found
