"""The approval chain: two questions side by side, then a third."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agentic_core.questions import read_question
from agentic_core.schema.schema import check_instance
from tests.support.examples import load_example, read_manifest

CONFIG: Any = {"configurable": {"thread_id": "1"}}


@pytest.fixture
async def graph() -> AsyncIterator[Any]:
    with load_example("approval-chain") as module:
        yield module.builder.compile(checkpointer=InMemorySaver())


async def questions(graph: Any) -> dict[str, str]:
    """Return the open questions: id by the first word of the prompt."""
    state = await graph.aget_state(CONFIG)
    return {read_question(each.value).prompt.partition(":")[0]: each.id for each in state.interrupts}


async def test_asks_two_then_a_third_and_buys(graph: Any) -> None:
    await graph.ainvoke({"item": "a desk", "amount": 10}, CONFIG, durability="sync")
    openly = await questions(graph)
    assert set(openly) == {"Budget", "Security"}
    await graph.ainvoke(Command(resume={openly["Security"]: {"approved": True}}), CONFIG, durability="sync")
    assert set(await questions(graph)) == {"Budget"}
    await graph.ainvoke(Command(resume={openly["Budget"]: {"approved": True, "reason": "ok"}}), CONFIG)
    openly = await questions(graph)
    assert set(openly) == {"Director"}
    result = await graph.ainvoke(Command(resume={openly["Director"]: {"approved": True}}), CONFIG)
    assert result["order"] == {"request": "a desk for 10.00", "placed": True}
    assert {each["by"] for each in result["verdicts"]} == {"budget", "security", "director"}


async def test_one_no_is_enough(graph: Any) -> None:
    await graph.ainvoke({}, CONFIG)
    answers = {id_: {"approved": name == "Budget"} for name, id_ in (await questions(graph)).items()}
    result = await graph.ainvoke(Command(resume=answers), CONFIG)
    assert result["order"]["placed"] is False
    assert not await questions(graph)


async def test_every_option_and_the_default_of_the_deadline_fit_the_schema(graph: Any) -> None:
    await graph.ainvoke({}, CONFIG)
    question = read_question((await graph.aget_state(CONFIG)).interrupts[0].value)
    default = read_manifest("approval-chain", "session.yaml")["spec"]["inputDeadline"]["value"]
    assert default in read_manifest("approval-chain", "definition.yaml")["spec"]["deadlineAnswers"]["values"]
    for answer in (*(option.value for option in question.options), default):
        assert check_instance(question.schema, answer) == ()
    assert check_instance(question.schema, {"approved": "yes"})
