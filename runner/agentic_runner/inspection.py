"""What a project's graph looks like and takes: found out when it is registered, not when somebody runs it."""

import asyncio
import importlib.metadata
import json
import platform
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from agentic_core.contract import ExitCode
from agentic_core.errors import GraphLoadError
from agentic_runner.config import project_file
from agentic_runner.execute import build_config
from agentic_runner.graphs import import_attribute, open_graph
from agentic_runner.ignored import find_ignored
from agentic_runner.project import Project, enter_project, find_target, read_project
from agentic_runner.redaction import describe
from agentic_runner.schemas import derive_input_schema, derive_output_schema
from agentic_runner.termination import write_termination

if TYPE_CHECKING:
    from agentic_runner.graphs import Graph

BEGIN: Final = "-----BEGIN AGENTIC INSPECTION-----"
END: Final = "-----END AGENTIC INSPECTION-----"


def inspect_project(environ: Mapping[str, str]) -> int:
    """Print the report of the project's graph between two marker lines; on a fault say it briefly and return 4."""
    try:
        project = read_project(project_file(environ))
        report = asyncio.run(_inspect(project, environ.get("GRAPH", "").strip() or None))
    except GraphLoadError as error:
        sys.stderr.write(f"agentic-runner: {error}\n")
        write_termination(environ, str(error))
        return ExitCode.GRAPH_NOT_LOADED
    sys.stdout.write(f"\n{BEGIN}\n{json.dumps(report, ensure_ascii=False)}\n{END}\n")
    sys.stdout.flush()
    return ExitCode.DONE


async def _inspect(project: Project, wanted: str | None) -> dict[str, Any]:
    target = find_target(project, wanted)
    enter_project(project)
    value = import_attribute(project, target)
    async with open_graph(value, target, build_config("inspection", 0)) as graph:
        return {
            "graphs": sorted(project.graphs),
            "name": target.name,
            "ignored": [{"setting": each.setting, "message": each.message} for each in find_ignored(project.settings)],
            **build_report(graph),
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
        "edges": [] if drawn is None else [f"{edge.source} -> {edge.target}" for edge in drawn.edges],
        "mermaid": None if drawn is None else derived("mermaid", lambda: drawn.draw_mermaid()),
        "inputSchema": derived("inputSchema", lambda: derive_input_schema(graph)),
        "outputSchema": derived("outputSchema", lambda: derive_output_schema(graph)),
        "langgraphVersion": importlib.metadata.version("langgraph"),
        "pythonVersion": platform.python_version(),
        **({"notes": notes} if notes else {}),
    }
