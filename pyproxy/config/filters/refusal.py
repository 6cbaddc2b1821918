"""The answer of filters that turn requests away (csrc/proxy/filter_refusal.h)."""

from typing import Annotated

from msgspec import Meta

from pyproxy.config.filters.kind import FilterKind

__all__ = ["RefusingFilter"]


class RefusingFilter(FilterKind, frozen=True, kw_only=True):
    """Base of those."""

    status: Annotated[int, Meta(ge=200, le=599, description="The status code of a refusal.")] = 403
    message: Annotated[
        str | None,
        Meta(description="The text of a refusal. Absent: a short one; empty: none."),
    ] = None
