"""Bodies of error answers."""

from typing import Annotated, Any, ClassVar

from msgspec import Meta

from pyproxy.config.faults import Report
from pyproxy.config.filters.files import read_text
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.filters.statuses import status_range
from pyproxy.config.section import ONE_OR_MORE, Section

__all__ = ["ErrorPage", "ErrorPagesFilter"]

FORMS = ("html", "json", "text")


class ErrorPage(Section, frozen=True, kw_only=True):
    """The bodies for some statuses, in one form or several."""

    status: Annotated[
        tuple[str, ...],
        ONE_OR_MORE,
        Meta(
            description="The statuses: one, a range (`500-504`), or a class (`5xx`).",
            examples=[["404", "5xx"]],
        ),
    ]
    html: Annotated[str | None, Meta(description="The body as `text/html`.")] = None
    json: Annotated[str | None, Meta(description="The body as `application/json`.")] = None
    text: Annotated[str | None, Meta(description="The body as `text/plain`.")] = None
    html_file: Annotated[
        str | None,
        Meta(
            description="A file with the HTML, read when the configuration is loaded; its path is "
            "relative to the folder of the configuration."
        ),
    ] = None
    json_file: Annotated[str | None, Meta(description="The same for JSON.")] = None
    text_file: Annotated[str | None, Meta(description="The same for plain text.")] = None


class ErrorPagesFilter(FilterKind, frozen=True, kw_only=True):
    """Gives error answers bodies of your own, by status and by what the client accepts.

    The first page that has the status is taken. Where it has several forms, the request's `Accept`
    chooses among them; on a tie, HTML comes before JSON and JSON before plain text.

    A page may hold the {variables} of requests, and `{status}`, `{reason}` (such as `Not Found`),
    and `{error}` and `{detail}`: what the proxy itself has found wrong, nothing in the answers of
    others. Values are escaped as the form wants it. Braces around anything else stand as they are,
    so scripts, styles and JSON need no care; in JSON, quote values: `"{path}"`.

    The proxy's own answers are meant, those of filters too, but not those of `respond` routes;
    with `upstream`, the error answers of origins as well. Those keep the fields that are not about
    their body, which is dropped, together with the connection when the body has not come yet.
    Calls of gRPC are left alone.
    """

    default_priority: ClassVar[int] = 1610
    example: ClassVar[str] = """\
- error_pages:
    upstream: on
    pages:
      - status: 404
        html: "<h1>Nothing here</h1><p>There is no {path} at {host}.</p>"
        json: '{"status": {status}, "path": "{path}"}'
      - status: [500-599]
        text: "{status} {reason}: please try again later\\n"
"""

    pages: Annotated[
        tuple[ErrorPage, ...],
        Meta(description="The pages; the first that fits is taken.", min_length=1, max_length=255),
    ]
    upstream: Annotated[
        bool, Meta(description="Replace the bodies of origins' error answers, too.")
    ] = False

    def check(self, report: Report, path: str) -> None:
        """Is there a body for each of them, and is each an error?"""
        for i, page in enumerate(self.pages):
            _check_page(page, f"{path}.pages[{i}]", report)

    def options(self) -> dict[str, Any]:
        """Statuses as ranges, files as what they hold."""
        return {"upstream": self.upstream, "pages": [_page(page) for page in self.pages]}


def _check_page(page: ErrorPage, path: str, report: Report) -> None:
    for k, text in enumerate(page.status):
        found = status_range(text)
        if found is None or found[0] < 400:
            message = f'"{text}" is not the status of an error'
            cure = "write one from 400 to 599, a range such as 500-504, or 4xx or 5xx"
            report.add(page, ("status", k), message, cure, path=path)
    for form in FORMS:
        file = getattr(page, f"{form}_file")
        if file is None:
            continue
        if getattr(page, form) is not None:
            message = f"a page has {form} or {form}_file, not both"
            report.add(page, f"{form}_file", message, path=path)
            continue
        try:
            read_text(page, file)
        except ValueError as error:
            report.refuse(page, f"{form}_file", error, path=path)
    if not _bodies(page):
        report.add(page, "", "a page without a body", f"add {', '.join(FORMS)}", path=path)


def _bodies(page: ErrorPage) -> list[str]:
    return [f for f in FORMS if (getattr(page, f), getattr(page, f"{f}_file")) != (None, None)]


def _page(page: ErrorPage) -> dict[str, Any]:
    ranges = [status_range(text) or (400, 400) for text in page.status]
    made: dict[str, Any] = {"status": [bound for pair in ranges for bound in pair]}
    for form in _bodies(page):
        text = getattr(page, form)
        made[form] = read_text(page, getattr(page, f"{form}_file")) if text is None else text
    return made
