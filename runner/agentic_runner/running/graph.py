"""The project's graph as a run uses it: loaded once, opened with a run's settings on our checkpointer and store.

Imports LangGraph, and so is imported when :mod:`agentic_runner.running.imports` is done.
"""

import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from agentic_core.errors import SchemaMismatch
from agentic_core.resources.graph_config import RunLimits
from agentic_core.resources.session import AgenticSession
from agentic_core.run_settings import RunSettings
from agentic_runner.checkpoints.factory import build_saver, checkpoint_version, open_store
from agentic_runner.checkpoints.state_types import StateTypes, read_allowed
from agentic_runner.config import RunConfig
from agentic_runner.execution.given import build_config, build_context, choose_limit, copy_context
from agentic_runner.output.redaction import describe
from agentic_runner.project.folders import find_import_folders
from agentic_runner.project.langgraph_json import Project, Target, find_target, read_project
from agentic_runner.project.loading import load_value, open_graph
from agentic_runner.running.task import Task
from agentic_runner.session.session_env import take_session_env
from agentic_store.database import Database
from agentic_store.schema_migrations.schema import SchemaState

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig

    from agentic_runner.checkpoints.batching_saver import BatchingSaver, OnSaved
    from agentic_runner.checkpoints.project_store import ProjectStore, Warn
    from agentic_runner.project.loading import Graph

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedProject:
    """An imported project and the graph that a session names; ``value`` may be a factory that was not called yet."""

    project: Project
    target: Target
    value: Any
    state_types: StateTypes


@dataclass(frozen=True)
class Persistence:
    """Where a graph saves: the thread's checkpointer and the project's long-term store."""

    saver: "BatchingSaver"
    store: "ProjectStore"


@dataclass(frozen=True)
class PreparedGraph:
    """An open graph and its run settings; ``place`` is the JSON pointer to the settings."""

    graph: "Graph"
    saver: "BatchingSaver"
    settings: RunSettings
    place: str
    config: RunConfig
    root: Path
    """The project's folder; file names are relative to it."""
    callbacks: Sequence[Any] = ()
    """What LangChain tells what happens while the graph runs."""

    def build_config(self, turn: str | None = None) -> "RunnableConfig":
        """Return LangGraph's config, a new copy at each call; with the label of a turn where there is one."""
        built = build_config(self.config.thread_id, self.config.run, self.settings, turn=turn, place=self.place)
        return {**built, "callbacks": list(self.callbacks)} if self.callbacks else built

    def build_thread_config(self) -> "RunnableConfig":
        """Return the config for reading or updating the thread outside of a run; it carries no turn's label."""
        return self.build_config()

    def build_context(self) -> dict[str, Any] | None:
        """Return LangGraph's context, a new copy at each call."""
        return build_context(self.graph.context_schema, self.settings, place=self.place)


async def load_project(config: RunConfig, session: AgenticSession, schema: SchemaState) -> LoadedProject:
    """Set the session's variables and import its graph.

    Raises ``SchemaMismatch`` where the library wants other tables than ``schema`` has, ``GraphLoadError``, and
    ``EnvRefused``.
    """
    wanted = replace(schema, checkpoint_program=checkpoint_version())
    if not wanted.is_current:
        raise SchemaMismatch(wanted.describe())
    project = read_project(config.project_file)
    target = find_target(project, config.graph)
    folders = find_import_folders(project.root, project.dependencies, project.settings)
    state_types = StateTypes(read_allowed(project.settings), folders, before=sys.modules)
    take_session_env(session)
    return LoadedProject(project, target, await load_value(project, target), state_types)


async def open_persistence(
    config: RunConfig,
    database: Database,
    loaded: LoadedProject,
    *,
    on_saved: "OnSaved",
    mask: Callable[[str], str],
    warn: "Warn",
) -> Persistence:
    """Return the saver and the store of this process; parameters as ``build_saver`` and ``open_store`` have them."""
    saver = build_saver(database, config.keyring, on_saved=on_saved, state_types=loaded.state_types, mask=mask)
    store = await open_store(database, config.namespace, config.keyring, loaded.project, warn)
    return Persistence(saver, store)


def open_for_run(
    loaded: LoadedProject, persistence: Persistence, config: RunConfig, task: Task
) -> AbstractAsyncContextManager["Graph"]:
    """Return the context in which the graph is open; a factory is called with the task's settings.

    Raises ``SettingsRefused`` at once, and ``GraphLoadError`` when it is entered.
    """
    return open_graph(
        loaded.value,
        loaded.target,
        build_config(config.thread_id, config.run, task.settings, place=task.place),
        checkpointer=persistence.saver,
        store=persistence.store,
        context=copy_context(task.settings),
    )


def prepare_graph(
    graph: "Graph",
    loaded: LoadedProject,
    persistence: Persistence,
    config: RunConfig,
    task: Task,
    limits: RunLimits | None,
    callbacks: Sequence[Any] = (),
) -> PreparedGraph:
    """Check the context against the graph and choose the recursion limit; raise ``SettingsRefused``."""
    loaded.state_types.note_loaded()
    log.info("graph loaded", extra={"graph": loaded.target.name, "target": str(loaded.target)})
    build_context(graph.context_schema, task.settings, place=task.place)
    limit = choose_limit(graph, task.settings, limits.recursion_limit if limits is not None else None)
    settings = replace(task.settings, recursion_limit=limit)
    return PreparedGraph(graph, persistence.saver, settings, task.place, config, loaded.project.root, tuple(callbacks))


async def use_graph(opening: AbstractAsyncContextManager["Graph"], use: Callable[["Graph"], Awaitable[T]]) -> T:
    """Open a graph, call ``use`` with it and close it; return or raise what ``use`` does.

    Exits of the author's factory change nothing about that: neither what they raise nor what they swallow.
    """
    done: list[T] = []
    failed: BaseException | None = None
    try:
        async with opening as graph:
            try:
                done.append(await use(graph))
            except BaseException as error:
                failed = error
                raise
    except Exception as error:
        if failed is None and not done:
            raise
        if error is not failed:
            log.warning("graph factory failed while closing: %s", describe(error), exc_info=error)
    if failed is not None:
        raise failed
    return done[0]
