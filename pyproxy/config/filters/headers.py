"""Fields of requests and responses."""

from typing import Annotated, ClassVar

from msgspec import Meta, field

from pyproxy.config.faults import Report, is_field_value, is_token
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.filters.texts import check_text
from pyproxy.config.section import Section

__all__ = ["HeaderEdits", "HeadersFilter", "check_edits"]

# They frame messages or belong to one connection (csrc/proxy/exchange.c): two opinions about them
# are how requests get smuggled.
OURS = frozenset(
    (
        *("connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade"),
    )
)


class HeaderEdits(Section, frozen=True, kw_only=True):
    """What is done to the fields of a message, in this order."""

    remove: Annotated[
        tuple[str, ...], Meta(description="Fields that are removed.", examples=[["x-debug"]])
    ] = ()
    set: Annotated[
        dict[str, str],
        Meta(
            description="Fields that get this value, whatever they had; none when the text comes "
            "out empty.",
            examples=[{"x-client": "{client.address}"}],
        ),
    ] = field(default_factory=dict)
    add: Annotated[
        dict[str, str | tuple[str, ...]],
        Meta(
            description="Fields that are added beside those of the same name.",
            examples=[{"link": ["</a.css>; rel=preload", "</b.js>; rel=preload"]}],
        ),
    ] = field(default_factory=dict)
    default: Annotated[
        dict[str, str],
        Meta(
            description="Fields that are added where there is none of that name.",
            examples=[{"cache-control": "no-store"}],
        ),
    ] = field(default_factory=dict)


class HeadersFilter(FilterKind, frozen=True, kw_only=True):
    """Sets, adds and removes header fields of requests and responses.

    Values are texts with {variables}. A text that comes out empty, or as something that no field
    can hold, is no field. The fields that frame messages (`content-length`, `transfer-encoding`,
    `connection`...) are the proxy's own; `host` of a request, which is what the origin is told,
    can be set only. Responses are those of origins and the proxy's own.
    """

    default_priority: ClassVar[int] = 1900
    example: ClassVar[str] = """\
- headers:
    request:
      remove: [x-debug]
      set: {x-client: "{client.address}", x-wants: "{method} {path}"}
    response:
      remove: [x-powered-by]
      set: {x-frame-options: DENY}
      add: {set-cookie: [a=1, b=2]}
      default: {cache-control: no-store}
"""

    request: Annotated[HeaderEdits, Meta(description="The request, before it goes upstream.")] = (
        field(default_factory=HeaderEdits)
    )
    response: Annotated[HeaderEdits, Meta(description="The response.")] = field(
        default_factory=HeaderEdits
    )

    def check(self, report: Report, path: str) -> None:
        """Can each of the fields be written?"""
        check_edits(self.request, f"{path}.request", report)
        check_edits(self.response, f"{path}.response", report)


def check_edits(edits: HeaderEdits, path: str, report: Report) -> None:
    """Can each of the fields be written? <path> is that of the edits."""
    for i, name in enumerate(edits.remove):
        _check_name(edits, ("remove", i), name, path, report)
    for key in ("set", "add", "default"):
        for name, given in getattr(edits, key).items():
            _check_name(edits, (key, name), name, path, report, only_set=key != "set")
            for text in (given,) if isinstance(given, str) else given:
                _check_value(edits, (key, name), text, path, report)


def _check_name(
    edits: HeaderEdits,
    keys: tuple[str | int, ...],
    name: str,
    path: str,
    report: Report,
    *,
    only_set: bool = True,
) -> None:
    if not is_token(name):
        report.add(edits, keys, f'"{name}" is not the name of a header', path=path)
    elif name.lower() in OURS:
        message = f'the proxy writes "{name}" itself'
        report.add(edits, keys, message, "leave it out", path=path)
    elif name.lower() == "host" and only_set:
        report.add(edits, keys, "a request has one host", "use set", path=path)


def _check_value(
    edits: HeaderEdits, keys: tuple[str | int, ...], text: str, path: str, report: Report
) -> None:
    if not is_field_value(text):
        report.add(edits, keys, "a header cannot hold this value", path=path)
    check_text(edits, keys, text, path, report)
