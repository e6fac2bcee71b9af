"""Every way a run can end is told: what its graph raises, in which text and from where."""

import pytest

from tests.support.runner import RunnerBench

STATE = """
class State(TypedDict, total=False):
    x: int
    done: Annotated[list, operator.add]
"""
ONE_NODE = (
    STATE
    + """
def n(state):
    RAISE
graph = StateGraph(State).add_node(n).add_edge(START, "n").add_edge("n", END).compile()
"""
)


@pytest.mark.parametrize(
    ("statement", "kind", "said"),
    [
        (r'raise ValueError("half \ud800 \x00 \x1b[31mred" + "x" * 1_000_000)', "ValueError", "\ufffd redxxx"),
        (
            'raise ExceptionGroup("both", [KeyError("k"), ExceptionGroup("in", [OSError("disk")])])',
            "ExceptionGroup",
            "KeyError: 'k'; OSError: disk",
        ),
        ('raise type("Odd", (BaseException,), {})("odd")', "Odd", "Odd: odd ("),
        ('import asyncio; raise asyncio.CancelledError("mine")', "NodeCancelledError", "Node 'n' raised"),
        ('json = __import__("json"); json.loads("{")', "JSONDecodeError", ".py:"),
    ],
)  # fmt: skip
def test_whatever_a_node_raises_is_told_with_its_place(
    runners: RunnerBench, statement: str, kind: str, said: str
) -> None:
    session = runners.session(ONE_NODE.replace("RAISE", statement), {"x": 1})
    runner = session.start()
    assert runner.wait() == 3, runner.output
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "GraphError")
    assert status["error"]["type"] == kind
    assert said in status["error"]["message"]
    assert status["error"]["node"] == "n"
    assert len(status["error"]["message"]) <= 2048


FACTORY = (
    STATE
    + """
import contextlib
def n(state):
    BODY
@contextlib.asynccontextmanager
async def graph():
    EXIT
"""
)
WITH = 'yield StateGraph(State).add_node(n).add_edge(START, "n").add_edge("n", END)'
RAISES_AT_ITS_END = f"""
    try:
        {WITH}
    finally:
        raise OSError("the pool was closed twice")
"""
SWALLOWS = f"""
    with contextlib.suppress(Exception):
        {WITH}
"""


@pytest.mark.parametrize(
    ("body", "exits", "phase", "said"),
    [
        ("return {'x': 2}", RAISES_AT_ITS_END, "Completed", ""),
        ("raise ValueError('the real one')", RAISES_AT_ITS_END, "Failed", "the real one"),
        ("raise ValueError('the real one')", SWALLOWS, "Failed", "the real one"),
    ],
)
def test_the_end_of_a_factory_changes_nothing_about_how_the_run_ended(
    runners: RunnerBench, body: str, exits: str, phase: str, said: str
) -> None:
    code = FACTORY.replace("BODY", body).replace("    EXIT", exits)
    session = runners.session(code, {"x": 1})
    runner = session.start()
    assert runner.wait() == (0 if phase == "Completed" else 3), runner.output
    assert session.status["phase"] == phase
    assert said in (session.status.get("message") or "")


MANY = (
    STATE
    + """
def fan(state):
    return [Send("ask", {"x": n}) for n in range(300)]
def ask(state):
    return {"done": [interrupt(f"question {state['x']}?")]}
graph = (
    StateGraph(State).add_node(ask).add_conditional_edges(START, fan, ["ask"]).add_edge("ask", END).compile()
)
"""
)


def test_more_questions_than_a_status_lists_are_asked_once_the_first_are_answered(runners: RunnerBench) -> None:
    session = runners.session(MANY, {"x": 1})
    assert session.start().wait() == 0
    asked = session.status
    assert asked["phase"] == "WaitingForInput"
    assert len(asked["interrupts"]) == 256
    assert "waits for 300 answers" in asked["message"]
    assert "256 questions are listed" in asked["message"]
    session.answer(2, ask=True)
    assert session.start(run=2).wait() == 0
    rest = session.status
    assert len([each for each in rest["interrupts"] if "answeredAt" not in each]) == 44
    assert len(rest["interrupts"]) <= 256
