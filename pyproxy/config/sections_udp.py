"""The section of the configuration that only UDP listeners have.

How the structs are written, and why, is told in `model`.
"""

from typing import Annotated

from msgspec import Meta

from pyproxy.config.section import Count, Section


class Udp(Section, frozen=True, kw_only=True):
    """How clients' datagrams become sessions: one for each address and port they come from."""

    responses: Annotated[
        Count,
        Meta(
            description="Answers to each datagram of a client; after so many its session ends at "
            "once. 1 for DNS; 0: any number, the session ends when it is idle."
        ),
    ] = 0
    max_sessions: Annotated[
        Count,
        Meta(
            description="Sessions at once, in each worker, each with a descriptor; beyond, the one "
            "that has been silent longest makes room (a flood from spoofed addresses is such). 0: "
            "no limit."
        ),
    ] = 16_384
