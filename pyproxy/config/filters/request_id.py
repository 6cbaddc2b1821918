"""A name for every request."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from pyproxy.config.faults import Report, is_token
from pyproxy.config.filters.headers import OURS
from pyproxy.config.filters.kind import FilterKind

__all__ = ["RequestIdFilter"]


class RequestIdFilter(FilterKind, frozen=True, kw_only=True):
    """Gives every request an id, which origin, client and access log get.

    The access log has it as `id`, texts as `{request.id}`. A client's own id is kept from those
    whom `trust` names, if it is 1 to 128 letters, digits and `-._~:+/=`; others are replaced. As a
    filter of all routes it runs before a request is routed.
    """

    default_priority: ClassVar[int] = 22000
    example: ClassVar[str] = """\
- request_id: {format: uuid7}
"""

    header: Annotated[str, Meta(description="The field that carries it.")] = "x-request-id"
    format: Annotated[
        Literal["uuid4", "uuid7"],
        Meta(description="Random, or random behind the time, so that ids sort by it."),
    ] = "uuid4"
    trust: Annotated[
        Literal["never", "trusted", "always"],
        Meta(
            description="Whose ids are kept: of nobody, of the listener's `trusted_proxies`, of "
            "everybody."
        ),
    ] = "trusted"
    response: Annotated[bool, Meta(description="Tell the client as well.")] = True

    def check(self, report: Report, path: str) -> None:
        """Can the field be written?"""
        name = self.header.lower()
        if not is_token(name):
            report.add(self, "header", f'"{self.header}" is not the name of a header', path=path)
        elif name in OURS or name == "host":
            report.add(self, "header", f'"{self.header}" cannot carry an id', path=path)
