"""Turns on a real graph and an in-memory saver that dies between any two saves: each input is in the thread once."""

import asyncio
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from agentic_core.resources.turns import CurrentTurn
from agentic_runner.checkpoints.new_start import NewStart
from agentic_runner.execution.given import build_config
from agentic_runner.execution.thread_entry import read_thread
from agentic_runner.execution.turn_entry import Gift, Turn, TurnRefused
from agentic_runner.execution.turn_execution import entering, find_turn_entry, prepare_turn
from agentic_runner.running.task import build_turn_task
from tests.support.builders import a_session

THREAD = build_config("t", 1)


class Killed(BaseException):
    """The process is gone."""


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]
    mode: str


def first(_state: State) -> State:
    return {"log": ["first"]}


def second(state: State) -> State:
    if state.get("mode") == "fail":
        raise ValueError("this turn fails")
    if state.get("mode") == "ask":
        return {"log": [f"answer {interrupt('well?')}"]}
    return {"log": ["second"]}


class MortalSaver(NewStart, InMemorySaver):
    """Dies before or after the save with number ``dies_at``, and does nothing from then on."""

    dies_at = -1
    dies_before = False
    saves = 0
    is_dead = False

    async def aput(self, *args: Any, **kwargs: Any) -> Any:
        self._reach(is_before=True)
        saved = await super().aput(*args, **kwargs)
        self._reach(is_before=False)
        return saved

    async def aput_writes(self, *args: Any, **kwargs: Any) -> None:
        self._reach(is_before=True)
        await super().aput_writes(*args, **kwargs)
        self._reach(is_before=False)

    def _reach(self, *, is_before: bool) -> None:
        self.saves += is_before
        if self.saves == self.dies_at and is_before == self.dies_before:
            self.is_dead = True
        if self.is_dead:
            raise Killed

    def revive(self, dies_at: int = -1, *, dies_before: bool = False) -> None:
        self.dies_at, self.dies_before, self.saves, self.is_dead = dies_at, dies_before, 0, False


@dataclass
class Conversation:
    """A thread, its graph, and the ends of its turns."""

    saver: MortalSaver = field(default_factory=MortalSaver)
    durability: Any = "sync"

    def __post_init__(self) -> None:
        builder: Any = StateGraph(State)
        builder.add_node("first", first)
        builder.add_node("second", second)
        builder.add_edge(START, "first")
        builder.add_edge("first", "second")
        self.graph: Any = builder.compile(self.saver)

    async def live(self, turn: Turn, responses: dict[str, Any] | None = None) -> str:
        """Do what one process does with a turn; return how it ended: ended, asks, raised or killed."""
        try:
            entry = await find_turn_entry(self.graph, THREAD, turn, responses or {}, [])
            config = build_config("t", 1, turn=turn.label)
            given = await prepare_turn(self.graph, THREAD, config, turn, entry)
            with entering(self.saver, entry, "t"):
                await self.graph.ainvoke(given.value, given.config, durability=self.durability)
        except Killed:
            return "killed"
        except ValueError:
            # With "async", a node may raise before the loss of a save beside it is noticed.
            return "killed" if self.saver.is_dead else "raised"
        return "asks" if read_thread(await self.graph.aget_state(THREAD)).questions else "ended"

    async def live_on(self, turn: Turn, deaths: Sequence[tuple[int, bool]]) -> str:
        """Do the turn over the deaths of its processes, to its end."""
        for dies_at, dies_before in deaths:
            self.saver.revive(dies_at, dies_before=dies_before)
            if (end := await self.live(turn)) != "killed":
                return end
        self.saver.revive()
        return await self.live(turn)

    async def given_inputs(self) -> list[str]:
        """Return the inputs that the thread's newest state holds, in their order."""
        values = (await self.graph.aget_state(THREAD)).values
        return [each for each in values.get("log", []) if each.startswith("in ")]

    async def saved_inputs(self) -> tuple[list[str], list[str]]:
        """Return the inputs that the newest checkpoint holds: those in its state, and one that no node has seen yet.

        A process that died just after it saved what it was given leaves an input that the next one would take from
        there. LangGraph drops it with the next input, and goes on with it beside a command.
        """
        found = await self.saver.aget_tuple(THREAD)
        values = found.checkpoint["channel_values"] if found is not None else {}
        waiting = values.get("__start__") or {}
        return (
            [each for each in values.get("log", []) if each.startswith("in ")],
            [each for each in waiting.get("log", []) if each.startswith("in ")],
        )

    async def end(self) -> str:
        """Return the id of the newest checkpoint."""
        found: str = (await self.graph.aget_state(THREAD)).config["configurable"]["checkpoint_id"]
        return found


def _input(number: int, mode: str = "", **fields: Any) -> Turn:
    return Turn(number, Gift.INPUT, {"log": [f"in {number}"], "mode": mode}, **fields)


def _command(number: int, mode: str = "", **fields: Any) -> Turn:
    return Turn(number, Gift.COMMAND, goto=("second",), update={"log": [f"in {number}"], "mode": mode}, **fields)


