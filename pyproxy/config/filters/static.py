"""Files of a folder."""

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.faults import Report, is_field_value
from pyproxy.config.filters.files import absolute
from pyproxy.config.filters.kind import FilterKind, plain_options

__all__ = ["StaticFilter"]

MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+( *;.*)?")


class StaticFilter(FilterKind, frozen=True, kw_only=True):
    """Answers with the files of a folder.

    GET and HEAD, with entity tags, conditional requests (`If-None-Match`, `If-Modified-Since`,
    `If-Match`, `If-Unmodified-Since`, `If-Range`) and ranges; who asks for several ranges at once
    gets the whole file. Other methods are answered with 405, what is not found with 404. Bodies go
    through the response filters of the route, as those of origins do.

    The path that was routed is the one that counts, behind `rewrite`. A folder is answered with
    its index; without a slash at the end of its path, the client is sent to the path with one.
    Folders are never listed. A path with an empty segment (`//`) names no file.

    No path and no symbolic link leads out of the folder: Linux sees to that (`openat2`, Linux 5.6).
    Only plain files are served, and of those with a name that begins with a dot, or in such a
    folder, none but what is in `/.well-known`.

    The folder is opened when the configuration is loaded: put another one in its place (a link
    that is switched, say), and it is served after the next reload. What changes within it is seen
    at once. A file that becomes shorter while it is sent breaks the connection off.

    The route still needs an action for what goes on, or for nothing: `respond: {status: 404}`.

    Files are read by the worker itself, which waits for the disk where the page cache has not what
    is asked for: made for local disks, not for file systems that a network can hold up.
    """

    default_priority: ClassVar[int] = 1000
    example: ClassVar[str] = """\
- static:
    root: /srv
    strip_prefix: /assets
    precompressed: [br, gzip]
    cache_control: public, max-age=3600
    types: {glsl: text/plain; charset=utf-8}
"""

    root: Annotated[
        str,
        Meta(description="The folder; a relative path is beneath the folder of the configuration."),
    ]
    strip_prefix: Annotated[
        str,
        Meta(
            description="A path that is taken off the front of the request's; what is not beneath "
            "it is not found.",
            examples=["/assets"],
        ),
    ] = ""
    index: Annotated[
        tuple[str, ...],
        Meta(description="Files that stand for the folder they are in; the first there is."),
    ] = ("index.html",)
    fallback: Annotated[
        str,
        Meta(
            description="The file that answers, with 200, what is not found: for applications "
            "that route in the browser.",
            examples=["/index.html"],
        ),
    ] = ""
    next: Annotated[
        bool,
        Meta(
            description="What is not found goes on to the later filters and the route's upstream, "
            "and so do methods other than GET and HEAD."
        ),
    ] = False
    precompressed: Annotated[
        tuple[Literal["br", "zstd", "gzip"], ...],
        Meta(
            description="Codings, the best first: `app.js.br`, `.zst` or `.gz` beside `app.js` is "
            "sent in its place to clients that take it.",
            examples=[["br", "gzip"]],
        ),
    ] = ()
    cache_control: Annotated[
        str, Meta(description="`cache-control` of what is found.", examples=["max-age=3600"])
    ] = ""
    types: Annotated[
        dict[str, str],
        Meta(
            description="Media types by extension, besides those that are built in.",
            examples=[{"glsl": "text/plain"}],
        ),
    ] = field(default_factory=dict)
    default_type: Annotated[
        str, Meta(description="The media type of other files; empty: they get none.")
    ] = "application/octet-stream"
    hidden: Annotated[bool, Meta(description="Serve names that begin with a dot like others.")] = (
        False
    )

    def check(self, report: Report, path: str) -> None:
        """Is there such a folder, and are the names within it names?"""
        root = absolute(self, self.root)
        if not root.is_dir():
            what = "is not a folder" if root.exists() else "does not exist"
            report.add(self, "root", f"{root} {what}", path=path)
        if self.strip_prefix and not _is_path(self.strip_prefix):
            message = f'"{self.strip_prefix}" is not a path'
            report.add(self, "strip_prefix", message, "write /like/this", path=path)
        for i, name in enumerate(self.index):
            if not _is_file(name):
                report.add(self, ("index", i), f'"{name}" is not the name of a file', path=path)
        if self.fallback and not _is_file(self.fallback.removeprefix("/")):
            message = f'"{self.fallback}" is not the path of a file beneath the root'
            report.add(self, "fallback", message, path=path)
        if len(set(self.precompressed)) < len(self.precompressed):
            report.add(self, "precompressed", "a coding is named twice", path=path)
        if not is_field_value(self.cache_control):
            report.add(self, "cache_control", "a header cannot hold this value", path=path)
        self._check_types(report, path)

    def _check_types(self, report: Report, path: str) -> None:
        for ext, media in self.types.items():
            if not ext or ext.startswith(".") or "/" in ext:
                message = f'"{ext}" is not an extension'
                report.add(self, ("types", ext), message, "write it without its dot", path=path)
            elif not _is_media_type(media):
                report.add(self, ("types", ext), f'"{media}" is not a media type', path=path)
        if self.default_type and not _is_media_type(self.default_type):
            message = f'"{self.default_type}" is not a media type'
            report.add(self, "default_type", message, path=path)

    def options(self) -> dict[str, Any]:
        """Paths as the data plane wants them."""
        made: dict[str, Any] = plain_options(self)
        return made | {
            "root": str(absolute(self, self.root)),
            "strip_prefix": self.strip_prefix.rstrip("/"),
            "fallback": self.fallback.removeprefix("/"),
        }


def _is_path(text: str) -> bool:
    return text.startswith("/") and text.isprintable() and "//" not in text and text.isascii()


def _is_file(text: str) -> bool:
    names = Path(text).parts
    return (
        text.isprintable()
        and bool(names)
        and "/".join(names) == text
        and ".." not in names
        and not text.startswith("/")
    )


def _is_media_type(text: str) -> bool:
    return is_field_value(text) and MEDIA_TYPE.fullmatch(text) is not None
