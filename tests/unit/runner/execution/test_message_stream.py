"""A stream of messages becomes messages, blocks and parts of texts; what is state stays out."""

import operator
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.messages.tool import tool_call_chunk
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages

from agentic_runner.execution.message_stream import MAX_TOOL_OUTPUT, MessageStream
from agentic_runner.execution.stream_events import StreamEvent
from agentic_runner.execution.tracking import MESSAGES, STREAM_MODES, Tracker

META = {"langgraph_checkpoint_ns": "say:task-1", "langgraph_node": "say"}
MARK = "state-marker-4711"


def see(*messages: Any) -> list[StreamEvent]:
    stream = MessageStream()
    return [event for message in messages for event in stream.see("say", message, META)]


def names(events: Sequence[StreamEvent]) -> list[str]:
    return [event.type for event in events]


def texts(events: Sequence[StreamEvent]) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for event in events:
        if event.block is not None and event.text is not None:
            found[event.block] = found.get(event.block, "") + event.text
    return found


def test_a_text_is_one_block_of_parts() -> None:
    events = see(
        AIMessageChunk(content="hel", id="m"),
        AIMessageChunk(content="lo", id="m"),
        AIMessageChunk(content="", id="m", usage_metadata={"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}),
        AIMessageChunk(content="", id="m", chunk_position="last"),
    )
    assert names(events) == [
        "message-start",
        "content-block-start",
        "content-block-delta",
        "content-block-delta",
        "content-block-finish",
        "message-finish",
    ]
    assert texts(events) == {("m", 0): "hello"}
    assert events[-1].data == {
        "message_id": "m",
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
    }


def test_reasoning_text_and_calls_of_tools_are_blocks_of_their_own() -> None:
    events = see(
        AIMessageChunk(content=[{"type": "thinking", "thinking": "hm", "index": 0}], id="m"),
        AIMessageChunk(content=[{"type": "thinking", "thinking": "m", "index": 0}], id="m"),
        AIMessageChunk(content=[{"type": "text", "text": "I look", "index": 1}], id="m"),
        AIMessageChunk(
            content="", id="m", tool_call_chunks=[tool_call_chunk(name="find", args='{"a"', id="c1", index=2)]
        ),
        AIMessageChunk(
            content="", id="m", tool_call_chunks=[tool_call_chunk(name=None, args=": 1}", id=None, index=2)]
        ),
        AIMessageChunk(
            content="", id="m", tool_call_chunks=[tool_call_chunk(name="find", args="{}", id="c2", index=3)]
        ),
        AIMessageChunk(content="", id="m", chunk_position="last"),
    )
    assert texts(events) == {("m", 0): "hmm", ("m", 1): "I look", ("m", 2): '{"a": 1}', ("m", 3): "{}"}
    starts = [event.data for event in events if event.type == "content-block-start"]
    assert [start["block"] for start in starts] == ["reasoning", "text", "tool_call", "tool_call"]
    assert [(start["name"], start["call"]) for start in starts[2:]] == [("find", "c1"), ("find", "c2")]
    assert names(events).count("content-block-finish") == 4
    assert names(events)[-1] == "message-finish"


def test_a_whole_message_is_told_like_one_that_came_in_parts() -> None:
    call = {"name": "find", "args": {"a": 1}, "id": "c1", "type": "tool_call"}
    events = see(AIMessage("done", id="m", tool_calls=[call]))
    assert names(events)[0] == "message-start"
    assert names(events)[-1] == "message-finish"
    assert texts(events) == {("m", 0): "done", ("m", 1): '{"a":1}'}


def test_messages_at_once_keep_their_parts_apart() -> None:
    events = see(
        AIMessageChunk(content="a", id="m"),
        AIMessageChunk(content="x", id="n"),
        AIMessageChunk(content="b", id="m"),
        AIMessage("!", id="o"),
    )
    assert texts(events) == {("m", 0): "ab", ("n", 0): "x", ("o", 0): "!"}


def test_what_a_task_was_saying_ends_with_it() -> None:
    stream = MessageStream()
    stream.see("say", AIMessageChunk(content="hal", id="m"), META)
    assert stream.end_task("another") == []
    assert names(stream.end_task("task-1")) == ["content-block-finish", "message-finish"]
    assert stream.end_task("task-1") == []


def test_a_tool_says_what_came_of_it_unless_that_is_large() -> None:
    (small,) = see(ToolMessage("42", tool_call_id="c1", name="find"))
    assert small.data == {"call": "c1", "name": "find", "status": "success", "node": "say", "output": "42"}
    (large,) = see(ToolMessage("x" * (MAX_TOOL_OUTPUT + 1), tool_call_id="c1", name="find", status="error"))
    assert large.data["size"] == MAX_TOOL_OUTPUT + 1
    assert (large.data["truncated"], large.data["status"]) == (True, "error")
    assert "output" not in large.data


def test_what_others_said_is_state() -> None:
    assert see(HumanMessage(MARK), SystemMessage(MARK)) == []


class State(TypedDict):
    messages: Annotated[list[Any], add_messages]
    notes: Annotated[list[str], operator.add]


async def test_of_a_graph_with_a_subgraph_every_token_is_told_and_no_state() -> None:
    model = GenericFakeChatModel(messages=iter([AIMessage("one two three"), AIMessage("four five")]))

    async def say(state: State) -> dict[str, Any]:
        get_stream_writer()({"progress": 0.5})
        said = await model.ainvoke([SystemMessage(MARK), *state["messages"]])
        return {"messages": [said, HumanMessage(MARK)], "notes": [MARK]}

    inner = StateGraph(State).add_node("inner", say).add_edge(START, "inner").add_edge("inner", END).compile()
    graph = StateGraph(State).add_node("first", say).add_node("sub", inner)
    graph = graph.add_edge(START, "first").add_edge("first", "sub").add_edge("sub", END)
    tracker = Tracker()
    events: list[StreamEvent] = []
    parts = graph.compile().astream(
        {"messages": [HumanMessage(MARK)], "notes": [MARK]},
        stream_mode=[*STREAM_MODES, MESSAGES],
        subgraphs=True,
    )
    async for namespace, mode, data in parts:
        events += tracker.see(tuple(namespace), mode, data)

    assert MARK in str(tracker.output)
    assert MARK not in str(events)
    assert list(texts(events).values()) == ["one two three", "four five"]
    said = [event for event in events if event.type == "message-start"]
    assert [event.data["node"] for event in said] == ["first", "sub/inner"]
    order = [event.type for event in events if event.type.startswith(("node", "message"))]
    # What a node says is between its beginning and its end, and one of each is told.
    assert order == [
        *("node_started", "message-start", "message-finish", "node_finished"),
        *("node_started", "node_started", "message-start", "message-finish", "node_finished", "node_finished"),
    ]
