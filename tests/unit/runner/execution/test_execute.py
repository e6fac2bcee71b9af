"""Graphs in this process on an in-memory saver: what a run sees, how it is drained, and how it waits."""

import asyncio
import operator
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import Send, interrupt

from agentic_runner.drain import Drain
from agentic_runner.execution.execute import (
    Drained,
    Finished,
    Outcome,
    Waits,
    build_input,
    build_tracker,
    execute,
    find_entry,
)
from agentic_runner.execution.given import build_config
from agentic_runner.execution.stream_events import StreamEvent
from agentic_runner.execution.thread_entry import EntryAction
from agentic_runner.execution.tracking import Tracker

CONFIG = build_config("t", 1)


class State(TypedDict, total=False):
    x: int
    done: Annotated[list[str], operator.add]


async def _execute(
    graph: Any, inputs: Any = None, responses: dict[str, Any] | None = None, *, drain: Drain | None = None
) -> tuple[Outcome, Tracker, list[StreamEvent]]:
    entry = await find_entry(graph, CONFIG, responses or {}, [])
    tracker, events = build_tracker(graph, lambda: datetime.now(UTC)), list[StreamEvent]()

    async def on_events(new: Sequence[StreamEvent]) -> None:
        events.extend(new)

    outcome = await execute(
        graph,
        CONFIG,
        build_input(entry, inputs),
        durability="sync",
        tracker=tracker,
        drain=drain or Drain(),
        grace_seconds=6,
        on_events=on_events,
    )
    return outcome, tracker, events


def _line(*nodes: Any, **compiled: Any) -> Any:
    builder = StateGraph(State)
    before = START
    for node in nodes:
        builder.add_node(node.__name__, node)
        builder.add_edge(before, node.__name__)
        before = node.__name__
    return builder.compile(InMemorySaver(), **compiled)


def one(state: State) -> State:
    get_stream_writer()({"progress": 0.25, "message": "a quarter"})
    get_stream_writer()("anything")
    return {"x": state["x"] + 1}


def two(state: State) -> State:
    return {"x": state["x"] * 10}


async def test_a_run_ends_with_the_graph_s_output_and_counts_its_steps() -> None:
    outcome, tracker, events = await _execute(_line(one, two), {"x": 1})
    assert outcome == Finished({"x": 20, "done": []})
    assert tracker.progress.steps == 2
    assert tracker.progress.checkpoint_id
    assert [(event.type, event.data.get("node")) for event in events] == [
        ("node_started", "one"), ("progress", "one"), ("custom", None), ("node_finished", "one"),
        ("node_started", "two"), ("node_finished", "two"),
    ]  # fmt: skip
    assert events[1].data == {"progress": 0.25, "message": "a quarter", "node": "one"}
    assert [event.is_droppable for event in events] == [False, True, False, False, False, False]


async def test_a_finished_thread_gives_its_output_again_and_runs_nothing() -> None:
    graph = _line(one, two)
    await _execute(graph, {"x": 1})
    assert (await find_entry(graph, CONFIG, {}, [])).action is EntryAction.REPORT
    outcome, _, events = await _execute(graph, {"x": 99})
    assert outcome == Finished({"x": 20, "done": []})
    assert events == []


async def test_only_the_output_schema_s_part_is_the_result() -> None:
    class Output(TypedDict):
        x: int

    builder = StateGraph(State, output_schema=Output).add_node("two", two).add_edge(START, "two")
    outcome, _, _ = await _execute(builder.compile(InMemorySaver()), {"x": 3, "done": ["in"]})
    assert outcome == Finished({"x": 30})


async def test_the_functional_api_runs_too() -> None:
    @task
    def double(value: int) -> int:
        return value * 2

    @entrypoint(InMemorySaver())
    async def flow(inputs: dict[str, int]) -> int:
        return await double(inputs["x"])

    outcome, tracker, _ = await _execute(flow, {"x": 21})
    assert outcome == Finished(42)
    assert tracker.progress.steps == 1


async def test_a_drain_ends_after_the_super_step_and_the_next_run_goes_on_behind_it() -> None:
    drain, ran = Drain(), list[str]()

    def first(state: State) -> State:
        ran.append("first")
        drain.request("test")
        return {"x": 1}

    def second(state: State) -> State:
        ran.append("second")
        return {"x": state["x"] + 1}

    graph = _line(first, second)
    outcome, _, _ = await _execute(graph, {}, drain=drain)
    assert outcome == Drained()
    assert ran == ["first"]
    outcome, _, _ = await _execute(graph)
    assert outcome == Finished({"x": 2, "done": []})
    assert ran == ["first", "second"]


