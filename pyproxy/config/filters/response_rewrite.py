"""Responses rewritten: status, fields and bodies."""

import re
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from pyproxy.config.faults import Report, is_field_value
from pyproxy.config.filters.headers import HeaderEdits, check_edits
from pyproxy.config.filters.kind import FilterKind, plain_options
from pyproxy.config.filters.regexes import check_regex
from pyproxy.config.filters.statuses import status_range
from pyproxy.config.section import ONE_OR_NONE, Section
from pyproxy.config.units import Size

__all__ = ["Replacement", "ResponseRewriteFilter"]

Status = Annotated[int, Meta(ge=200, le=599)]
MOST_FIND = 255
_ESCAPE = re.compile(r"\\.?", re.DOTALL)
_MEANT = re.compile(r"\\[0-9\\]")


class Replacement(Section, frozen=True, kw_only=True):
    """What is replaced in a body, and by what."""

    text: Annotated[str | None, Meta(description="A text, replaced wherever it stands.")] = None
    regex: Annotated[
        str | None,
        Meta(description="Or an expression (RE2), whose matches are replaced."),
    ] = None
    with_: Annotated[
        str,
        Meta(
            description="What is put in, with {variables}; behind an expression, `\\1` is what its "
            "first group took, `\\0` the whole match, and `\\\\` a backslash."
        ),
    ] = field(default="", name="with")


class ResponseRewriteFilter(FilterKind, frozen=True, kw_only=True):
    """Changes the status, the fields and the bodies of responses.

    With `status`, only responses that have one of these are meant; all are otherwise, the proxy's
    own among them. Fields are edited as the filter `headers` does it.

    `body` takes the place of the whole body. `replace` changes parts of bodies of the given
    `types`, unless they are encoded (gzip) or partial (206). Texts are replaced while the body
    streams; with an expression among the rules, the whole body is held, and one that is over
    `limit` is answered with 502, or cut off when its length was not known. Rules apply one after
    the other.

    Texts that are put in may hold the {variables} of requests, and `{status}` and `{reason}`, as
    those of the filter `error_pages`; values are escaped as HTML, XML or JSON want it. Braces
    around anything else stand as they are.
    """

    default_priority: ClassVar[int] = 1600
    example: ClassVar[str] = """\
- response_rewrite:
    status: 2xx
    headers: {set: {x-rewritten: "yes"}}
    replace:
      - {text: "http://inside.example", with: "https://{host}"}
      - {regex: '<!--(.*?)-->', with: ""}
"""

    status: Annotated[
        tuple[str, ...],
        ONE_OR_NONE,
        Meta(
            description="The statuses that are meant: one, a range (`500-504`), or a class "
            "(`5xx`); none: all."
        ),
    ] = ()
    set_status: Annotated[
        Status | None,
        Meta(description="The status instead; not 204, 205 or 304."),
    ] = None
    headers: Annotated[HeaderEdits, Meta(description="What is done to the fields.")] = field(
        default_factory=HeaderEdits
    )
    body: Annotated[str | None, Meta(description="The whole body instead.")] = None
    type: Annotated[str, Meta(description="The `content-type` of `body`.")] = (
        "text/plain; charset=utf-8"
    )
    replace: Annotated[
        tuple[Replacement, ...], Meta(description="Parts of bodies.", max_length=16)
    ] = ()
    types: Annotated[
        tuple[str, ...],
        Meta(description="The media types in whose bodies `replace` looks.", max_length=64),
    ] = ("text/*", "application/json", "application/javascript", "application/xml")
    limit: Annotated[
        Size, Meta(description="Most bytes of a body that is held.", ge=1, le=16 * 2**20)
    ] = 2**20

    def check(self, report: Report, path: str) -> None:
        """Is there something to do, and can it be done?"""
        if self.set_status in (204, 205, 304):
            message = f"a response with status {self.set_status} has no body"
            report.add(self, "set_status", message, "set another one", path=path)
        for k, text in enumerate(self.status):
            if status_range(text) is None:
                cure = "write 404, 500-504 or 5xx"
                report.add(self, ("status", k), f'"{text}" is not a status', cure, path=path)
        check_edits(self.headers, f"{path}.headers", report)
        if not is_field_value(self.type):
            report.add(self, "type", "a header cannot hold this value", path=path)
        if self.body is not None and self.replace:
            message = "the whole body is replaced already"
            report.add(self, "replace", message, "remove it, or body", path=path)
        for i, rule in enumerate(self.replace):
            _check_rule(rule, f"{path}.replace[{i}]", report)

    def options(self) -> dict[str, Any]:
        """Statuses as ranges."""
        made: dict[str, Any] = plain_options(self)
        ranges = [status_range(text) or (100, 599) for text in self.status]
        made["status"] = [bound for pair in ranges for bound in pair]
        made["replace"] = [_rule(rule) for rule in self.replace]
        return made


def _rule(rule: Replacement) -> dict[str, str]:
    found = {"text": rule.text, "regex": rule.regex, "with": rule.with_}
    return {key: text for key, text in found.items() if text is not None}


def _check_rule(rule: Replacement, path: str, report: Report) -> None:
    if (rule.text is None) == (rule.regex is None):
        report.add(rule, "", "what is looked for is either a text or a regex", path=path)
    elif rule.text is not None and not 0 < len(rule.text.encode()) <= MOST_FIND:
        message = f"a text that is looked for has 1 to {MOST_FIND} bytes"
        report.add(rule, "text", message, path=path)
    elif rule.regex is not None:
        check_regex(rule, "regex", rule.regex, path, report)
        for escape in _ESCAPE.findall(rule.with_):
            if not _MEANT.fullmatch(escape):
                message = f'"{escape}" stands for nothing'
                cure = "write \\0 to \\9 for groups, and \\\\ for a backslash"
                report.add(rule, "with", message, cure, path=path)
