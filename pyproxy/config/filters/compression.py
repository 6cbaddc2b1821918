"""Compression of responses."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.faults import Report, is_token
from pyproxy.config.filters.kind import FilterKind, plain_options
from pyproxy.config.section import Section
from pyproxy.config.units import Size

__all__ = ["BrotliCoding", "CompressionFilter", "GzipCoding", "ZstdCoding"]

TYPES = (
    *("text/*", "*+json", "*+xml", "application/json", "application/javascript"),
    *("application/x-javascript", "application/xml", "application/wasm", "application/x-ndjson"),
    *("application/manifest+json", "image/svg+xml", "font/ttf", "font/otf"),
)
WINDOW = "Bytes that are looked back at, as a power of two: memory of a response and its worth."


class GzipCoding(Section, frozen=True, kw_only=True):
    """How gzip compresses."""

    level: Annotated[
        int, Meta(ge=1, le=9, description="From 1, the quickest, to 9, the smallest.")
    ] = 4
    window: Annotated[int, Meta(ge=10, le=15, description=WINDOW)] = 15


class BrotliCoding(Section, frozen=True, kw_only=True):
    """How brotli compresses. Its levels above 6 are for files that are compressed once."""

    level: Annotated[
        int, Meta(ge=0, le=6, description="From 0, the quickest, to 6, the smallest.")
    ] = 4
    window: Annotated[int, Meta(ge=10, le=20, description=WINDOW)] = 18


class ZstdCoding(Section, frozen=True, kw_only=True):
    """How zstd compresses. Its levels above 12 are for files that are compressed once."""

    level: Annotated[
        int, Meta(ge=1, le=12, description="From 1, the quickest, to 12, the smallest.")
    ] = 3
    window: Annotated[int, Meta(ge=10, le=20, description=WINDOW)] = 18


class CompressionFilter(FilterKind, frozen=True, kw_only=True):
    """Compresses responses with zstd, brotli or gzip, as the client likes it.

    The client says in `accept-encoding` what it takes, with weights; among those that it likes
    best, the first in `codings` is taken. Responses that qualify get `vary: accept-encoding`
    whatever the client takes. When they are compressed, strong entity tags become weak, and
    `content-length`, `accept-ranges` and digests of the content go.

    Left as they are: responses of other types or shorter than `min_length`, partial ones (206),
    those that have a `content-encoding` already, and those where either side says `no-transform`.

    A response of unknown length is passed on, as far as it has come, whenever its origin pauses:
    server-sent events arrive one by one.
    """

    default_priority: ClassVar[int] = 900
    example: ClassVar[str] = """\
- compression:
    codings: [zstd, br, gzip]
    min_length: 1KiB
    gzip: {level: 6}
    zstd: {level: 3, window: 17}
"""

    codings: Annotated[
        tuple[Literal["zstd", "br", "gzip"], ...],
        Meta(min_length=1, description="What may be used, best first."),
    ] = ("zstd", "br", "gzip")
    types: Annotated[
        tuple[str, ...],
        Meta(
            description="Media types; they may begin or end with `*`.",
            examples=[["text/*", "application/json"]],
        ),
    ] = TYPES
    min_length: Annotated[
        Size, Meta(ge=0, description="Bytes from which compressing is worth it, if they are known.")
    ] = 1024
    gzip: Annotated[GzipCoding, Meta(description="How gzip compresses.")] = field(
        default_factory=GzipCoding
    )
    br: Annotated[BrotliCoding, Meta(description="How brotli compresses.")] = field(
        default_factory=BrotliCoding
    )
    zstd: Annotated[ZstdCoding, Meta(description="How zstd compresses.")] = field(
        default_factory=ZstdCoding
    )

    def check(self, report: Report, path: str) -> None:
        """Is each coding named once, and is each type one?"""
        for i, coding in enumerate(self.codings):
            if coding in self.codings[:i]:
                report.add(self, ("codings", i), f'"{coding}" is named twice', path=path)
        for i, pattern in enumerate(self.types):
            main, slash, sub = pattern.strip("*").partition("/")
            words = [word for word in (main, sub) if word]
            stars = pattern.count("*")
            one_end = stars == 0 or (stars == 1 and "*" in (pattern[:1], pattern[-1:]))
            whole = stars > 0 or (main and slash and sub)
            if not one_end or not whole or not all(is_token(word) for word in words):
                message = f'"{pattern}" is not a media type'
                report.add(self, ("types", i), message, "write text/html or text/*", path=path)

    def options(self) -> dict[str, Any]:
        """Of the codings, those that are used."""
        found: dict[str, Any] = plain_options(self)
        for word in ("gzip", "br", "zstd"):
            if word not in self.codings:
                del found[word]
        return found
