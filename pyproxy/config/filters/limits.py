"""What the filters that limit have in common.

No `from __future__ import annotations`, as in `kind`.
"""

import re
from typing import Annotated, Any, Literal

from msgspec import Meta

from pyproxy._wire import WireError, check_variable
from pyproxy.config.faults import Report, is_field_value
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.filters.texts import check_text
from pyproxy.config.section import Section
from pyproxy.config.units import parse_duration

__all__ = ["Key", "LimitFilter", "check_key", "key_text", "parse_rate"]

Key = Annotated[
    str,
    Meta(
        description="Who is counted together: a variable, or a text with {variables}. A text "
        "without one counts all requests together.",
        examples=["client.address", "{header.x-api-key}", "{client.address} {path}"],
    ),
]

_RATE = re.compile(r"(\d+) ?/ ?(\d*)([a-z].*)")
_MOST = 2**28 - 1
_PERIOD_MAX_MS = 31 * 86_400_000


class LimitFilter(FilterKind, frozen=True, kw_only=True):
    """What becomes of requests beyond a limit."""

    status: Annotated[
        int, Meta(ge=200, le=599, description="Of the answer to what is refused.")
    ] = 429
    message: Annotated[str, Meta(description="Its body.")] = "too many requests"
    content_type: Annotated[str, Meta(description="What the body is.")] = "text/plain"
    dry_run: Annotated[
        bool, Meta(description="Only count what would be refused or delayed; all passes.")
    ] = False
    missing_key: Annotated[
        Literal["allow", "refuse"],
        Meta(description="What becomes of a request whose key comes out empty."),
    ] = "allow"
    on_error: Annotated[
        Literal["allow", "refuse"],
        Meta(description="What becomes of a request that cannot be counted (memory is out)."),
    ] = "allow"

    def check(self, report: Report, path: str) -> None:
        """Can the answer be sent?"""
        if not is_field_value(self.content_type):
            report.add(self, "content_type", "a header cannot hold this value", path=path)

    def common(self, place: str, group: str) -> dict[str, Any]:
        """The options that all of them have."""
        return {
            "place": f"group {group}" if group else place,
            "status": self.status,
            "message": self.message,
            "content_type": self.content_type,
            "dry_run": self.dry_run,
            "refuse_missing": self.missing_key == "refuse",
            "refuse_on_error": self.on_error == "refuse",
        }


def key_text(key: str) -> str:
    """A key as a text with variables."""
    try:
        check_variable(key)
    except WireError:
        return key
    return f"{{{key}}}"


def check_key(section: Section, key: str, path: str, report: Report) -> None:
    """Is it one?"""
    if not key:
        report.add(section, "key", "an empty key counts nothing", "name a variable", path=path)
    else:
        check_text(section, "key", key_text(key), path, report)


def parse_rate(text: str) -> tuple[int, int]:
    """`100/s`, `5/10s`, `1000/1h30m`: requests, and milliseconds. Raises `ValueError`."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f'"{text}" is not a rate; write requests and a time, such as 100/s or 5/10m'
        )
    count, period = int(match[1]), parse_duration((match[2] or "1") + match[3])
    if not 1 <= count <= _MOST:
        raise ValueError(f'"{text}" is out of range; a rate is of 1 to {_MOST} requests')
    if not 1 <= period <= _PERIOD_MAX_MS:
        raise ValueError(f'"{text}" is out of range; a rate is over 1ms to 24d')
    if count > period * 10_000:
        raise ValueError(f'"{text}" is out of range; a rate is at most 10000 requests in 1ms')
    return count, period