@dataclass(frozen=True)
class Planned:
    """One turn of a made-up conversation."""

    kind: str
    mode: str
    deaths: tuple[tuple[int, bool], ...]
    branch: int
    """Which earlier end it branches from; -1 for the thread's own."""
    is_abandoned: bool


PLANS = st.builds(
    Planned,
    kind=st.sampled_from(["input", "input", "command", "nothing"]),
    mode=st.sampled_from(["", "", "fail", "ask"]),
    deaths=st.lists(st.tuples(st.integers(1, 7), st.booleans()), max_size=2).map(tuple),
    branch=st.integers(-3, 3),
    is_abandoned=st.booleans(),
)


@settings(max_examples=150, deadline=None)
@given(plans=st.lists(PLANS, min_size=1, max_size=5), durability=st.sampled_from(["sync", "async"]))
def test_an_input_is_in_the_thread_once_whenever_processes_die(plans: list[Planned], durability: str) -> None:
    asyncio.run(_converse(plans, durability))


async def _converse(plans: list[Planned], durability: str) -> None:
    talk = Conversation(durability=durability)
    # Checkpoints at which turns ended, with the inputs in their state and those that no node has seen.
    ends: list[tuple[str, list[str], list[str]]] = []
    saved: list[str] = []
    waiting: list[str] = []
    for number, plan in enumerate(plans, start=1):
        branch = ends[plan.branch % len(ends)] if ends and plan.branch >= 0 else None
        if plan.branch == -3 and plan.kind == "input":
            branch = ("", [], [])  # an empty thread
        place, before, left = (None, saved, waiting) if branch is None else branch
        match plan.kind:
            case "input":
                turn = _input(number, plan.mode, from_checkpoint=place)
            case "command" if ends:
                turn = _command(number, plan.mode, from_checkpoint=place)
            case _ if ends:
                turn = Turn(number, Gift.NOTHING, from_checkpoint=place)
            case _:
                turn = _input(number, plan.mode)
        given_now = [f"in {number}"] if turn.gift is not Gift.NOTHING else []
        # The next input takes the place of one that no node has seen.
        whole = [*before, *given_now, *(left if turn.gift is not Gift.INPUT else [])]
        if plan.is_abandoned and plan.deaths:
            talk.saver.revive(plan.deaths[0][0], dies_before=plan.deaths[0][1])
            end = await talk.live(turn)
            talk.saver.revive()
            line = await talk.given_inputs()
            is_unchanged = end == "killed" and line in _all(ends)
            assert is_unchanged or line in (before, [*before, *given_now], whole), (line, end)
        else:
            end = await talk.live_on(turn, plan.deaths)
            assert end != "killed"
            line = await talk.given_inputs()
            assert line == whole
            newest = read_thread(await talk.graph.aget_state(THREAD))
            if turn.gift is not Gift.NOTHING:
                assert newest.turn == turn.label
            # A process that comes later gives nothing again.
            again = await find_turn_entry(talk.graph, THREAD, turn, {}, [])
            if turn.gift is not Gift.NOTHING:
                assert again.gift is Gift.NOTHING
        assert len(set(line)) == len(line)
        state = await talk.graph.aget_state(THREAD)
        saved, waiting = await talk.saved_inputs()
        if state.metadata is not None:
            ends.append((state.config["configurable"]["checkpoint_id"], saved, waiting))


@pytest.mark.parametrize("made", [_input, _command])
async def test_a_turn_after_one_that_failed_goes_on_without_what_failed(made: Any) -> None:
    talk = Conversation()
    assert await talk.live(_input(1, "fail")) == "raised"
    assert await talk.live(made(2)) == "ended"
    assert await talk.given_inputs() == ["in 1", "in 2"]


async def test_a_question_of_a_turn_before_is_not_asked_any_more_once_an_input_is_given() -> None:
    talk = Conversation()
    assert await talk.live(_input(1, "ask")) == "asks"
    assert await talk.live(_input(2)) == "ended"
    assert await talk.given_inputs() == ["in 1", "in 2"]


async def test_an_answer_resumes_the_turn_that_asked() -> None:
    talk = Conversation()
    assert await talk.live(_input(1)) == "ended"
    assert await talk.live(_input(2, "ask")) == "asks"
    (question,) = read_thread(await talk.graph.aget_state(THREAD)).questions
    assert await talk.live(_input(2, "ask"), {question.id: "yes"}) == "ended"
    values = (await talk.graph.aget_state(THREAD)).values
    assert values["log"] == ["in 1", "first", "second", "in 2", "first", "answer yes"]


async def test_a_turn_without_input_goes_on_with_what_failed() -> None:
    talk = Conversation()
    await talk.live(_input(1, "fail"))
    await talk.live(Turn(2, Gift.COMMAND, update={"mode": ""}))
    assert (await talk.graph.aget_state(THREAD)).values["log"] == ["in 1", "first", "second"]


