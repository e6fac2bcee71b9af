"""The error of a value that a checkpoint could not give back; apart, so that it is known without LangGraph."""

from collections.abc import Mapping
from typing import Final

from agentic_core.errors import PermanentError

# What LangGraph calls a channel, though an author never named it.
_PLACES: Final[Mapping[str, str]] = {
    "__pregel_tasks": "what a Send carries",
    "__return__": "the result of a task",
    "__interrupt__": "a question",
    "__resume__": "an answer",
    "__previous__": "what the entrypoint keeps",
    "__end__": "the result of the graph",
}


class NotRestorable(PermanentError):
    """A value of a state could not be restored from a checkpoint: ``type`` names its type, ``reason`` is for people.

    ``channel``, ``task_id`` and ``node`` are known to who saves it.
    """

    def __init__(self, type_: str, reason: str, *, channel: str = "", task_id: str = "", node: str = "") -> None:
        self.type, self.reason, self.channel, self.task_id, self.node = type_, reason, channel, task_id, node
        place = f" in {_PLACES.get(channel, f'channel {channel!r}')}" if channel else ""
        place += f", written by node {node!r}," if node else ""
        super().__init__(f"a value of type {type_}{place} cannot be kept in a checkpoint: {reason}")

    def at(self, *, channel: str, task_id: str = "", node: str = "") -> "NotRestorable":
        """Return the same with the place where the value was found."""
        return NotRestorable(self.type, self.reason, channel=channel, task_id=task_id, node=node)
