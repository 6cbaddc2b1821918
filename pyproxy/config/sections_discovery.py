"""Where endpoints are found while the service runs: names, files, plug-ins."""

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta, field

from pyproxy.config.section import ONE_OR_NONE, Section
from pyproxy.config.units import Duration

# Of one upstream: what fits into a message between processes, and more than a name server says.
MOST = 1000


class DnsSource(Section, frozen=True, kw_only=True):
    """The addresses of a name, asked for again when their time to live is over."""

    name: Annotated[
        str,
        Meta(
            description="The whole name; search lists are not used.",
            examples=["app.internal", "_http._tcp.app.internal"],
        ),
    ]
    type: Annotated[
        Literal["ip", "a", "aaaa", "srv"],
        Meta(
            description="Records to ask for: `a` for IPv4, `aaaa` for IPv6, `ip` for both; `srv` "
            "tells ports, weights and priorities as well."
        ),
    ] = "ip"
    port: Annotated[
        Annotated[int, Meta(ge=1, le=65_535)] | None,
        Meta(description="Of the endpoints; not with `srv`, whose records tell it."),
    ] = None
    servers: Annotated[
        tuple[str, ...],
        ONE_OR_NONE,
        Meta(
            description="Name servers, `address` or `address:port`. Absent: those of "
            "/etc/resolv.conf.",
            examples=[["10.0.0.2", "[fd00::2]:53"]],
        ),
    ] = ()
    min_ttl_ms: Annotated[
        Duration,
        Meta(ge=100, le=3_600_000, description="Ask no sooner, whatever the records say."),
    ] = field(name="min_ttl", default=1_000)
    max_ttl_ms: Annotated[
        Duration,
        Meta(ge=100, le=86_400_000, description="Ask no later, whatever the records say."),
    ] = field(name="max_ttl", default=300_000)
    timeout_ms: Annotated[
        Duration, Meta(ge=100, le=60_000, description="For one question, other servers included.")
    ] = field(name="timeout", default=5_000)
    max_endpoints: Annotated[
        int, Meta(ge=1, le=MOST, description="What is found beyond that is left out.")
    ] = 256

    def __post_init__(self) -> None:
        if self.type == "srv" and self.port is not None:
            raise ValueError("SRV records tell the port; remove it")
        if self.type != "srv" and self.port is None:
            raise ValueError('"port" is missing; add it, or ask for type: srv')
        if self.min_ttl_ms > self.max_ttl_ms:
            raise ValueError("min_ttl is longer than max_ttl")


class FileSource(Section, frozen=True, kw_only=True):
    """A file of endpoints, looked at every second. One word stands for `{path: word}`."""

    shorthand: ClassVar[str] = "path"

    path: Annotated[
        str,
        Meta(
            min_length=1,
            description="YAML or JSON: a list of endpoints as the upstream's own, or "
            "`{endpoints: [...]}`. Relative to the folder of the configuration.",
            examples=["endpoints.yaml", "/run/registry/app.json"],
        ),
    ]

    def __post_init__(self) -> None:
        # Once: processes that get this section do not know where it was written.
        file = self.place.file
        folder = Path(file).parent if file not in ("", "-") else Path()
        msgspec.structs.force_setattr(self, "path", os.path.abspath(folder / self.path))


class PluginSource(Section, frozen=True, kw_only=True):
    """A source that another package brings. One word stands for `{name: word}`."""

    shorthand: ClassVar[str] = "name"

    name: Annotated[
        str,
        Meta(
            description="As the package announces it in the entry-point group `pyproxy.discovery`.",
            examples=["consul"],
        ),
    ]
    config: Annotated[
        dict[str, Any], Meta(description="What it takes.", examples=[{"service": "app"}])
    ] = field(default_factory=dict)


class Discover(Section, frozen=True, kw_only=True):
    """Where further endpoints are found: one of `dns`, `file`, `plugin`."""

    dns: Annotated[
        DnsSource | None,
        Meta(description="Ask name servers.", examples=[{"name": "app.internal", "port": 9000}]),
    ] = None
    file: Annotated[
        FileSource | None, Meta(description="Read a file.", examples=["endpoints.yaml"])
    ] = None
    plugin: Annotated[PluginSource | None, Meta(description="Use a source of another package.")] = (
        None
    )

    def __post_init__(self) -> None:
        # One that is written and cannot be read is a fault of its own.
        names = ("dns", "file", "plugin")
        if sum(self.place.has(n) or getattr(self, n) is not None for n in names) != 1:
            raise ValueError("there must be one source: dns, file or plugin")

    @property
    def source(self) -> DnsSource | FileSource | PluginSource:
        """The one that is given."""
        found = self.dns or self.file or self.plugin
        assert found is not None
        return found

    @property
    def title(self) -> str:
        """What people call it."""
        if self.dns is not None:
            return f"dns {self.dns.name} {self.dns.type}"
        if self.file is not None:
            return f"file {self.file.path}"
        return f"plugin {self.plugin.name}" if self.plugin else ""

    @property
    def key(self) -> str:
        """Equal for sections that say the same; goes from process to process."""
        import json  # not for who has no such section

        return json.dumps(_plain(self), sort_keys=True, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        names = (name for name in value.__struct_fields__ if name != "place")
        return {name: _plain(getattr(value, name)) for name in names}
    return value
