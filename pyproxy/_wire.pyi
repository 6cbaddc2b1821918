"""Stateless C parts as Python objects: parser, router, URIs.

Safe in any process.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, final

from typing_extensions import Buffer

class WireError(ValueError):
    """A verdict of the C core: `code` is the number, `name` the machine-readable word, `text` a
    sentence (base/err.h). `allowed` is filled by `Router.find` only."""

    code: int
    name: str
    text: str
    allowed: tuple[str, ...]
    def __init__(self, code: int, text: str = "", allowed: tuple[str, ...] = ()) -> None: ...

def error_codes() -> list[tuple[int, str, str]]:
    """(code, name, text) of every row of base/err.h."""

@final
class HeadParser:
    """Parse HTTP/1 heads: feed bytes until a head is complete.

    `rules` also applies wire/http_rules.h, which fills `path`, `query`, `authority`, `body`,
    `content_length` and `keep_alive`. Responses are read as answers to GET. Attributes may be read
    once `feed` has returned True and until `reset`; otherwise RuntimeError.
    """

    def __init__(
        self,
        *,
        response: bool = False,
        max_head_bytes: int = 61440,
        max_line_bytes: int = 16384,
        max_target_bytes: int = 8192,
        max_fields: int = 100,
        rules: bool = True,
    ) -> None: ...
    def feed(self, chunk: Buffer, /) -> bool:
        """True when the head is complete. Bytes past the head are kept in `rest`.

        Raises WireError on a verdict (and again at every later call), RuntimeError after a complete
        head.
        """
    def reset(self) -> None:
        """Forget everything: the next byte begins a head. `rest` is not kept."""
    @property
    def method(self) -> bytes: ...
    @property
    def target(self) -> bytes: ...
    @property
    def path(self) -> bytes: ...
    @property
    def query(self) -> bytes | None:
        """None: the target has no '?'."""
    @property
    def authority(self) -> bytes: ...
    @property
    def status(self) -> int: ...
    @property
    def reason(self) -> bytes: ...
    @property
    def minor(self) -> int: ...
    @property
    def fields(self) -> list[tuple[bytes, bytes]]: ...
    @property
    def body(self) -> str:
        """none, length, chunked or close."""
    @property
    def content_length(self) -> int: ...
    @property
    def keep_alive(self) -> bool: ...
    @property
    def rest(self) -> bytes: ...

@final
class BodyDecoder:
    """Undo HTTP/1 body framing of one body.

    `kind` is what HeadParser.body says, `length` matters for "length" only; `limit` -1: none.
    """

    def __init__(self, kind: str, length: int = 0, *, limit: int = -1) -> None: ...
    def feed(self, chunk: Buffer, /) -> bytes:
        """The body bytes in `chunk`; afterwards see `done` and `rest`.

        Raises WireError on a verdict, RuntimeError when the body was complete.
        """
    def feed_eof(self) -> None:
        """The connection ended. Raises WireError when the body was not complete."""
    @property
    def done(self) -> bool: ...
    @property
    def rest(self) -> bytes:
        """Bytes behind the body."""
    @property
    def trailers(self) -> list[tuple[bytes, bytes]]: ...

@final
class Regex:
    """A regular expression over bytes, in linear time (csrc/base/regex.h).

    WireError with a sentence for what is none.
    """

    def __init__(self, pattern: str) -> None: ...
    def search(self, text: bytes) -> bool:
        """Does it match anywhere in `text`?"""

@final
class Lookup:
    """What a look-up asks about, as a mapping of variables: what conditions in Python get."""

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of a variable, or `default`. Raises WireError for what is no variable."""
    def __getitem__(self, name: str) -> str: ...

def check_predicate(program: bytes) -> None:
    """Raise WireError when `program` names what does not exist; for programs without callables."""

def check_variable(name: str) -> None:
    """Raise WireError when there is no such variable."""

def check_regex(text: str, names: Sequence[str] = ()) -> list[str]:
    """Which of `names` are groups of a regular expression, by number or name.

    Raises WireError when it is none, with what is wrong as `text`.
    """

def variable_rows() -> list[tuple[str, str]]:
    """(name, meaning) of every variable; a name that ends in "." goes on with one of a request."""

@final
class Router:
    """The route table (precedence: csrc/route/router.h).

    Routes may be added at any time; the table is compiled anew at the next look-up.
    """

    def __init__(self) -> None: ...
    def add(
        self,
        route: int,
        path: str,
        *,
        host: str = "",
        methods: Sequence[str] = (),
        priority: int = 0,
        clients: Sequence[str] = (),
        headers: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        cookies: Mapping[str, Any] | None = None,
        when: Mapping[str, Any] | None = None,
        python: Callable[..., object] | None = None,
        predicate: tuple[bytes, tuple[Callable[..., object], ...]] | None = None,
    ) -> None:
        """Add a route; no `methods`: any.

        The conditions are those of `pyproxy.expressions.program`, and `predicate` is what that
        makes of them, instead of them. Raises WireError with a sentence for a bad host, path or
        condition, ValueError for what is no method or operator.
        """
    def find(
        self,
        host: str,
        path: str,
        method: str = "GET",
        *,
        client: str = "",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        query: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str]]:
        """(route, captures) for a lower-case host without port and a path in normal form.

        A nameless star is the capture "". Raises KeyError when nothing matches, and WireError
        (method_not_allowed) with `allowed` when only other methods do; "*" there: every method
        without a name in csrc/wire/http_tok.h.

        The rest is for conditions: the client's address, headers, the query without its question
        mark, and other variables by name. What a condition in Python raises goes through.
        """
    def explain(
        self,
        host: str,
        path: str,
        method: str = "GET",
        *,
        client: str = "",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        query: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> list[tuple[int, bool, str]]:
        """(route, chosen, reason) of every route that matches host and path, best first."""
    def shadowed(self) -> list[tuple[int, int]]:
        """(index, by): additions, counted from 0, that no request can take.

        `by` is one that takes theirs first. Found among equal hosts and equal shapes of path only.
        """
    def freeze(self) -> None:
        """Compile; done by the first `find` too."""
    @property
    def nbytes(self) -> int:
        """Memory of the compiled table."""

def normal_path(path: str | bytes) -> bytes:
    """The one form of a path on which routing, filters and logs agree. Raises WireError."""

def parse_authority(authority: str | bytes) -> tuple[str, int]:
    """(host, port or 0) of host[:port]. Raises WireError."""

def split_target(url: str | bytes) -> tuple[str, str, str, str | None]:
    """(scheme, authority, path, query) of an absolute URL; query None: no '?'. Raises WireError."""

def decode_proxy_header(
    data: bytes,
) -> tuple[int, int, int, bool, tuple[bytes, int], tuple[bytes, int], bytes]:
    """Read the PROXY protocol header that `data` begins with. Raises WireError (`more`: not whole).

    (length, version, family, local, source, destination, TLVs): the family is 4, 6, 1 for unix
    sockets, or 0 when no addresses are announced; an end is (packed address or path, port)."""

def decode_client_hello(data: bytes) -> tuple[str, list[bytes]]:
    """(server name, ALPN protocols) of a TLS ClientHello, "" and [] when it has none. Raises
    WireError (`more`: not whole)."""

def _bench_head(head: bytes, n: int, rules: bool = True) -> int:
    """Parse the same request head `n` times with the C parser alone; the bytes parsed.

    For benchmarks.
    """
