"""Another path, query, host or method for the origin."""

import re
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from pyproxy.config.faults import Report, is_token
from pyproxy.config.filters.kind import FilterKind
from pyproxy.config.filters.regexes import check_regex
from pyproxy.config.filters.texts import check_text
from pyproxy.config.section import Section

__all__ = ["QueryEdits", "RewriteFilter", "RewritePattern"]

# Of one filter, in csrc/proxy/filter_rewrite_query.h.
_MOST_EDITS = 64
_PREFIX = re.compile(r"(/[A-Za-z0-9_~!$&'()*+,;=:@-][A-Za-z0-9._~!$&'()*+,;=:@-]*)+")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]]+)(:[^\s/?#@:\[\]]+)?")
_DOTS = re.compile(r"/\.\.?(/|$)")
_GROUP = re.compile(r"[0-9]+|[A-Za-z_][A-Za-z0-9_]*")


class RewritePattern(Section, frozen=True, kw_only=True):
    """What is found in the path, and what stands there afterwards."""

    match: Annotated[
        str,
        Meta(
            description="A regular expression, found anywhere in the path.",
            examples=["^/users/(?P<id>[0-9]+)"],
        ),
    ]
    to: Annotated[
        str,
        Meta(
            description="What takes the place of the match. Groups by number or name, `{0}` is "
            "all of it; and {variables}.",
            examples=["/people/{id}"],
        ),
    ]


class QueryEdits(Section, frozen=True, kw_only=True):
    """What is done to the arguments of the query, in this order."""

    remove: Annotated[
        tuple[str, ...], Meta(description="Arguments that are removed.", examples=[["utm_source"]])
    ] = ()
    set: Annotated[
        dict[str, str],
        Meta(
            description="Arguments that get this value, in the place of all of that name; none "
            "when the text comes out empty.",
            examples=[{"tenant": "{param.tenant}"}],
        ),
    ] = field(default_factory=dict)
    add: Annotated[
        dict[str, str | tuple[str, ...]],
        Meta(
            description="Arguments that are added beside those of the same name.",
            examples=[{"tag": ["a", "b"]}],
        ),
    ] = field(default_factory=dict)


class RewriteFilter(FilterKind, frozen=True, kw_only=True):
    """Sends requests on with another path, query, host or method.

    The path is written anew as a whole (`path`), by its beginning (`strip_prefix`, `add_prefix`;
    with both, one takes the place of the other), or by regular expressions (`patterns`: the first
    one that is found counts). Regular expressions run in linear time. Texts hold {variables}, those
    of the path's captures too (`{param.id}`). What was part of a path goes in as it is; any other
    value goes in percent-encoded, as a piece of one segment, so a `/` in it makes the request a bad
    one (400), as `..` does. All texts are filled from the request as it was before this filter.

    The filter does not choose the route again. It runs before the route's own `rewrite`: a
    `rewrite.path` there makes the path that goes out, and its `{path}` and `{query}` are this
    filter's; of the hosts, this filter's counts. Filters behind it, the origin and the access log
    see what it has made; `request.target` in the log is what the client has sent.

    A method is not changed where the answer would end elsewhere: of HEAD, of CONNECT, and of
    requests for another protocol (WebSocket). Requests without a path (`OPTIONS *`) stay as they
    are.
    """

    default_priority: ClassVar[int] = 2000
    example: ClassVar[str] = """\
- name: version
  rewrite:
    strip_prefix: /v1
    add_prefix: /api
    query: {remove: [debug], set: {client: "{client.address}"}}
- name: people
  rewrite:
    patterns:
      - {match: "^/api/users/(?P<id>[0-9]+)$", to: "/api/people/{id}"}
      - {match: "\\\\.json$", to: ""}
    host: backend.internal
"""

    path: Annotated[
        str | None,
        Meta(description="The whole path.", examples=["/tenants/{param.tenant}{path}"]),
    ] = None
    strip_prefix: Annotated[
        str,
        Meta(
            description="Segments that are taken off the front; a path without them stays as it "
            "is.",
            examples=["/api"],
        ),
    ] = ""
    add_prefix: Annotated[
        str, Meta(description="Segments that are put in front.", examples=["/v2"])
    ] = ""
    patterns: Annotated[
        tuple[RewritePattern, ...],
        Meta(description="Regular expressions; the first that is found in the path counts."),
    ] = ()
    query: Annotated[QueryEdits, Meta(description="Arguments of the query.")] = field(
        default_factory=QueryEdits
    )
    host: Annotated[
        str | None,
        Meta(description="The host that the origin is told.", examples=["{param.tenant}.internal"]),
    ] = None
    method: Annotated[str | None, Meta(description="The method.", examples=["POST"])] = None

    def check(self, report: Report, path: str) -> None:
        """Can each of the texts be what it is for?"""
        self._check_ways(report, path)
        if self.path is not None:
            check_text(self, "path", self.path, path, report)
            _check_path(self, "path", self.path, path, report)
        for key in ("strip_prefix", "add_prefix"):
            text = getattr(self, key)
            if text and not _PREFIX.fullmatch(text):
                cure = 'write segments with "/" before each, such as /api'
                message = f'"{text}" is not a prefix of a path'
                report.add(self, key, message, cure, path=path)
        for i, pattern in enumerate(self.patterns):
            _check_pattern(pattern, f"{path}.patterns[{i}]", report)
        _check_query(self.query, f"{path}.query", report)
        if self.host is not None:
            check_text(self, "host", self.host, path, report)
            if not _HOST.fullmatch(self.host):
                message = f'"{self.host}" is not a host'
                report.add(self, "host", message, "write host or host:port", path=path)
        self._check_method(report, path)

    def _check_ways(self, report: Report, path: str) -> None:
        ways = [
            *(["path"] if self.path is not None else []),
            *(["strip_prefix"] if self.strip_prefix else []),
            *(["add_prefix"] if self.add_prefix else []),
            *(["patterns"] if self.patterns else []),
        ]
        if len(ways) > 1 and ways != ["strip_prefix", "add_prefix"]:
            message = f"{ways[0]} and {ways[1]} both make the path"
            report.add(self, ways[1], message, "write two filters, with a name each", path=path)
        edits = self.query.remove or self.query.set or self.query.add
        if not (ways or edits or self.host is not None or self.method is not None):
            report.add(self, "", "this filter rewrites nothing", "say what", path=path)

    def _check_method(self, report: Report, path: str) -> None:
        if self.method is None:
            return
        if not is_token(self.method):
            report.add(self, "method", f'"{self.method}" is not a method', path=path)
        elif self.method in ("HEAD", "CONNECT"):
            message = f"an answer to {self.method} ends elsewhere than the one the client waits for"
            report.add(self, "method", message, "choose another method", path=path)

    def options(self) -> dict[str, Any]:
        """What the data plane needs."""
        found = super().options()
        return {key: value for key, value in found.items() if value not in ("", [])}


def _check_path(section: Section, key: str, text: str, path: str, report: Report) -> None:
    if not text.startswith(("/", "{")):
        message = 'the new path does not begin with "/"'
        report.add(section, key, message, f'write "/{text}"', path=path)
    _check_pieces(section, key, text, path, report)


def _check_pieces(section: Section, key: str, text: str, path: str, report: Report) -> None:
    if re.search(r"[?#\\\x00-\x20\x7f-\U0010ffff]", text):
        cure = "write the path only, percent-encoded where needed"
        report.add(section, key, "a path cannot hold this text", cure, path=path)
    elif _DOTS.search(text):
        report.add(section, key, 'a path with "." or ".." as a segment', "leave it out", path=path)


def _check_pattern(pattern: RewritePattern, path: str, report: Report) -> None:
    _check_pieces(pattern, "to", pattern.to, path, report)
    names = [name for name in re.findall(r"\{([^{}]*)\}", pattern.to) if _GROUP.fullmatch(name)]
    groups = check_regex(pattern, "match", pattern.match, path, report, names)
    # What is no group is a variable, or a mistake.
    rest = re.sub(r"\{([^{}]*)\}", lambda m: "" if m[1] in groups else m[0], pattern.to)
    for name in names:
        if name.isdecimal() and name not in groups:
            message = f'the expression has no group "{name}"'
            report.add(pattern, "to", message, "groups count from 1", path=path)
            rest = rest.replace("{" + name + "}", "")
    check_text(pattern, "to", rest, path, report)


def _check_query(edits: QueryEdits, path: str, report: Report) -> None:
    count = len(edits.remove)
    if "" in edits.remove:
        where = ("remove", edits.remove.index(""))
        report.add(edits, where, "an argument without a name", path=path)
    for key in ("set", "add"):
        for name, given in getattr(edits, key).items():
            if not name:
                message = "an argument without a name"
                report.add(edits, (key, name), message, path=path, on_key=True)
            for text in (given,) if isinstance(given, str) else given:
                count += 1
                check_text(edits, (key, name), text, path, report)
    if count > _MOST_EDITS:
        report.add(edits, "", f"more than {_MOST_EDITS} arguments", path=path)
