"""From which sites requests may come."""

import re
from typing import Annotated, ClassVar

from msgspec import Meta

from pyproxy.config.faults import Report
from pyproxy.config.filters.refusal import RefusingFilter

__all__ = ["RefererRestrictionFilter"]

_HOST = re.compile(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


class RefererRestrictionFilter(RefusingFilter, frozen=True, kw_only=True):
    """Refuses requests by the site that they come from, as `Referer` tells it.

    What is denied is refused; where something is allowed, all else is refused. It keeps other sites
    from showing your images as theirs; against anybody who can write a header it keeps nothing.
    """

    default_priority: ClassVar[int] = 6800
    example: ClassVar[str] = """\
- referer_restriction:
    allow: [example.com, "*.example.com"]
    missing: on
"""

    allow: Annotated[
        tuple[str, ...],
        Meta(
            description="Hosts, exact or `*.suffix`. Empty: all.",
            examples=[["example.com", "*.example.com"]],
        ),
    ] = ()
    deny: Annotated[
        tuple[str, ...], Meta(description="The same; it counts more than `allow`.")
    ] = ()
    missing: Annotated[bool, Meta(description="Let requests without the field through.")] = False

    def check(self, report: Report, path: str) -> None:
        """Hosts are hosts, each once, and something is restricted."""
        for key in ("allow", "deny"):
            seen = set()
            for i, text in enumerate(getattr(self, key)):
                if not _HOST.fullmatch(text):
                    cure = "write a host without scheme, port and path"
                    report.add(self, (key, i), f'"{text}" is not a host', cure, path=path)
                if text.lower() in seen:
                    report.add(self, (key, i), f'"{text}" stands twice', "remove one", path=path)
                seen.add(text.lower())
        if not self.allow and not self.deny and self.missing:
            report.add(self, "", "this filter restricts nothing", "add allow or deny", path=path)
