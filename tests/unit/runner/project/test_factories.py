"""What graph factories of every signature are called with."""

# Factories as people annotate them.
# mypy: disable-error-code="type-arg, type-var, name-defined, arg-type"

import functools
from typing import Annotated, Any

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.runtime import Runtime
from langgraph.store.memory import InMemoryStore
from langgraph_sdk.runtime import ServerRuntime

from agentic_core.errors import GraphLoadError
from agentic_runner.project.factories import FactoryInput, build_arguments

STORE = InMemoryStore()
GIVEN = FactoryInput({"configurable": {"thread_id": "t"}}, STORE, {"model": "small"})


class _Maker:
    def __init__(self, config: RunnableConfig) -> None: ...

    def __call__(self, runtime: ServerRuntime) -> None: ...


def _nothing() -> None: ...
def _config(config: Any) -> None: ...
def _other_name(settings: Any) -> None: ...
def _runtime(runtime: ServerRuntime) -> None: ...
def _own_name(server: "ServerRuntime[dict[str, str]]") -> None: ...
def _annotated(server: Annotated[ServerRuntime, "why"]) -> None: ...
def _library(rt: Runtime[dict[str, str]]) -> None: ...
def _both(config: RunnableConfig, runtime: ServerRuntime) -> None: ...
def _other_way(runtime: ServerRuntime, cfg: Any) -> None: ...
def _named_only(*, runtime: Any, config: Any) -> None: ...
def _positional(config: Any, runtime: Any, /) -> None: ...
def _optional(config: RunnableConfig | None = None, runtime: ServerRuntime | None = None) -> None: ...
def _default(model: str = "small") -> None: ...
def _config_and_default(config: Any, deep: bool = False) -> None: ...
def _anything(*args: Any, **kwargs: Any) -> None: ...
def _unknown_annotation(config: "Nowhere", server: "ServerRuntime") -> None: ...  # noqa: F821


def _kinds(factory: Any) -> list[str]:
    positional, named = build_arguments(factory, GIVEN, "the factory")
    factory_values = [*((f"/{index}", value) for index, value in enumerate(positional)), *named.items()]
    kinds = {dict: "config", Runtime: "library"}
    return [f"{name}={kinds.get(type(value), 'runtime')}" for name, value in factory_values]


@pytest.mark.parametrize(
    ("factory", "given"),
    [
        (_nothing, []),
        (_config, ["config=config"]),
        (_other_name, ["settings=config"]),
        (_runtime, ["runtime=runtime"]),
        (_own_name, ["server=runtime"]),
        (_annotated, ["server=runtime"]),
        (_library, ["rt=library"]),
        (_both, ["config=config", "runtime=runtime"]),
        (_other_way, ["runtime=runtime", "cfg=config"]),
        (_named_only, ["runtime=runtime", "config=config"]),
        (_positional, ["/0=config", "/1=runtime"]),
        (_optional, ["config=config", "runtime=runtime"]),
        (_default, []),
        (_config_and_default, ["config=config"]),
        (_anything, []),
        (_unknown_annotation, ["config=config", "server=runtime"]),
        (_Maker, ["config=config"]),
        (_Maker(GIVEN.config), ["runtime=runtime"]),
        (functools.partial(_both, config=None), ["config=config", "runtime=runtime"]),
        (lambda config: config, ["config=config"]),
        (dict, []),
    ],
)
def test_a_factory_gets_what_its_parameters_say(factory: Any, given: list[str]) -> None:
    assert _kinds(factory) == given


def test_a_factory_that_wants_more_is_refused_with_its_parameters() -> None:
    def wants(config: Any, runtime: Any, model: Any) -> None: ...

    with pytest.raises(GraphLoadError, match=r"the factory wants \(config, runtime, model\)"):
        build_arguments(wants, GIVEN, "the factory")


def test_a_run_gives_context_and_store_and_an_inspection_says_what_it_is() -> None:
    _, run = build_arguments(_both, GIVEN, "")
    assert run["runtime"].execution_runtime.context == {"model": "small"}
    assert run["runtime"].store is STORE
    assert run["config"]["configurable"] == {"thread_id": "t", "__is_for_execution__": True}
    _, look = build_arguments(_both, FactoryInput(GIVEN.config, STORE, is_for_execution=False), "")
    assert look["runtime"].execution_runtime is None
    assert look["config"]["configurable"]["__is_for_execution__"] is False