async def test_a_drain_inside_a_subgraph_loses_none_of_its_steps() -> None:
    drain, ran = Drain(), list[str]()

    def inner_one(state: State) -> State:
        ran.append("one")
        drain.request("test")
        return {"x": 1}

    def inner_two(state: State) -> State:
        ran.append("two")
        return {"x": state["x"] + 1}

    inner = (
        StateGraph(State).add_node("one", inner_one).add_node("two", inner_two)
        .add_edge(START, "one").add_edge("one", "two").compile()
    )  # fmt: skip
    graph = StateGraph(State).add_node("inner", inner).add_edge(START, "inner").compile(InMemorySaver())
    outcome, _, events = await _execute(graph, {}, drain=drain)
    assert outcome == Drained()
    assert "inner/one" in [event.data["node"] for event in events]
    outcome, _, _ = await _execute(graph)
    assert outcome == Finished({"x": 2, "done": []})
    assert ran == ["one", "two"]


async def test_a_node_that_does_not_end_is_left_when_the_grace_is_over() -> None:
    drain, started = Drain(), asyncio.Event()

    async def endless(state: State) -> State:
        started.set()
        drain.request("test")
        await asyncio.Event().wait()
        return {}

    outcome, _, _ = await _execute(_line(endless), {}, drain=drain)
    assert started.is_set()
    assert outcome == Drained()


async def test_a_drain_before_the_first_step_runs_nothing() -> None:
    drain = Drain()
    drain.request("early")
    outcome, _, events = await _execute(_line(one), {"x": 1}, drain=drain)
    assert (outcome, events) == (Drained(), [])


async def test_two_questions_of_one_step_are_asked_and_answered_apart() -> None:
    ran = list[str]()

    class Asked(TypedDict):
        who: str

    def ask(state: Asked) -> State:
        answer = interrupt(f"{state['who']}?")
        ran.append(state["who"])
        return {"done": [f"{state['who']}={answer}"]}

    builder = StateGraph(State).add_node("ask", ask)
    builder.add_conditional_edges(START, lambda _: [Send("ask", {"who": who}) for who in ("ann", "bob")])
    graph = builder.compile(InMemorySaver())
    outcome, _, events = await _execute(graph, {})
    assert isinstance(outcome, Waits)
    ids = {question.value: question.id for question in outcome.questions}
    assert set(ids) == {"ann?", "bob?"}
    assert {event.data.get("interrupt") for event in events if event.type == "interrupt"} == set(ids.values())

    outcome, _, _ = await _execute(graph, None, {ids["bob?"]: "yes"})
    assert isinstance(outcome, Waits)
    assert [question.value for question in outcome.questions] == ["ann?"]
    outcome, _, _ = await _execute(graph, None, {ids["ann?"]: "no", ids["bob?"]: "ignored"})
    assert isinstance(outcome, Finished)
    assert sorted(outcome.output["done"]) == ["ann=no", "bob=yes"]
    assert sorted(ran) == ["ann", "bob"]


async def test_a_static_breakpoint_waits_and_any_answer_passes_it() -> None:
    graph = _line(one, two, interrupt_before=["two"])
    outcome, _, _ = await _execute(graph, {"x": 1})
    assert isinstance(outcome, Waits)
    (stop,) = outcome.questions
    assert stop.is_breakpoint
    assert stop.node == "two"
    assert (await find_entry(graph, CONFIG, {}, [])).action is EntryAction.WAIT
    outcome, _, _ = await _execute(graph, None, {stop.id: True})
    assert outcome == Finished({"x": 20, "done": []})


async def test_an_error_leaves_the_node_s_name_behind() -> None:
    def broken(state: State) -> State:
        raise ValueError("no")

    graph = _line(one, broken)
    tracker = build_tracker(graph, lambda: datetime.now(UTC))

    async def ignore(_: Sequence[StreamEvent]) -> None:
        return

    with pytest.raises(ValueError, match="no"):
        await execute(
            graph,
            CONFIG,
            {"x": 1},
            durability="sync",
            tracker=tracker,
            drain=Drain(),
            grace_seconds=6,
            on_events=ignore,
        )
    assert tracker.failure is not None
    assert tracker.failure[0] == "broken"
    assert tracker.progress.current_node == "broken"
