"""Forks: copies another session's thread up to a checkpoint and applies changes.

Each step is there or not, and looks whether it is: a run that died in between is followed by one that goes on from the
last step that was reached. The other session is only read.
"""

from typing import TYPE_CHECKING, Any

from agentic_core.conditions import Reason
from agentic_core.errors import AgenticError, PermanentError
from agentic_core.resources.session import ForkFrom
from agentic_core.threads import can_read
from agentic_runner.checkpoints.checkpoint_ids import follow
from agentic_runner.config import RunConfig
from agentic_runner.redaction import describe
from agentic_store.database import Database
from agentic_store.errors import translate
from agentic_store.threads import CheckpointNotFound, ForkPoint

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from agentic_runner.project.loading import Graph


class ForkRefused(PermanentError):
    """The session cannot start where ``forkFrom`` says; ``reason`` is the session's."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def enter_fork(
    graph: "Graph", graph_config: "RunnableConfig", database: Database, config: RunConfig, fork: ForkFrom
) -> ForkPoint:
    """Bring the session's thread to where it starts, unless an earlier run did; return where it left the source.

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
            return
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
