"""The agent to talk to, by LangGraph alone: several turns on one thread, as a conversation gives them."""

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, strategies
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command

from agentic_core.questions import read_question
from agentic_core.schema.schema import check_instance
from tests.support.examples import load_example, read_manifest
from tests.support.openai_stub import KEY, serve_openai_stub

APPROVE = {"decision": "approve"}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "MODEL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.fixture
def example() -> Iterator[ModuleType]:
    with load_example("chat") as module:
        yield module


class Conversation:
    """Turns on one thread, and the store that all threads share."""

    def __init__(self, example: ModuleType, store: InMemoryStore | None = None, user: str = "ann") -> None:
        self.store = store or InMemoryStore()
        self.graph = example.builder.compile(checkpointer=InMemorySaver(), store=self.store)
        self.config: Any = {"configurable": {"thread_id": "1"}}
        self.context: Any = {"user": user}

    async def say(self, text: str) -> str | None:
        """Give a turn; return its answer, None where it asks a person."""
        given = {"messages": [{"role": "user", "content": text}]}
        schema = read_manifest("chat", "definition.yaml")["spec"]["inputSchema"]
        assert check_instance(schema, given) == ()
        return await self._run(given)

    async def respond(self, *decisions: str) -> str | None:
        """Answer the open questions, in their order."""
        answers = {asked.id: {"decision": word} for asked, word in zip(await self.questions(), decisions, strict=True)}
        return await self._run(Command(resume=answers))

    async def questions(self) -> list[Any]:
        return list((await self.graph.aget_state(self.config)).interrupts)

    async def messages(self) -> list[AnyMessage]:
        messages: list[AnyMessage] = (await self.graph.aget_state(self.config)).values["messages"]
        return messages

    async def _run(self, given: Any) -> str | None:
        found = await self.graph.ainvoke(given, self.config, context=self.context, durability="sync")
        return None if await self.questions() else found["answer"]


async def test_a_later_turn_knows_what_was_said_and_a_later_conversation_what_was_remembered(
    example: ModuleType,
) -> None:
    talk = Conversation(example)
    assert await talk.say("Remember that I like green tea.") == "I will remember: I like green tea."
    assert await talk.say("What did I say before?") == 'You said: "Remember that I like green tea."'
    assert await talk.say("What do you know about me?") == "I know about you: I like green tea."
    later = Conversation(example, talk.store)
    assert await later.say("What did I say before?") == "This is the first thing that you say to me."
    assert await later.say("what do you know about me?") == "I know about you: I like green tea."
    assert await Conversation(example, talk.store, "bob").say("what do you know about me?") == (
        "I know nothing about you yet."
    )


async def test_an_order_is_placed_once_a_person_approves_it(example: ModuleType) -> None:
    talk = Conversation(example)
    assert await talk.say("How much is a lamp?") == "A lamp costs 39.00."
    assert await talk.say("Please order 2 lamps.") is None
    (asked,) = await talk.questions()
    question = read_question(asked.value)
    assert (question.prompt, asked.value["approval"]) == ("Order 2 x lamp for 78.00?", {"notCreator": True})
    assert [each.label for each in question.options] == ["approve", "reject"]
    assert question.options[0].value == APPROVE
    assert check_instance(question.schema, APPROVE) == ()
    assert check_instance(question.schema, {"decision": "perhaps"}) != ()
    assert not await talk.store.asearch(("orders", "ann"))
    assert await talk.respond("approve") == "Ordered 2 x lamp for 78.00."
    assert [item.value for item in await talk.store.asearch(("orders", "ann"))] == [{"order": "2 x lamp for 78.00"}]
    assert await talk.say("what do you know about me?") == "I know about you: you ordered 2 x lamp for 78.00."


