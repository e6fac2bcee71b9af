"""What a stream is worth telling: one event, or a part of a text that others follow."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event for the log.

    A droppable one is of interest until the next only. ``text`` is the next part of a block's text: parts of one block
    may be joined, and their secrets are masked together. ``block`` names the block, also where the event ends it.
    An event that ``ends_progress`` comes after the last progress, whose time may not have come yet.
    """

    type: str
    data: dict[str, Any]
    is_droppable: bool = False
    text: str | None = None
    block: tuple[str, int] | None = None
    ends_block: bool = False
    ends_progress: bool = False
    turn: int = 0
