"""Types and values of a state, in runs of the real runner: across an answer, and across a pod that is killed."""

import base64
import signal
from pathlib import Path

import pytest

from tests.support.runner import RunnerBench

TYPES = """
import dataclasses, enum
from typing import NamedTuple
from pydantic import BaseModel
from langchain_core.messages import AIMessage, HumanMessage

class Colour(enum.Enum):
    RED = "red"

class Mode(str, enum.Enum):
    FAST = "fast"

class Point(NamedTuple):
    x: int

@dataclasses.dataclass
class Note:
    text: str
    points: list = dataclasses.field(default_factory=list)

class Report(BaseModel):
    class Line(BaseModel):
        text: str
    lines: list[Line] = []

VALUES = {
    "objects": [Report(lines=[Report.Line(text="a")]), Report.Line(text="b"), Note("n", [Point(1)]), Colour.RED,
                HumanMessage("hi", id="m"), {"deep": [Point(2)]}],
    "zero": "a\\0b", "half": "\\ud83d", "inside": [{"\\0": "\\udc00", "n": float("nan")}],
    "nan": float("nan"), "infinite": float("-inf"), "negative": -0.0, "large": 1e22, "wide": 2**80, "mode": Mode.FAST,
}
"""

# Every channel says Any, and `with_config` copies the graph: LangGraph's own list of types knows none of these.
STATE = (
    TYPES
    + """
class State(TypedDict, total=False):
    objects: Any; zero: Any; half: Any; inside: Any; nan: Any; infinite: Any; negative: Any; large: Any; wide: Any
    mode: Any; sent: Annotated[list, operator.add]; verdict: str

def make(state):
    return VALUES

def part(note):
    return {"sent": [note]}

def ask(state):
    interrupt("go on?")

def check(state):
    hold("check")
    wrong = [key for key, value in VALUES.items() if repr(state[key]) != repr(value)]
    sent = sorted(repr(each) for each in state["sent"])
    return {"verdict": repr((wrong, sent))}

graph = (
    StateGraph(State, output_schema=TypedDict("Out", {"verdict": str}))
    .add_node(make).add_node(part).add_node(ask).add_node(check).add_edge(START, "make")
    .add_conditional_edges("make", lambda _: [Send("part", Note("s", [Point(n)])) for n in range(2)], ["part"])
    .add_edge("part", "ask").add_edge("ask", "check").add_edge("check", END).compile().with_config({"tags": ["copied"]})
)
"""
)

# Results of tasks, and what an entrypoint keeps.
TASKS = (
    TYPES
    + """
from langgraph.func import entrypoint, task

@task
def make():
    note("make")
    return VALUES

@entrypoint()
def graph(inputs):
    made = make().result()
    interrupt("go on?")
    wrong = [key for key, value in VALUES.items() if repr(made[key]) != repr(value)]
    return {"verdict": repr((wrong, []))}
"""
)

AGENT = (
    TYPES
    + """
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, AgentState
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel

class Extended(AgentState):
    kept: Any

class Keep(AgentMiddleware):
    state_schema = Extended

    def before_agent(self, state, runtime):
        return {"kept": VALUES}

    def after_model(self, state, runtime):
        if "checked" not in state["kept"]:
            interrupt("go on?")
        wrong = [key for key, value in VALUES.items() if repr(state["kept"][key]) != repr(value)]
        return {"messages": [AIMessage(repr((wrong, [])))]}

class Model(GenericFakeChatModel):
    def bind_tools(self, tools, **kwargs):
        return self

graph = create_agent(Model(messages=iter([AIMessage("one")])), [], middleware=[Keep()])
"""
)


@pytest.fixture(params=["plain", "encrypted"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    if request.param == "plain":
        return {}
    file = tmp_path / "keys"
    file.write_text(base64.b64encode(bytes(32)).decode())
    return {"ENCRYPTION_KEYS_FILE": str(file)}


def test_channels_of_any_keep_types_and_values_over_an_answer_and_a_kill(
    runners: RunnerBench, environment: dict[str, str]
) -> None:
    session = runners.session(STATE, {})
    session.environment |= environment
    assert session.run() == 0
    session.answer(run=2, ask="yes")
    killed = session.start(2)
    session.wait_until_reached("check")
    killed.signal(signal.SIGKILL)
    killed.wait()
    session.let_go("check")
    assert session.run(2) == 0
    notes = [f"Note(text='s', points=[Point(x={n})])" for n in range(2)]
    assert session.status["result"] == {"verdict": repr(([], notes))}


def test_results_of_tasks_keep_types_and_values(runners: RunnerBench, environment: dict[str, str]) -> None:
    session = runners.session(TASKS, {})
    session.environment |= environment
    assert session.run() == 0
    (question,) = session.status["interrupts"]
    session.answer(run=2, **{question["node"]: "yes"})
    assert session.run(2) == 0
    assert session.status["result"] == {"verdict": repr(([], []))}
    assert session.ran == ["make"]


def test_the_state_of_an_agent_keeps_types_and_values(runners: RunnerBench) -> None:
    session = runners.session(AGENT, {"messages": [{"role": "user", "content": "hi"}]})
    assert session.run() == 0
    (question,) = session.status["interrupts"]
    session.answer(run=2, **{question["node"]: "yes"})
    assert session.run(2) == 0
    # The row has it: a number beyond 64 bits, which the API server would round, keeps the result out of the status.
    assert runners.row(session)[1]["messages"][-1]["content"] == repr(([], []))


@pytest.mark.parametrize(
    ("value", "type_", "reason"),
    [
        ("make()", "graph.make.<locals>.Local", "it is defined inside of a function"),
        ("[{'deep': Handle()}]", "graph.Handle", "it is no pydantic model, dataclass, enum or named tuple"),
        ("ValueError('kept')", "ValueError", "exceptions are not restored"),
        ("lambda: 1", "function", "keep plain data"),
    ],
)
def test_what_could_not_be_restored_fails_the_session_with_node_channel_and_type(
    runners: RunnerBench, value: str, type_: str, reason: str
) -> None:
    code = f"""
    import dataclasses

    class State(TypedDict):
        kept: Any

    class Handle:
        pass

    def make():
        @dataclasses.dataclass
        class Local:
            a: int = 1
        return Local()

    def keep(state):
        note("keep")
        return {{"kept": {value}}}

    graph = StateGraph(State).add_node(keep).add_edge(START, "keep").add_edge("keep", END).compile()
    """
    session = runners.session(code, {"kept": None}, RETRIES="3")
    assert session.run() == 3
    status = session.status
    assert (status["phase"], status["reason"]) == ("Failed", "GraphError")
    error = status["error"]
    assert (error["type"], error["node"], error["retriable"]) == ("StateNotRestorable", "keep", False)
    assert error["message"].startswith(f"a value of type {type_} in channel 'kept', written by node 'keep',")
    assert reason in error["message"]
    assert session.ran == ["keep"]
