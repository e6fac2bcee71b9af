"""What a project's graph looks like and takes: found out when it is registered, not when somebody runs it."""

import asyncio
import importlib.metadata
import platform
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from agentic_core.contract import RUNNER_CONTRACT
from agentic_core.errors import GraphLoadError
from agentic_core.run_settings import RunSettings
from agentic_runner.config import project_file
from agentic_runner.execution.given import SettingsRefused, build_config, copy_context, read_defaults
from agentic_runner.output.redaction import describe
from agentic_runner.project.ignored import Ignored, find_ignored
from agentic_runner.project.langgraph_json import Project, find_target, read_project
from agentic_runner.project.loading import load_value, open_graph
from agentic_runner.project.memory import Memory, read_memory
from agentic_runner.project.modules import run_in_import_thread
from agentic_runner.project.schemas import (
    derive_config_schema,
    derive_context_schema,
    derive_input_schema,
    derive_output_schema,
)

if TYPE_CHECKING:
    from agentic_runner.project.loading import Graph


def inspect_project(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the report of the project's graph; raise :class:`GraphLoadError` if it cannot be loaded."""
    project = read_project(project_file(environ), environ)
    return asyncio.run(_inspect(project, environ.get("GRAPH", "").strip() or None, read_defaults(environ)))


async def _inspect(project: Project, wanted: str | None, given: RunSettings) -> dict[str, Any]:
    target = find_target(project, wanted)
    value = await load_value(project, target)
    # It may import embeddings of the project's own.
    settings = await run_in_import_thread(lambda: build_settings_report(project, read_memory(project.settings)))
    from langgraph.store.memory import InMemoryStore

    try:
        config = build_config("inspection", 0, given)
    except SettingsRefused as error:
        raise GraphLoadError(str(error)) from error
    opening = open_graph(
        value, target, config, store=InMemoryStore(), context=copy_context(given), is_for_execution=False
    )
    async with opening as graph:
        return {
            "runnerContract": RUNNER_CONTRACT,
            "graphs": sorted(project.graphs),
            "name": target.name,
            **settings,
            **build_report(graph),
        }


def build_settings_report(project: Project, memory: Memory) -> dict[str, Any]:
    """Return the project's settings for the operator: those without effect, and those that it carries out."""
    ignored = [*find_ignored(project.settings), *memory.ignored]
    index, ttl = memory.index, memory.checkpoint_ttl
    if index is not None:
        from agentic_runner.project.embedding import load_embeddings

        try:
            load_embeddings(project, index)
        except GraphLoadError as error:
            ignored.append(Ignored("/store/index/embed", f"{error}; until then nothing is searched by meaning"))
            index = None
    return {
        "ignored": [{"setting": each.setting, "message": each.message} for each in ignored],
        "vectorDims": None if index is None else index.dims,
        "checkpointTtl": None if ttl is None else {"strategy": ttl.strategy, "seconds": ttl.seconds},
    }


def build_report(graph: "Graph") -> dict[str, Any]:
    """Return nodes, edges, drawing and schemas of a compiled graph; what cannot be derived is None, with the reason."""
    notes: dict[str, str] = {}

    def derived(field: str, derive: Callable[[], Any]) -> Any:
        try:
            return derive()
        except Exception as error:  # noqa: BLE001  (an author's types may have no JSON schema; the graph runs)
            notes[field] = describe(error)
            return None

    drawn = derived("graph", graph.get_graph)
    return {
        "nodes": [] if drawn is None else list(drawn.nodes),
        "edges": []
        if drawn is None
        else [f"{edge.source} -> {edge.target}{' ?' if edge.conditional else ''}" for edge in drawn.edges],
        "mermaid": None if drawn is None else derived("mermaid", lambda: drawn.draw_mermaid()),
        "inputSchema": derived("inputSchema", lambda: derive_input_schema(graph)),
        "outputSchema": derived("outputSchema", lambda: derive_output_schema(graph)),
        "configSchema": derived("configSchema", lambda: derive_config_schema(graph)),
        "contextSchema": derived("contextSchema", lambda: derive_context_schema(graph)),
        "langgraphVersion": importlib.metadata.version("langgraph"),
        "pythonVersion": platform.python_version(),
        **({"notes": notes} if notes else {}),
    }
