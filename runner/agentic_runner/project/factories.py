"""What a graph factory is called with: the run's config, LangGraph's runtime, both or neither."""

import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from agentic_core.errors import GraphLoadError

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.store.base import BaseStore

Role = Literal["config", "runtime"]

# By it, LangGraph's server tells factories whether the graph will run or is only inspected.
IS_FOR_EXECUTION: Final = "__is_for_execution__"
_BY_NAME: Final[Mapping[str, Role]] = {"config": "config", "runtime": "runtime", "server_runtime": "runtime"}
_NAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class FactoryInput:
    """What there is to give a factory."""

    config: "RunnableConfig"
    store: "BaseStore | None" = None
    context: Any = None
    is_for_execution: bool = True


@dataclass(frozen=True)
class _Wish:
    role: Role
    annotation: Any


def build_arguments(factory: Callable[..., Any], given: FactoryInput, where: str) -> tuple[list[Any], dict[str, Any]]:
    """Return the positional and named arguments of a factory; raise :class:`GraphLoadError` for one that wants more.

    A parameter is known by its annotation, then by its name; a single other one that must be given takes the config.
    """
    try:
        signature = inspect.signature(factory)
    except (TypeError, ValueError):
        return [], {}
    parameters = [each for each in signature.parameters.values() if each.kind in _NAMED]
    wishes = _find_wishes(factory, parameters, where)
    values = {name: _build_value(wish, given) for name, wish in wishes.items()}
    positional = [values.pop(each.name) for each in parameters if each.name in values and each.kind is _NAMED[0]]
    return positional, values


def _find_wishes(factory: Callable[..., Any], parameters: list[inspect.Parameter], where: str) -> dict[str, _Wish]:
    hints = _resolve_hints(factory)
    wishes: dict[str, _Wish] = {}
    for parameter in parameters:
        annotation = hints.get(parameter.name, parameter.annotation)
        role = _role_of(annotation) or _BY_NAME.get(parameter.name)
        if role is not None:
            wishes[parameter.name] = _Wish(role, annotation)
    others = [each for each in parameters if each.name not in wishes and each.default is each.empty]
    if len(others) == 1 and not any(wish.role == "config" for wish in wishes.values()):
        wishes[others[0].name] = _Wish("config", others[0].annotation)
    elif others:
        names = ", ".join(each.name for each in parameters)
        raise GraphLoadError(
            f"{where} wants ({names}): it may take the run's config and LangGraph's runtime (annotated RunnableConfig"
            " and ServerRuntime) and no more"
        )
    return {each.name: wishes[each.name] for each in parameters if each.name in wishes}


def _resolve_hints(factory: Any) -> dict[str, Any]:
    """Return the annotations as values, also those that are texts or imported for type checkers only."""
    while isinstance(factory, functools.partial):
        factory = factory.func
    if inspect.isclass(factory):
        factory = factory.__init__
    elif not inspect.isroutine(factory):
        factory = type(factory).__call__
    from langchain_core.runnables import RunnableConfig
    from langgraph.runtime import Runtime
    from langgraph_sdk.runtime import ServerRuntime

    known = {"RunnableConfig": RunnableConfig, "Runtime": Runtime, "ServerRuntime": ServerRuntime}
    try:
        return typing.get_type_hints(inspect.unwrap(factory), localns=known)
    except Exception:  # noqa: BLE001  (any other annotation may be one that cannot be resolved)
        return {}


def _role_of(annotation: Any) -> Role | None:
    if isinstance(annotation, str):
        text = annotation.replace(" ", "")
        return "runtime" if "Runtime" in text else "config" if "RunnableConfig" in text else None
    if annotation in _runtime_types():
        return "runtime"
    origin = typing.get_origin(annotation)
    if origin is not None:
        parts = (origin, *typing.get_args(annotation)) if origin in _runtime_types() else typing.get_args(annotation)
        return next((role for part in parts if not isinstance(part, str) and (role := _role_of(part))), None)
    from langchain_core.runnables import RunnableConfig

    return "config" if annotation is RunnableConfig else None


@functools.cache
def _runtime_types() -> tuple[Any, ...]:
    from langgraph.runtime import Runtime
    from langgraph_sdk.runtime import ServerRuntime

    return Runtime, ServerRuntime, *(typing.get_origin(each) for each in typing.get_args(ServerRuntime.__value__))


def _build_value(wish: _Wish, given: FactoryInput) -> Any:
    if wish.role == "config":
        configurable = {**given.config.get("configurable", {}), IS_FOR_EXECUTION: given.is_for_execution}
        return {**given.config, "configurable": configurable}
    from langgraph.runtime import Runtime

    if Runtime in (wish.annotation, typing.get_origin(wish.annotation)):
        return Runtime(context=given.context, store=given.store)
    return _build_server_runtime(given)


def _build_server_runtime(given: FactoryInput) -> Any:
    """Return LangGraph's ``ServerRuntime``: for a run, or only to look at the graph (docs/private-seams.md)."""
    from langgraph_sdk.runtime import ServerRuntime

    execution, read = (typing.get_origin(each) or each for each in typing.get_args(ServerRuntime.__value__))
    if given.is_for_execution:
        return execution(access_context="threads.create_run", store=given.store, context=given.context)
    return read(access_context="assistants.read", store=given.store)
