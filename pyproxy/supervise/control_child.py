"""The start of the control process, which a configuration may want sooner or later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .children import State

if TYPE_CHECKING:
    from .supervisor import Supervisor


def begin_control(up: Supervisor) -> None:
    """Start it, if there is none and it has something to do."""
    if up.control is None and (child := up.service.control_child()) is not None:
        up.control = child
        up.tree.add(child)
        child.state = State.READY