async def test_a_thread_begins_anew_beside_what_it_holds() -> None:
    talk = Conversation()
    await talk.live(_input(1))
    old = await talk.end()
    assert await talk.live(_input(2, from_checkpoint="")) == "ended"
    assert await talk.given_inputs() == ["in 2"]
    assert await talk.live(_input(3, from_checkpoint=old)) == "ended"
    assert await talk.given_inputs() == ["in 1", "in 3"]


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        pytest.param(Turn(2, Gift.NOTHING, place="/spec/turns/1"), "/spec/turns/1: the thread is empty", id="nothing"),
        pytest.param(_command(2), "the thread is empty, and a command is", id="a command"),
    ],
)
async def test_an_empty_thread_begins_with_an_input(turn: Turn, said: str) -> None:
    with pytest.raises(TurnRefused, match=said):
        await Conversation().live(turn)


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        pytest.param(Turn(2, Gift.COMMAND, goto=("third",)), "no node 'third'; it has first, second", id="a node"),
        pytest.param(Turn(2, Gift.COMMAND, goto=("__start__",)), "no node '__start__'", id="a node of LangGraph's"),
        pytest.param(
            Turn(2, Gift.COMMAND, update={"lag": 1}),
            "/command/update/lag: is no key of .* it has log, mode",
            id="a key",
        ),
        pytest.param(Turn(2, Gift.COMMAND, update={"branch:to:second": 1}), "is no key", id="a channel of LangGraph's"),
        pytest.param(_input(2, from_checkpoint="1f0"), "no checkpoint '1f0'", id="a checkpoint"),
        pytest.param(
            Turn(2, Gift.NOTHING, from_checkpoint=""), "an empty thread begins with an input", id="an empty thread"
        ),
    ],
)
async def test_what_the_thread_or_its_graph_does_not_have_is_refused(turn: Turn, said: str) -> None:
    talk = Conversation()
    await talk.live(_input(1))
    with pytest.raises(TurnRefused, match=said):
        await talk.live(turn)


def _all(ends: list[tuple[str, list[str], list[str]]]) -> list[list[str]]:
    return [[], *(line for _, saved, waiting in ends for line in (saved, [*saved, *waiting]))]


@pytest.mark.parametrize("dies_at", [-1, 0, 1])
async def test_a_rolled_back_first_turn_of_a_fork_leaves_what_was_forked(dies_at: int) -> None:
    talk = Conversation()
    # What a fork copies has no label.
    await talk.graph.ainvoke({"log": ["in 0"]}, THREAD, durability="sync")
    forked = await talk.end()
    talk.saver.revive(dies_at, dies_before=dies_at == 0)
    await talk.live(Turn(1, Gift.INPUT, {"log": ["in 1"]}))
    talk.saver.revive()
    again = Turn(2, Gift.INPUT, {"log": ["in 2"]}, from_checkpoint="")
    assert await talk.live_on(again, [(1, False)]) == "ended"
    assert await talk.given_inputs() == ["in 0", "in 2"]
    await talk.live(Turn(3, Gift.COMMAND, goto=("second",), from_checkpoint=""))
    assert await talk.given_inputs() == ["in 0"]
    assert forked in [
        each.config["configurable"]["checkpoint_id"] async for each in talk.graph.aget_state_history(THREAD)
    ]


async def test_a_turn_that_was_rolled_back_stays_so_where_the_one_that_did_it_never_began() -> None:
    talk = Conversation()
    await talk.live(Turn(1, Gift.INPUT, {"log": ["in 1"]}))
    await talk.live(Turn(2, Gift.INPUT, {"log": ["in 2"], "mode": "ask"}))
    # The third rolls it back and is refused, or cancelled before it saves anything.
    gone = frozenset({"2"})
    fourth = Turn(4, Gift.INPUT, {"log": ["in 4"], "mode": ""}, rolled_back=gone)
    assert await talk.live_on(fourth, [(0, True), (1, False), (2, False)]) == "ended"
    assert await talk.given_inputs() == ["in 1", "in 4"]
    await talk.live(Turn(5, Gift.INPUT, {"log": ["in 5"]}, rolled_back=gone))
    assert await talk.given_inputs() == ["in 1", "in 4", "in 5"]


async def test_a_first_turn_that_was_rolled_back_leaves_an_empty_thread() -> None:
    talk = Conversation()
    await talk.live(Turn(1, Gift.INPUT, {"log": ["in 1"], "mode": "ask"}))
    await talk.live(Turn(3, Gift.INPUT, {"log": ["in 3"], "mode": ""}, rolled_back=frozenset({"1"})))
    assert await talk.given_inputs() == ["in 3"]


def test_which_turns_were_rolled_back_is_read_from_the_records() -> None:
    # The turns that preempted them may be gone from the spec.
    turns = [{"name": "next", "preempt": "Interrupt"}, {"name": "on", "input": 1}]
    records = [
        {"name": "a", "number": 1, "phase": "Canceled", "preemptedBy": "edit", "rolledBack": True},
        {"name": "edit", "number": 2, "phase": "Failed"},
        {"name": "b", "number": 3, "phase": "Canceled", "preemptedBy": "next"},
        {"name": "c", "number": 4, "phase": "Completed"},
    ]
    session = a_session().with_spec(mode="Conversation", turns=turns).with_status(turns=records).build()
    found = build_turn_task(session, CurrentTurn(name="on", number=5)).turn
    assert found is not None
    assert found.rolled_back == {"1"}
