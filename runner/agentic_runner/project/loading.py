"""Loading a graph: a compiled one, a builder, or a factory of either, bound to our checkpointer and store.

LangGraph is imported inside the functions, because callers that need no graph must not import it.
"""

import importlib
import inspect
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from agentic_core.errors import GraphLoadError
from agentic_runner.output.redaction import describe
from agentic_runner.project.factories import FactoryInput, build_arguments
from agentic_runner.project.ignored import is_javascript
from agentic_runner.project.langgraph_json import Project, Target, confine, enter_project, locate
from agentic_runner.project.modules import import_file, run_in_import_thread
from agentic_runner.project.mounted import refuse_mounted
from agentic_runner.project.source_location import find_source

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.pregel import Pregel
    from langgraph.store.base import BaseStore

    Graph: TypeAlias = Pregel[Any, Any, Any, Any]


async def load_value(project: Project, target: Target) -> Any:
    """Enter the project and import the target's attribute, in the thread for the author's imports."""

    def load() -> Any:
        # Several distributions share this package: a module of that name on a later folder would take its place.
        importlib.import_module("langgraph.graph")
        enter_project(project)
        return import_attribute(project, target)

    return await run_in_import_thread(load)


def import_attribute(project: Project, target: Target) -> Any:
    """Import the target's module and return its attribute; raise :class:`GraphLoadError` with the author's line."""
    if target.path and is_javascript(target.path):
        raise GraphLoadError(f"graph {target.name!r}: {target} is written in JavaScript: only graphs in Python are run")
    try:
        module = _import_module(project, target)
    except GraphLoadError:
        raise
    except SystemExit as error:
        raise GraphLoadError(
            f"graph {target.name!r}: {target} calls sys.exit({error.code!r}) while it is imported:"
            f' guard it by `if __name__ == "__main__":`{_name_place(error, project.root)}'
        ) from error
    except BaseException as error:
        raise GraphLoadError(
            f"graph {target.name!r}: importing {target.path or target.module} failed: {describe(error)}"
            f"{_name_place(error, project.root)}{_hint(error, project.root)}"
        ) from error
    if not target.attribute:
        return _only_graph(module, target)
    value: Any = module
    for part in target.attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            graphs = ", ".join(_graphs_in(module)) or "none"
            raise GraphLoadError(
                f"graph {target.name!r}: {target.path or target.module} ({getattr(module, '__file__', 'built in')})"
                f" has no attribute {target.attribute!r}; graphs there: {graphs}"
            ) from None
    return value


def _import_module(project: Project, target: Target) -> ModuleType:
    if target.path is None:
        return importlib.import_module(str(target.module))
    find = locate if target.is_authors else confine
    file = find(project.root, target.path)
    refuse_mounted(file, f"graph {target.name!r}")
    return import_file(file, project.root)


def _hint(error: BaseException, root: Path) -> str:
    """Return a remedy for a module that is missing though the project has one of that name."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if not name:
        return ""
    found = next((each for each in (root / name, root / "src" / name) if each.is_dir()), None)
    if found is not None:
        return f': add "./{found.parent.relative_to(root)}" to "dependencies" of langgraph.json'
    return f": install what provides {name!r} in the image"


def _name_place(error: BaseException, root: Path) -> str:
    """Return `` (file:line)`` of the last frame in the author's own files; empty if there is none."""
    found = find_source(error, root)
    return f" ({found})" if found else ""


def _graphs_in(module: ModuleType) -> dict[str, Any]:
    from langgraph.graph import StateGraph
    from langgraph.pregel import Pregel

    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, Pregel | StateGraph) and not name.startswith("_")
    }


def _only_graph(module: ModuleType, target: Target) -> Any:
    graphs = _graphs_in(module)
    from langgraph.pregel import Pregel

    compiled = {name: value for name, value in graphs.items() if isinstance(value, Pregel)}
    if len(compiled) == 1:
        # Its builder stands beside it.
        return next(iter(compiled.values()))
    if len(graphs) != 1:
        found = ", ".join(graphs) or "none"
        raise GraphLoadError(f"graph {target.name!r}: {target} holds {len(graphs)} graphs ({found}): add ':attribute'")
    return next(iter(graphs.values()))


@asynccontextmanager
async def open_graph(
    value: Any,
    target: Target,
    config: "RunnableConfig",
    *,
    checkpointer: "BaseCheckpointSaver[Any] | None" = None,
    store: "BaseStore | None" = None,
    context: Any = None,
    is_for_execution: bool = True,
) -> AsyncIterator["Graph"]:
    """Make a compiled graph of ``value`` and bind our checkpointer and store to it.

    A factory takes the run's config, LangGraph's runtime, both or neither (``factories``), and may be sync, async, a
    generator, or a context manager that stays open for the length of the run. An author's own checkpointer or store is
    replaced: the session's thread is the only memory.
    """
    from langgraph.graph import StateGraph
    from langgraph.pregel import Pregel

    given = FactoryInput(config, store, context, is_for_execution)
    async with _made(value, target, given, (Pregel, StateGraph)) as made:
        try:
            graph = made.compile() if isinstance(made, StateGraph) else made
        except Exception as error:
            raise GraphLoadError(f"graph {target.name!r}: {target} does not compile: {describe(error)}") from error
        # Set in place: `graph.copy()` would lose the types that strict deserialization may restore.
        if checkpointer is not None:
            graph.checkpointer = checkpointer
        if store is not None:
            graph.store = store
        yield graph


@asynccontextmanager
async def _made(value: Any, target: Target, given: FactoryInput, wanted: tuple[type, ...]) -> AsyncIterator[Any]:
    if not isinstance(value, wanted):
        value = await _call_factory(value, target, given)
    async with AsyncExitStack() as stack:
        yield _checked(await _enter(value, target, stack), target, wanted)


async def _enter(value: Any, target: Target, stack: AsyncExitStack) -> Any:
    """Return the value of a context manager or a generator; it is closed when the run ends."""
    if inspect.isasyncgen(value):
        generated = value
        value = asynccontextmanager(lambda: generated)()
    elif inspect.isgenerator(value):
        yielded = value
        value = contextmanager(lambda: yielded)()
    try:
        if isinstance(value, AbstractAsyncContextManager):
            return await stack.enter_async_context(value)
        if isinstance(value, AbstractContextManager):
            return stack.enter_context(value)
    except Exception as error:
        raise _failed(target, error) from error
    return value


def _checked(value: Any, target: Target, wanted: tuple[type, ...]) -> Any:
    if not isinstance(value, wanted):
        raise GraphLoadError(
            f"graph {target.name!r}: {target} is {type(value).__name__!r}: it must be a compiled graph, a StateGraph,"
            " or a function that returns one"
        )
    return value


async def _call_factory(factory: Any, target: Target, given: FactoryInput) -> Any:
    if not callable(factory):
        return factory
    try:
        positional, named = build_arguments(factory, given, f"graph {target.name!r}: the factory {target}")
        value = factory(*positional, **named)
        return await value if inspect.isawaitable(value) else value
    except GraphLoadError:
        raise
    except (Exception, SystemExit) as error:
        raise _failed(target, error) from error


def _failed(target: Target, error: BaseException) -> GraphLoadError:
    place = _name_place(error, Path.cwd())
    return GraphLoadError(f"graph {target.name!r}: the factory {target} failed: {describe(error)}{place}")
