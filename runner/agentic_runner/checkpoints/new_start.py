"""Lets a thread begin anew: until a first checkpoint is saved, its newest one is not found.

A turn that rolls back the first of a thread begins with nothing, while what was there stays stored and can be gone back
to. LangGraph always goes on from the newest checkpoint that it finds, and a checkpoint that does not exist, addressed
by an id, would be the parent of the next one. So the saver finds none.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.base import BaseCheckpointSaver, get_checkpoint_id

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple

    _Saver = BaseCheckpointSaver[Any]
else:
    _Saver = object


class NewStart(_Saver):
    """Mixed into a saver, before it. Its one field is an object, as copies of a saver share theirs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._hidden: set[str] = set()

    @contextmanager
    def starting_anew(self, thread_id: str) -> Iterator[None]:
        """Let a thread look empty to whoever asks for its newest checkpoint, until one is saved or the block ends."""
        self._hidden.add(thread_id)
        try:
            yield
        finally:
            self._hidden.discard(thread_id)

    async def aget_tuple(self, config: "RunnableConfig") -> "CheckpointTuple | None":
        """Return a checkpoint as the saver does; None for the newest one of a thread that begins anew."""
        place = config["configurable"]
        if place["thread_id"] in self._hidden and not place.get("checkpoint_ns") and not get_checkpoint_id(config):
            return None
        return await super().aget_tuple(config)

    async def aput(
        self,
        config: "RunnableConfig",
        checkpoint: "Checkpoint",
        metadata: "CheckpointMetadata",
        new_versions: "ChannelVersions",
    ) -> "RunnableConfig":
        """Save a checkpoint as the saver does; the thread is what it was saved to be from then on."""
        saved = await super().aput(config, checkpoint, metadata, new_versions)
        place = config["configurable"]
        if not place.get("checkpoint_ns"):
            self._hidden.discard(place["thread_id"])
        return saved
