"""Conditions of routes beyond host, path and method, and how a route is split.

No `from __future__ import annotations`, as in `model`.
"""

from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from pyproxy.config.section import ONE_OR_MORE, Section

__all__ = ["OPERATOR_WORDS", "Arm", "Condition", "Split", "Test", "plain_condition"]


class Test(Section, frozen=True, kw_only=True):
    """What a value must be: all that is given must hold. One word stands for `{equals: word}`.

    A value that the request does not have fulfils nothing but `exists: off` and `not`.
    """

    shorthand: ClassVar[str] = "equals"

    equals: Annotated[str | None, Meta(description="Exactly this.", examples=["jack"])] = None
    one_of: Annotated[
        tuple[str, ...], Meta(description="One of these.", examples=[["jack", "joe"]])
    ] = ()
    prefix: Annotated[str | None, Meta(description="It begins so.", examples=["v2."])] = None
    suffix: Annotated[str | None, Meta(description="It ends so.", examples=[".example"])] = None
    contains: Annotated[str | None, Meta(description="It holds this.", examples=["bot"])] = None
    regex: Annotated[
        str | None,
        Meta(
            description="A regular expression (RE2) is found in it; `^` and `$` are its ends.",
            examples=["^v[0-9]+$"],
        ),
    ] = None
    gt: Annotated[
        float | None, Meta(description="A number, and greater than this.", examples=[10])
    ] = None
    ge: Annotated[float | None, Meta(description="Greater or equal.", examples=[10])] = None
    lt: Annotated[float | None, Meta(description="Less than this.", examples=[2.5])] = None
    le: Annotated[float | None, Meta(description="Less or equal.", examples=[0])] = None
    cidr: Annotated[
        tuple[str, ...],
        Meta(
            extra={"single": True},
            description="An address in one of these ranges.",
            examples=[["10.0.0.0/8", "::1"]],
        ),
    ] = ()
    exists: Annotated[
        bool | None, Meta(description="`on`: the request has it. `off`: it does not.")
    ] = None
    not_: Annotated["Test | None", Meta(description="This must not hold.")] = field(
        name="not", default=None
    )


class Condition(Test, frozen=True, kw_only=True):
    """A condition on a request: a variable and what it must be, or a tree of conditions."""

    shorthand: ClassVar[str] = "equals"

    var: Annotated[
        str | None,
        Meta(
            description="The variable that the operators are about.",
            examples=["header.x-user", "tls.sni"],
        ),
    ] = None
    all: Annotated[tuple["Condition", ...], Meta(description="All of these hold.")] = ()
    any: Annotated[tuple["Condition", ...], Meta(description="One of these holds.")] = ()
    not_: Annotated[
        "Condition | None",
        Meta(description="This does not hold. Below a `var`, it may leave out its own."),
    ] = field(name="not", default=None)
    python: Annotated[
        str | None,
        Meta(
            description="`module:function` of yours, which gets the exchange and tells.",
            examples=["myapp.routing:is_tester"],
        ),
    ] = None


class Arm(Section, frozen=True, kw_only=True):
    """One of the upstreams of a split."""

    upstream: Annotated[str, Meta(description="The name of the upstream.", examples=["stable"])]
    weight: Annotated[
        int,
        Meta(
            ge=0,
            le=1_000_000,
            description="Its share of all weights; 0: none for now.",
        ),
    ] = 1
    name: Annotated[str, Meta(description="What metrics call it. Absent: the upstream's name.")] = (
        ""
    )


class Split(Section, frozen=True, kw_only=True):
    """Several upstreams, each with its share of the requests."""

    arms: Annotated[tuple[Arm, ...], ONE_OR_MORE, Meta(description="The upstreams.")]
    by: Annotated[
        str,
        Meta(
            description="The variable whose value keeps a client with its arm. Absent, or when a "
            "request has no such value: by chance.",
            examples=["cookie.session", "client.address"],
        ),
    ] = ""


OPERATOR_WORDS = (
    *("equals", "one_of", "prefix", "suffix", "contains", "regex"),
    *("gt", "ge", "lt", "le", "cidr", "exists"),
)


def plain_condition(test: Test | tuple[str, ...], load: Any = None) -> Any:
    """A test or condition as `pyproxy.expressions` takes it.

    `load` makes the callable of what `python` names; without it conditions in Python are left out.
    """
    if not isinstance(test, Test):
        return list(test)
    given = {word: getattr(test, word) for word in OPERATOR_WORDS}
    plain = {word: value for word, value in given.items() if value is not None and value != ()}
    if test.not_ is not None:
        plain["not"] = plain_condition(test.not_, load)
    if isinstance(test, Condition):
        if test.var is not None:
            plain["var"] = test.var
        for word in ("all", "any"):
            if getattr(test, word):
                plain[word] = [plain_condition(below, load) for below in getattr(test, word)]
        if test.python is not None and load is not None:
            plain["python"] = load(test.python, test)
    return plain
