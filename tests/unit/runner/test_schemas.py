"""Schemas of graphs whose state is a ``typing.TypedDict``, as most are."""

import operator
from typing import Annotated, Any, Literal, NotRequired, Optional, TypedDict

import pytest
from langchain_core.messages import AnyMessage
from langgraph.graph import START, StateGraph, add_messages
from pydantic import BaseModel, TypeAdapter

from agentic_runner.schemas import derive_input_schema, derive_output_schema, portable


class Part(TypedDict):
    name: str
    kind: Literal["a", "b"]


class Whole(TypedDict, total=False):
    """What it is made of."""

    parts: Annotated[list[Part], operator.add]
    best: Part | None
    other: Optional[Part]  # noqa: UP045
    by_name: dict[str, Part]
    note: NotRequired[str]
    messages: Annotated[list[AnyMessage], add_messages]


class Tree(TypedDict):
    left: "Tree"
    value: int


class Model(BaseModel):
    x: int = 3


def test_nested_dictionaries_keep_their_fields() -> None:
    schema = TypeAdapter(portable(Whole)).json_schema()
    assert schema["description"] == "What it is made of."
    assert set(schema["properties"]) == {"parts", "best", "other", "by_name", "note", "messages"}
    assert "required" not in schema
    part = schema["$defs"]["Part"]
    assert part["required"] == ["name", "kind"]
    assert part["properties"]["kind"]["enum"] == ["a", "b"]
    assert schema["properties"]["parts"]["items"] == {"$ref": "#/$defs/Part"}


def test_a_type_that_refers_to_itself_ends() -> None:
    schema = TypeAdapter(portable(Tree)).json_schema()
    assert schema["required"] == ["left", "value"]


@pytest.mark.parametrize("plain", [int, list[int], dict[str, Any], Literal["x"], Model, Any])
def test_other_types_are_left_alone(plain: Any) -> None:
    assert portable(plain) == plain


def _graph(state: Any, **schemas: Any) -> Any:
    return StateGraph(state, **schemas).add_node("n", lambda _: {}).add_edge(START, "n").compile()


def test_a_graph_s_schemas_are_those_it_declares() -> None:
    graph = _graph(Whole, input_schema=Part)
    assert set(derive_input_schema(graph)["properties"]) == {"name", "kind"}
    assert "parts" in derive_output_schema(graph)["properties"]
    assert derive_input_schema(_graph(Model))["properties"]["x"]["default"] == 3
