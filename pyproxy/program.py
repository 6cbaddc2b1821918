"""The proxy as a program: the same objects without a configuration file.

from pyproxy import Proxy

proxy = Proxy(listen="127.0.0.1:6188")

@proxy.upstream_peer
def pick(exchange):
    return "127.0.0.1:9000"

proxy.run()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pyproxy.filters.base import PHASES, Filter, bound_phases

if TYPE_CHECKING:
    from pyproxy.config.model import Config
    from pyproxy.filters.chain import BoundFilter

_F = TypeVar("_F", bound=Callable[..., Any])


class Proxy:
    """A proxy with one listener and one route, made of functions and filters.

    `listen` is one address or several ("127.0.0.1:8080", "[::1]:8080", "unix:/run/x.sock");
    `upstream` the endpoints that requests go to unless `upstream_peer` names another; `tls` that
    section of a listener, such as `{"cert": "a.crt", "key": "a.key"}`; `options` are further
    top-level fields of the configuration file (`admin`, `access_log`, `user`, ...).

    Every phase is a decorator: `@proxy.request`, `@proxy.upstream_peer`, `@proxy.response` and so
    on register a function with the arguments of the filter method of that name. Functions and
    filters run in the order in which they were added.
    """

    def __init__(
        self,
        listen: str | Sequence[str] = "127.0.0.1:8080",
        *,
        upstream: str | Sequence[str] = (),
        workers: int | str = 1,
        tls: str | Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self._listen = [listen] if isinstance(listen, str) else list(listen)
        self._upstream = [upstream] if isinstance(upstream, str) else list(upstream)
        self._workers = workers
        self._tls = tls
        self._options = options
        self._filters: list[tuple[str, dict[str, Callable[..., Any]], object]] = []

    def __getattr__(self, phase: str) -> Callable[[_F], _F]:
        if phase not in PHASES:
            raise AttributeError(f"{type(self).__name__} has no attribute {phase!r}")

        def register(function: _F) -> _F:
            name = getattr(function, "__qualname__", phase)
            self._filters.append((name, {phase: function}, None))
            return function

        return register

    def add_filter(self, instance: Filter) -> None:
        """Add a filter object with all the phases that it defines."""
        self._filters.append((type(instance).__name__, bound_phases(instance), instance))

    def config(self) -> Config:
        """The configuration that this program amounts to. Raises `ConfigError` with every fault."""
        from pyproxy.config.load import from_mapping
        from pyproxy.config.model import FilterRef, PythonFilter

        # A limit that nobody asked for would surprise a program; its own code can count.
        route: dict[str, Any] = {"name": "all", "match": {"path": "/*"}, "max_body": "unlimited"}
        mapping: dict[str, Any] = {
            "workers": self._workers,
            "listeners": {"main": {"bind": self._listen, "tls": self._tls}},
            "routes": [route],
            **self._options,
        }
        if self._upstream:
            mapping["upstreams"] = {"main": {"endpoints": self._upstream}}
            route["upstream"] = "main"
        refs = tuple(
            FilterRef(kind="python", options=PythonFilter(use=f"program:filter_{i}"), name=name)
            for i, (name, _, _) in enumerate(self._filters)
        )
        return from_mapping(mapping, filters=refs)

    def bound_filters(self, config: Config) -> dict[str, BoundFilter]:
        """The filters by their keys in the configuration; called in every worker."""
        from pyproxy.filters.chain import BoundFilter

        return {
            f"filters[{i}]": BoundFilter(
                name,
                phases,
                buffer_request_body=getattr(instance, "buffer_request_body", 0),
                buffer_response_body=getattr(instance, "buffer_response_body", 0),
            )
            for i, (name, phases, instance) in enumerate(self._filters)
        }

    def run(self) -> int:
        """Serve until a signal ends it; returns the exit status.

        Raises `ConfigError` or `StartError` when the proxy cannot start.
        """
        from pyproxy.supervise.launch import serve

        return serve(self.config(), bind=self.bound_filters)
