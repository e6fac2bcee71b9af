"""Forks: copies another session's thread up to a checkpoint and applies changes.

Each step is atomic and checks whether it was done: if a run dies in between, the next one continues from the last
completed step. The other session is only read.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agentic_core.conditions import Reason
from agentic_core.errors import AgenticError, PermanentError
from agentic_core.resources.session import ForkFrom
from agentic_core.strict_json import json_pointer
from agentic_core.threads import can_read
from agentic_runner.checkpoints.checkpoint_ids import follow
from agentic_runner.config import RunConfig
from agentic_runner.output.redaction import describe
from agentic_store.database import Database
from agentic_store.errors import translate
from agentic_store.threads import CheckpointNotFound, ForkPoint

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from agentic_runner.project.loading import Graph


class ForkRefused(PermanentError):
    """The session cannot start from ``forkFrom``; ``reason`` is the session's."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def enter_fork(
    graph: "Graph", graph_config: "RunnableConfig", database: Database, config: RunConfig, fork: ForkFrom
) -> ForkPoint:
    """Copy the source's thread, unless an earlier run did; return the point at which they separate.

    Raises :class:`ForkRefused` where the source, the checkpoint or the values are wrong.
    """
    is_changed = bool(fork.values) or fork.as_node is not None
    point = await database.threads.find_fork(config.thread_id)
    if point is None:
        point = await _copy(database, config, fork, is_changed=is_changed)
    if is_changed or point.is_past:
        follow(point.checkpoint_id)
        await _change(graph, graph_config, point, fork, is_changed=is_changed)
    return point


async def _copy(database: Database, config: RunConfig, fork: ForkFrom, *, is_changed: bool) -> ForkPoint:
    row = await database.sessions.find(config.namespace, fork.session)
    if row is None:
        raise ForkRefused(
            Reason.FORK_SOURCE_NOT_FOUND,
            f"/spec/forkFrom/session: namespace {config.namespace!r} has no session {fork.session!r} that ever ran,"
            " or it was deleted, and its checkpoints with it",
        )
    if not can_read(config.thread_id, row.thread_id):
        raise ForkRefused(
            Reason.FORBIDDEN,
            f"/spec/forkFrom/session: session {fork.session!r} is private: only a private session of the same user"
            " can start from it",
        )
    try:
        return await database.threads.copy_thread(
            row.thread_id, config.thread_id, checkpoint_id=fork.checkpoint_id, changes_values=is_changed
        )
    except CheckpointNotFound as error:
        wanted = f"checkpoint {fork.checkpoint_id!r}" if fork.checkpoint_id else "checkpoint"
        raise ForkRefused(
            Reason.FORK_SOURCE_NOT_FOUND,
            f"/spec/forkFrom/checkpointId: session {fork.session!r} has no {wanted}"
            f" (any more): `agentic checkpoints {fork.session}` lists what it has",
        ) from error


async def _change(
    graph: "Graph", graph_config: "RunnableConfig", point: ForkPoint, fork: ForkFrom, *, is_changed: bool
) -> None:
    """Write the fork's own first checkpoint, as LangGraph's time travel does, where the copied one is still the last.

    Without changed values it is a twin of the copied one. A super-step that is done again is so under new task ids:
    what its nodes do outside must not pass for what they did in the source.
    """
    try:
        state = await graph.aget_state(graph_config)
        if state.config.get("configurable", {}).get("checkpoint_id") != point.checkpoint_id:
            # It was written, by this graph or by an earlier one whose state had other keys.
            return
        require_known_keys(graph, fork.values or {})
        values: Any = fork.values or None
        await graph.aupdate_state(graph_config, values, as_node=fork.as_node if is_changed else "__copy__")
    except AgenticError:
        raise
    except Exception as error:
        if (meaning := translate(error)) is not None:
            raise meaning from error
        hint = "; name the node in /spec/forkFrom/asNode" if "as_node" in str(error) else ""
        raise ForkRefused(
            Reason.INVALID_INPUT, f"/spec/forkFrom/values: the graph refuses them: {describe(error)}{hint}"
        ) from error


def list_state_keys(graph: "Graph") -> set[str]:
    """Return the keys of the graph's state; none if its state is not an object."""
    names = graph.stream_channels_list
    return {name for name in names if not name.startswith("__")}


def require_known_keys(graph: "Graph", values: Mapping[str, Any]) -> None:
    """Raise :class:`ForkRefused` for a key that the graph's state lacks: LangGraph ignores it without an error."""
    known = list_state_keys(graph)
    unknown = next((key for key in values if known and key not in known), None)
    if unknown is not None:
        place = json_pointer(["spec", "forkFrom", "values", unknown])
        raise ForkRefused(
            Reason.INVALID_INPUT, f"{place}: the state of the graph has no such key; it has {', '.join(sorted(known))}"
        )
