"""Loading a graph: a compiled one, a builder, or a factory of either, bound to our checkpointer and store.

LangGraph is imported inside the functions: whoever asks for a graph has imported it already or wants to now.
"""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from agentic_core.errors import GraphLoadError
from agentic_runner.project import Project, Target, confine
from agentic_runner.redaction import describe

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.pregel import Pregel
    from langgraph.store.base import BaseStore

    Graph: TypeAlias = Pregel[Any, Any, Any, Any]


def import_attribute(project: Project, target: Target) -> Any:
    """Import the target's module and return its attribute; raise :class:`GraphLoadError` with the author's line."""
    try:
        module = _import_path(project, target.path) if target.path else importlib.import_module(str(target.module))
    except GraphLoadError:
        raise
    except SystemExit as error:
        raise GraphLoadError(
            f"graph {target.name!r}: {target} calls sys.exit({error.code!r}) while it is imported:"
            f' guard it by `if __name__ == "__main__":`{_where(error, project.root)}'
        ) from error
    except Exception as error:
        raise GraphLoadError(
            f"graph {target.name!r}: importing {target.path or target.module} failed: {describe(error)}"
            f"{_where(error, project.root)}"
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
                f"graph {target.name!r}: {target.path or target.module} has no attribute {target.attribute!r};"
                f" graphs there: {graphs}"
            ) from None
    return value


def _import_path(project: Project, path: str) -> ModuleType:
    file = confine(project.root, path)
    name = ".".join(file.relative_to(project.root).with_suffix("").parts).replace("-", "_").replace(".", "__")
    if name in sys.modules:
        name = f"{name}__graph"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise GraphLoadError(f"{path!r} is no Python file: name one that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _where(error: BaseException, root: Path) -> str:
    """Return `` (file:line)`` of the last frame in the author's own files."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.is_absolute() and file.resolve().is_relative_to(root) and "site-packages" not in file.parts:
            return f" ({file.resolve().relative_to(root)}:{frame.lineno})"
    return ""


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
) -> AsyncIterator["Graph"]:
    """Make a compiled graph of ``value`` and bind our checkpointer and store to it.

    A factory takes nothing or the run's config, and may be sync, async, or a context manager that stays open for the
    length of the run. An author's own checkpointer or store is replaced: the session's thread is the only memory.
    """
    from langgraph.graph import StateGraph
    from langgraph.pregel import Pregel

    async with _made(value, target, config, (Pregel, StateGraph)) as made:
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
async def _made(value: Any, target: Target, config: "RunnableConfig", wanted: tuple[type, ...]) -> AsyncIterator[Any]:
    if not isinstance(value, wanted):
        value = await _call_factory(value, target, config)
    if isinstance(value, AbstractAsyncContextManager):
        async with value as inner:
            yield _checked(inner, target, wanted)
    elif isinstance(value, AbstractContextManager):
        with value as inner:
            yield _checked(inner, target, wanted)
    else:
        yield _checked(value, target, wanted)


def _checked(value: Any, target: Target, wanted: tuple[type, ...]) -> Any:
    if not isinstance(value, wanted):
        raise GraphLoadError(
            f"graph {target.name!r}: {target} is {type(value).__name__!r}: it must be a compiled graph, a StateGraph,"
            " or a function that returns one"
        )
    return value


async def _call_factory(factory: Any, target: Target, config: "RunnableConfig") -> Any:
    if not callable(factory):
        return factory
    try:
        value = factory(*_arguments(factory, target, config))
        return await value if inspect.isawaitable(value) else value
    except GraphLoadError:
        raise
    except Exception as error:
        raise GraphLoadError(f"graph {target.name!r}: the factory {target} failed: {describe(error)}") from error


def _arguments(factory: Callable[..., Any], target: Target, config: "RunnableConfig") -> tuple[Any, ...]:
    required = [
        parameter
        for parameter in inspect.signature(factory).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(required) > 1:
        names = ", ".join(parameter.name for parameter in required)
        raise GraphLoadError(
            f"graph {target.name!r}: the factory {target} wants ({names}): it may take the run's config and no more"
        )
    return (config,) if required else ()
