"""So many requests in some time."""

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, field

from pyproxy.config.faults import Report
from pyproxy.config.filters.limits import Key, LimitFilter, check_key, key_text, parse_rate
from pyproxy.config.filters.redis_options import Redis
from pyproxy.config.section import Section

__all__ = ["RateLimit", "RateLimitFilter"]

_MOST_LIMITS = 8
_PERIOD_MAX_NS = 31 * 86_400 * 10**9

_Rate = Annotated[
    str,
    Meta(
        pattern=r"^\d+ ?/ ?\d*(ms|s|m|h|d).*$",
        description="Requests and the time in which so many may come.",
        examples=["100/s", "5/10m", "1000/d"],
    ),
]
_Burst = Annotated[
    Annotated[int, Meta(ge=1)] | None,
    Meta(
        description="Of a token bucket: how many may come at once. Absent: as many as the rate "
        "names."
    ),
]
_Queue = Annotated[
    int,
    Meta(
        ge=0,
        description="Of a token bucket: how many more wait until it is their turn, evenly spaced, "
        "instead of being refused.",
    ),
]
_Algorithm = Annotated[
    Literal["token_bucket", "sliding_window", "fixed_window"],
    Meta(
        description="`token_bucket`: bursts, and then evenly the rate. `sliding_window`: at most "
        "so many in any such time, reckoned from the counts of this one and the last one. "
        "`fixed_window`: begins anew with each such time, so up to twice as many around that."
    ),
]
_Name = Annotated[
    str,
    Meta(
        max_length=64,
        description="Of the policy in `RateLimit` fields; what was counted under it goes on when "
        "the rate changes. Absent: the filter's name, with a number from the second on.",
    ),
]


class RateLimit(Section, frozen=True, kw_only=True):
    """One of several limits."""

    rate: _Rate
    burst: _Burst = None
    queue: _Queue = 0
    key: Key = "client.address"
    algorithm: _Algorithm = "token_bucket"
    name: _Name = ""


class RateLimitFilter(LimitFilter, frozen=True, kw_only=True):
    """Refuses, or delays, what comes more often than it may; exact over all workers.

    One limit (`rate` and what belongs to it), or several in `limits`: a request must have room in
    each, and takes from all or from none. What is counted outlives reloads and upgrades. Answers
    tell clients where they stand (`RateLimit-Policy` and `RateLimit`), refusals when to come again
    (`Retry-After`).

    With `redis`, all machines that name the same one count together, exactly and by its clock: the
    limits of filters in the same place of their configurations, or of one `group`. A request costs
    one round trip there. The names of its keys hold a hash of what is counted, not the value.
    While Redis is gone, `on_failure` says what happens; it is asked again after a second, and then
    after up to four.

    ```yaml
    - rate_limit:
        rate: 100/s
        key: "{header.x-api-key}"
        redis: {url: rediss://cache.internal, password: secret://env/REDIS_PASSWORD}
    ```
    """

    default_priority: ClassVar[int] = 4000
    example: ClassVar[str] = """\
- rate_limit:
    limits:
      - {name: second, rate: 10/s, burst: 20, key: client.address}
      - {name: day, rate: 5000/d, key: "{header.x-api-key}", algorithm: sliding_window}
    message: slow down
"""
    redis_class: ClassVar[str] = "pyproxy.filters.rate_limit:RateLimit"

    rate: Annotated[
        _Rate | None,
        Meta(
            description="Requests and the time in which so many may come: one limit.",
            examples=["100/s", "5/10m", "1000/d"],
        ),
    ] = None
    burst: _Burst = None
    queue: _Queue = 0
    key: Key = "client.address"
    algorithm: _Algorithm = "token_bucket"
    limits: Annotated[
        tuple[RateLimit, ...], Meta(description="Several limits, instead of `rate`; at most 8.")
    ] = field(default_factory=tuple)
    headers: Annotated[
        bool, Meta(description="Tell clients where they stand, with every answer.")
    ] = True
    group: Annotated[
        str,
        Meta(
            description="Filters of one group count together. Absent: a filter of all routes "
            "counts the requests of all, one of a route its own."
        ),
    ] = ""

    redis: Annotated[
        Redis | None,
        Meta(
            description="Where to count for several machines together. Absent: in the memory that "
            "the workers of this one share.",
            examples=["redis://10.0.0.5:6379/0"],
        ),
    ] = None

    def check(self, report: Report, path: str) -> None:
        """Are the rates ones that can be kept?"""
        super().check(report, path)
        if self.redis is not None:
            self.redis.check(report, f"{path}.redis")
        if (self.rate is None) == (not self.limits):
            message = "one limit or several: `rate`, or `limits`"
            report.add(self, "limits" if self.limits else "rate", message, path=path)
        if len(self.limits) > _MOST_LIMITS:
            report.add(self, "limits", f"more than {_MOST_LIMITS} limits", path=path)
        names = [limit.name for limit in self.limits if limit.name]
        for i, limit in enumerate(self.limits):
            _check_limit(limit, f"{path}.limits[{i}]", report)
            if names.count(limit.name) > 1:
                message = f'two limits are called "{limit.name}"'
                report.add(limit, "name", message, path=f"{path}.limits[{i}]")
        if self.rate is not None:
            _check_limit(self, path, report)

    def filter_class(self) -> str:
        """Python when Redis has to be asked."""
        return self.redis_class if self.redis is not None else ""

    def options_at(self, place: str) -> dict[str, Any]:
        """What the data plane needs."""
        limits = [_options(limit) for limit in self.limits] or [_options(self)]
        return {**self.common(place, self.group), "headers": self.headers, "limits": limits}


def _check_limit(limit: Any, path: str, report: Report) -> None:
    check_key(limit, limit.key, path, report)
    try:
        count, period = parse_rate(limit.rate)
    except ValueError as error:
        report.refuse(limit, "rate", error, path=path)
        return
    if limit.algorithm != "token_bucket":
        for key in ("burst", "queue"):
            if getattr(limit, key):
                report.add(limit, key, f"a {limit.algorithm} has no {key}", "remove it", path=path)
        return
    interval = -(-period * 10**6 // count)
    for key, value in (("burst", limit.burst or count), ("queue", limit.queue)):
        if value * interval > _PERIOD_MAX_NS:
            report.add(limit, key, "at this rate, that takes longer than 31 days", path=path)


def _options(limit: Any) -> dict[str, Any]:
    count, period = parse_rate(limit.rate)
    bucket = limit.algorithm == "token_bucket"
    return {
        "algorithm": limit.algorithm,
        "count": count,
        "period_ns": period * 10**6,
        "burst": (limit.burst or count) if bucket else 0,
        "queue": limit.queue,
        "key": key_text(limit.key),
        "name": getattr(limit, "name", ""),
    }
