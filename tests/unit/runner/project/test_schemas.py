"""What is derived from a graph's types, beside what the graph itself takes."""

import json
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, Optional, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import FakeListChatModel
from langchain_core.messages import AnyMessage
from langgraph.errors import InvalidUpdateError
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph, add_messages
from langgraph.managed import IsLastStep, RemainingSteps
from pydantic import BaseModel, Field, TypeAdapter, ValidationError, create_model, model_validator

from agentic_core.input_rules import GRAPH_ACCEPTS
from agentic_core.schema.schema import check_instance, check_schema
from agentic_runner.project.schemas import derive_context_schema, derive_input_schema, derive_output_schema, portable


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


# -- what is derived describes; what the graph refuses is refused -----------------------------------------------------


class Report(TypedDict):
    threshold: int
    rows: Annotated[list[str], operator.add]
    left: RemainingSteps
    is_last: IsLastStep


class Settings(BaseModel):
    threshold: int
    name: str = "x"
    rows: Annotated[list[str], operator.add]


class Filled(BaseModel):
    threshold: int

    @model_validator(mode="before")
    @classmethod
    def fill(cls, given: Any) -> Any:
        return {"threshold": 1, **given}


@dataclass
class Parts:
    threshold: int
    name: str = "x"


class Odd:
    """A type that has no JSON schema."""


class Loose(TypedDict):
    odd: Odd
    call: Callable[[int], int]
    number: Annotated[int, Field(description="how many", ge=1)]


def a_pattern_of_python() -> type[BaseModel]:
    return create_model("Coded", __config__={"regex_engine": "python-re"}, code=(str, Field(pattern=r"^(?=x)x\Z")))


@entrypoint()
def a_function(given: dict[str, Any]) -> Any:
    return given


CHAT = {"messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("graph", "inputs"),
    [
        pytest.param(_graph(Report), given, id=f"typed dictionary, {json.dumps(given)}")
        for given in ({"threshold": 1}, {}, {"threshold": "text"}, {"other": 1}, [1], "x", 5, {"left": 3}, True)
    ]
    + [
        pytest.param(_graph(Settings), given, id=f"pydantic model, {json.dumps(given)}")
        for given in ({"threshold": 1}, {"threshold": "3"}, {}, {"name": "a"}, {"threshold": 1, "other": 2}, [1])
    ]
    + [
        pytest.param(_graph(Parts), given, id=f"dataclass, {json.dumps(given)}")
        for given in ({"threshold": 1}, {"threshold": "x"}, {}, {"name": "a"}, "x")
    ]
    + [
        pytest.param(_graph(Filled), {}, id="a model that fills itself in"),
        pytest.param(_graph(Report, input_schema=Settings), {}, id="a model as input alone"),
        pytest.param(_graph(a_pattern_of_python()), {"code": "x"}, id="a pattern of Python's own"),
        pytest.param(_graph(int), "text", id="a state of one value"),
        pytest.param(a_function, "text", id="a function"),
        pytest.param(_graph(MessagesState), CHAT, id="messages with roles"),
        pytest.param(_graph(MessagesState), {"messages": "hi"}, id="a message as text"),
        pytest.param(_graph(MessagesState), {"messages": [["user", "hi"]]}, id="a message as a pair"),
        pytest.param(_graph(MessagesState), {"messages": {"type": "human", "content": "hi"}}, id="a typed message"),
    ],
)
def test_refuses_exactly_what_the_graph_refuses(graph: Any, inputs: Any) -> None:
    schema = derive_input_schema(graph)
    refused = check_instance(schema[GRAPH_ACCEPTS], inputs)
    try:
        graph.invoke(inputs)
    except (InvalidUpdateError, TypeError, ValidationError):
        assert refused
    else:
        assert not refused


