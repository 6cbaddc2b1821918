"""The floor: a byte relay in C that parses nothing, one upstream socket for each client."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks import tools
from benchmarks.contender import Contender, Setup

BUFFER_BYTES = 65536


class Relay(Contender):
    name = "relay"
    label = "bare relay"

    def install(self) -> None:
        tools.program("relay")

    def version(self) -> str:
        return "macro/relay.c"

    def command(self, setup: Setup) -> Sequence[str]:
        return [
            str(tools.program("relay")),
            *("-b", str(BUFFER_BYTES)),
            *(str(setup.port), str(setup.origin)),
        ]
