"""The schemas of config and context in an inspection's report, and what the graph itself would refuse."""

import dataclasses
from typing import Any, TypedDict

import pydantic
import pytest
from langgraph.graph import START, StateGraph

from agentic_core.input_rules import GRAPH_ACCEPTS
from agentic_core.run_settings import RunSettings
from agentic_runner.execution.given import SettingsRefused, build_config, build_context, read_defaults
from agentic_runner.inspection import build_report


class State(TypedDict, total=False):
    x: int


@dataclasses.dataclass
class Defaults:
    model: str = "small"
    options: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Wants:
    user: str
    model: str = "small"


class Model(pydantic.BaseModel):
    user: str
    model: str = "small"


class Closed(Model):
    model_config = pydantic.ConfigDict(extra="forbid")


@pydantic.dataclasses.dataclass
class Lenient:
    model: str = "small"


class Typed(TypedDict):
    user: str


@dataclasses.dataclass
class Odd:
    client: "NotImported" = None  # type: ignore[name-defined]  # noqa: F821


def graph_with(schema: Any) -> Any:
    return StateGraph(State, context_schema=schema).add_node("n", lambda _: {}).add_edge(START, "n").compile()


@pytest.mark.parametrize(
    ("schema", "required", "known"),
    [
        (Defaults, None, ["model", "options"]),
        (Wants, ["user"], ["user", "model"]),
        (Model, ["user"], None),
        (Closed, ["user"], ["user", "model"]),
        (Lenient, None, None),
        (Typed, None, None),
        (Odd, None, ["client"]),
    ],
)
def test_a_context_schema_says_what_the_graph_refuses(
    schema: Any, required: list[str] | None, known: list[str] | None
) -> None:
    report = build_report(graph_with(schema))
    accepted = report["contextSchema"][GRAPH_ACCEPTS]
    assert accepted.get("required") == required
    assert (list(accepted["properties"]) if accepted.get("additionalProperties") is False else None) == known
    assert report["configSchema"][GRAPH_ACCEPTS] == {}
    assert report["configSchema"]["properties"].keys() == report["contextSchema"]["properties"].keys()


def test_a_graph_without_a_context_has_no_schema_of_it() -> None:
    report = build_report(graph_with(None))
    assert report["contextSchema"] is None
    assert report["configSchema"] is None


@pytest.mark.parametrize(
    ("schema", "given", "expected"),
    [
        (Defaults, None, {}),
        (Defaults, {}, {}),
        (Wants, None, None),
        (Model, {"user": "ann", "extra": 1}, {"user": "ann", "extra": 1}),
        (Typed, None, None),
        (Typed, {"other": 1}, {"other": 1}),
        (None, None, None),
        (dict[str, int], None, None),
    ],
)
def test_a_context_is_given_where_the_schema_can_be_made_of_it(schema: Any, given: Any, expected: Any) -> None:
    assert build_context(schema, RunSettings(context=given)) == expected


@pytest.mark.parametrize("given", [{"model": "x"}, {"user": "ann", "mdel": "x"}])
def test_a_context_that_its_schema_refuses_is_told_with_its_place(given: dict[str, Any]) -> None:
    with pytest.raises(SettingsRefused, match="/spec/context: the graph's Wants refuses it"):
        build_context(Wants, RunSettings(context=given))


def test_a_config_is_a_copy_and_its_thread_is_the_sessions() -> None:
    settings = RunSettings({"a": {"b": 1}}, 5, ("t",), {"team": "red"})
    config = build_config("thread", 2, settings)
    assert config == {
        "configurable": {"a": {"b": 1}, "thread_id": "thread"},
        "metadata": {"team": "red", "agentic_run": 2},
        "tags": ["t"],
        "recursion_limit": 5,
    }
    config["configurable"]["a"]["b"] = 2
    assert settings.configurable == {"a": {"b": 1}}
    with pytest.raises(SettingsRefused, match="/spec/config/configurable/checkpoint_ns"):
        build_config("thread", 1, RunSettings({"checkpoint_ns": ""}))


def test_an_inspection_reads_what_the_definition_gives() -> None:
    assert read_defaults({}) == RunSettings()
    given = '{"config": {"configurable": {"a": "$(HOME)"}, "recursion_limit": 3}, "context": {"b": null}}'
    assert read_defaults({"GRAPH_DEFAULTS": given}) == RunSettings({"a": "$(HOME)"}, 3, context={"b": None})