MESSAGES_AS_WRITTEN = [
    [{"role": "user", "content": "hi"}],
    [{"role": "assistant", "content": "", "tool_calls": [{"name": "f", "args": {}, "id": "1", "type": "tool_call"}]}],
    [{"role": "tool", "content": "4", "tool_call_id": "1"}],
    [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    [{"type": "human", "content": "hi"}, {"type": "ai", "content": "ho", "id": "7"}],
    [["user", "hi"], ["ai", "ho"]],
    ["hi"],
    "hi",
    {"role": "user", "content": "hi"},
    [],
]


@pytest.mark.parametrize("messages", MESSAGES_AS_WRITTEN, ids=json.dumps)
@pytest.mark.parametrize("state", [MessagesState, Whole], ids=["MessagesState", "a state of one's own"])
def test_messages_are_described_as_people_write_them(state: Any, messages: Any) -> None:
    graph = _graph(state)
    graph.invoke({"messages": messages})
    assert check_instance(derive_input_schema(graph), {"messages": messages}) == ()


def test_the_schema_of_messages_is_short_enough_to_read() -> None:
    schema = derive_input_schema(_graph(MessagesState))
    assert list(schema["$defs"]) == ["Message"]
    assert len(json.dumps(schema)) < 4_000
    assert check_schema(schema) == ()


def test_managed_values_and_outputs_are_no_inputs() -> None:
    assert list(derive_input_schema(_graph(Report))["properties"]) == ["threshold", "rows"]
    assert "required" not in derive_input_schema(_graph(Report))
    assert list(derive_output_schema(_graph(Report))["properties"]) == ["threshold", "rows"]


@pytest.mark.parametrize("state", [Settings, Parts])
def test_requires_what_the_first_node_s_state_cannot_be_made_without(state: Any) -> None:
    assert derive_input_schema(_graph(state))["required"] == ["threshold"]


def test_a_type_without_a_schema_is_any_value_and_the_others_keep_theirs() -> None:
    properties = derive_input_schema(_graph(Loose))["properties"]
    assert properties["odd"] == {"title": "Odd"}
    assert properties["call"] == {"title": "Call"}
    assert properties["number"]["description"] == "how many"
    assert properties["number"]["minimum"] == 1


class Guide(BaseModel):
    name: str
    kind: str


class Trip(BaseModel):
    zone: str
    nights: int = 1
    days: int
    guide: Guide | None = None


class Letter(BaseModel):
    model_config = {"json_schema_extra": {"x-order": ["b", "a"]}}
    a: str = ""
    b: str = ""


def test_fields_keep_the_order_in_which_they_were_declared_with_required_ones_first() -> None:
    assert derive_input_schema(_graph(Whole))["x-order"] == ["parts", "best", "other", "by_name", "note", "messages"]
    schema = derive_input_schema(_graph(Trip))
    assert schema["x-order"] == ["zone", "days", "nights", "guide"]
    assert schema["$defs"]["Guide"]["x-order"] == ["name", "kind"]
    assert check_schema(schema) == ()
    context = derive_context_schema(StateGraph(Whole, Trip).add_node("n", lambda _: {}).add_edge(START, "n").compile())
    assert context is not None
    assert context["x-order"] == schema["x-order"]


def test_an_order_that_the_author_wrote_stays_and_a_single_field_needs_none() -> None:
    assert derive_input_schema(_graph(Letter))["x-order"] == ["b", "a"]
    assert "x-order" not in derive_input_schema(_graph(Model))


class Branch(BaseModel):
    name: str
    parts: list["Branch"] = []


def test_a_state_that_refers_to_itself_shows_its_keys() -> None:
    schema = derive_input_schema(_graph(Branch))
    assert schema["properties"]["name"] == {"title": "Name", "type": "string"}
    assert schema["required"] == ["name"]
    assert "$ref" not in schema
    assert check_instance(schema, {"name": "a", "parts": [{"name": "b"}]}) == ()
    assert check_instance(schema, {"name": "a", "parts": [{"name": 1}]})


def test_an_agent_s_inputs_are_its_messages() -> None:
    agent = create_agent(FakeListChatModel(responses=["ho"]), [])
    for graph in (agent, agent.with_config({"tags": ["a"]})):
        schema = derive_input_schema(graph)
        assert check_instance(schema, CHAT) == ()
        assert list(schema["properties"]) == ["messages"]