async def test_two_orders_of_one_turn_ask_two_questions_and_each_takes_its_own_answer(example: ModuleType) -> None:
    talk = Conversation(example)
    assert await talk.say("order 2 lamps and 10 pens") is None
    prompts = [read_question(asked.value).prompt for asked in await talk.questions()]
    assert prompts == ["Order 2 x lamp for 78.00?", "Order 10 x pen for 12.00?"]
    assert await talk.respond("reject", "approve") == (
        "The order of 2 x lamp for 78.00 was rejected. Ordered 10 x pen for 12.00."
    )


async def test_what_cannot_be_ordered_asks_nobody(example: ModuleType) -> None:
    assert await Conversation(example).say("order 1 elephant") == (
        "I cannot order 1 x elephant; there are lamp, notebook, pen."
    )


async def test_a_question_that_was_left_open_hinders_no_later_turn(example: ModuleType) -> None:
    talk = Conversation(example)
    assert await talk.say("order 2 lamps") is None
    assert await talk.say("how much is a pen?") == "A pen costs 1.20."
    assert not await talk.store.asearch(("orders", "ann"))
    closed = example.close_calls(await talk.messages())
    calls = [call["id"] for each in closed if isinstance(each, AIMessage) for call in each.tool_calls]
    assert [each.tool_call_id for each in closed if isinstance(each, ToolMessage)] == calls


async def test_it_streams_its_answer_word_by_word(example: ModuleType) -> None:
    talk = Conversation(example)
    words = [
        message.text
        async for message, _ in talk.graph.astream(
            {"messages": [HumanMessage("Hello")]}, talk.config, context=talk.context, stream_mode="messages"
        )
        if message.type == "AIMessageChunk"
    ]
    assert "".join(words) == f"Hello! {import_module('assistant.scripted').HELP}"
    assert len(words) > 20


async def test_a_thread_keeps_its_last_messages_and_begins_with_a_persons(example: ModuleType) -> None:
    talk = Conversation(example)
    for number in range(example.KEPT // 2):
        await talk.say("how much is a pen?" if number % 3 else f"remember that {number} is a number")
        messages = await talk.messages()
        assert len(messages) <= example.KEPT
        assert messages[0].type == "human"
    assert "how much is a pen?" in (await talk.messages())[-4].text


def test_what_is_forgotten_is_a_beginning_and_what_is_kept_begins_with_a_person(example: ModuleType) -> None:
    makers: dict[str, Any] = {
        "human": HumanMessage,
        "ai": AIMessage,
        "tool": lambda text: ToolMessage(text, tool_call_id="1"),
    }

    @given(strategies.lists(strategies.sampled_from(sorted(makers)), max_size=3 * example.KEPT))
    def check(kinds: list[str]) -> None:
        messages = [makers[kind](str(number)) for number, kind in enumerate(kinds)]
        forgotten = example.choose_forgotten(messages)
        kept = messages[len(forgotten) :]
        assert list(forgotten) == messages[: len(forgotten)]
        if len(messages) <= example.KEPT:
            assert not forgotten
        if forgotten:
            assert kept[0].type == "human"
        if "human" in kinds[-example.KEPT :]:
            assert len(kept) <= example.KEPT

    check()


async def test_an_endpoint_that_a_secret_names_is_asked_instead(environment: pytest.MonkeyPatch) -> None:
    with serve_openai_stub() as stub:
        environment.setenv("OPENAI_BASE_URL", stub.url)
        environment.setenv("OPENAI_API_KEY", KEY)
        environment.setenv("MODEL", "my-model")
        with load_example("chat") as module:
            given = [HumanMessage("1?"), AIMessage("", tool_calls=[{"name": "recall", "args": {}, "id": "1"}])]
            await module.ask_model({"messages": [*given, HumanMessage("2?")]})
            await module.model.bound.root_async_client.close()
        (request,) = stub.requests
    assert request["model"] == "my-model"
    assert [each["role"] for each in request["messages"]] == ["system", "user", "assistant", "tool", "user"]
    assert {each["function"]["name"] for each in request["tools"]} == {
        "look_up_price",
        "place_order",
        "remember",
        "recall",
    }
    assert "runtime" not in str(request["tools"])
