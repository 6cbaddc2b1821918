"""What every section of the configuration has, and the words that several are written with."""

from typing import Annotated

import msgspec
from msgspec import Meta, field

from pyproxy.config.nodes import NOWHERE, Node
from pyproxy.config.units import Size

Place = Annotated[Node, Meta(extra={"hidden": True})]
HIDDEN = Meta(extra={"hidden": True})
ONE_OR_MORE = Meta(extra={"single": True}, min_length=1)
ONE_OR_NONE = Meta(extra={"single": True})
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
HeadSize = Annotated[Size, Meta(ge=256, le=16 * 2**20)]
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every section has."""

    place: Place = field(default_factory=lambda: NOWHERE)
