"""Agents that ask before they act, as LangChain writes them: asked by a real runner, and gone on with the answer."""

import json
from typing import Any

import pytest

from agentic_core.resources.session import Interrupt
from agentic_core.schema.schema import check_instance
from tests.support.runner import RunnerBench, Session

AGENT = """
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool

@tool
def send(to: str) -> str:
    "Send a mail."
    note("sent-" + to)
    return "sent to " + to

@tool
def drop(table: str) -> str:
    "Drop a table."
    note("dropped-" + table)
    return "dropped " + table

class Model(BaseChatModel):
    @property
    def _llm_type(self):
        return "scripted"

    def bind_tools(self, tools, **kwargs):
        return self

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        calls = [
            {"name": "send", "args": {"to": "ann"}, "id": "1"},
            {"name": "drop", "args": {"table": "users"}, "id": "2"},
        ]
        is_done = any(isinstance(each, ToolMessage) for each in messages)
        message = AIMessage("done") if is_done else AIMessage("", tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=message)])

graph = create_agent(
    Model(),
    [send, drop],
    middleware=[HumanInTheLoopMiddleware({"send": {"allowed_decisions": ["approve", "edit"]}, "drop": True}, MODE)],
)
"""

INBOX = """
class State(TypedDict, total=False):
    said: list

def request(action):
    return {
        "action_request": {"action": action, "args": {"to": "ann"}},
        "config": {"allow_accept": True, "allow_edit": True, "allow_respond": True, "allow_ignore": False},
        "description": "Mail to ann",
    }

def ask(state):
    return {"said": interrupt([request("send"), request("drop")])}

builder = StateGraph(State)
builder.add_node(ask)
builder.add_edge(START, "ask")
graph = builder.compile()
"""


def take(session: Session, *answers: Any, run: int) -> None:
    """Accept answers as the operator does, each held against the schema that the status shows."""
    body = session.read()
    interrupts = body["status"]["interrupts"]
    openly = [each for each in interrupts if "answeredAt" not in each]
    for each, answer in zip(openly, answers, strict=True):
        assert check_instance(Interrupt.model_validate(each).schema_, answer) == ()
        each.update(answer=answer, answeredAt="2026-03-01T12:00:00Z", answeredBy="a test")
    body["status"].update(phase="Creating", run=run)
    # As a whole: a merge patch would drop the nulls inside of the answers.
    session.bench.plane.request("PUT", f"{session.path}/status", body)


def test_an_agents_turn_is_decided_call_by_call(runners: RunnerBench) -> None:
    session = runners.session(AGENT.replace(", MODE", ""), {"messages": [{"role": "user", "content": "go"}]})
    assert session.run() == 0
    (asked,) = session.status["interrupts"]
    assert asked["prompt"].startswith('may these 2 calls run? send({"to": "ann"}); drop(')
    edited = {"type": "edit", "edited_action": {"name": "send", "args": {"to": "bob"}}}
    assert [each.pointer for each in check_instance(asked["schema"], {"decisions": [edited]})] == ["/decisions"]
    take(session, {"decisions": [edited, {"type": "reject", "message": "never"}]}, run=2)
    assert session.run(2) == 0
    assert session.status["phase"] == "Completed"
    assert session.ran == ["sent-bob"]
    assert "never" in json.dumps(session.status["result"])


def test_an_agents_calls_are_decided_each_by_its_own_question(runners: RunnerBench) -> None:
    code = AGENT.replace("MODE", 'interrupt_mode="per_call"')
    session = runners.session(code, {"messages": [{"role": "user", "content": "go"}]})
    assert session.run() == 0
    asked = session.status["interrupts"]
    assert [each["prompt"] for each in asked] == ['may send({"to": "ann"}) run?', 'may drop({"table": "users"}) run?']
    assert [[option["label"] for option in each["options"]] for each in asked] == [["approve"], ["approve", "reject"]]
    wrong = {"type": "edit", "edited_action": {"name": "send", "args": {"to": 5}}}
    assert check_instance(asked[0]["schema"], wrong)
    take(session, {"type": "approve"}, {"type": "respond", "message": "ask the owner"}, run=2)
    assert session.run(2) == 0
    assert session.status["phase"] == "Completed"
    assert session.ran == ["sent-ann"]
    assert "ask the owner" in json.dumps(session.status["result"])


@pytest.mark.parametrize("second", [{"type": "accept", "args": None}, {"type": "response", "args": "use euros"}])
def test_human_interrupts_are_answered_by_one_response_each_in_their_order(runners: RunnerBench, second: Any) -> None:
    session = runners.session(INBOX, {})
    assert session.run() == 0
    (asked,) = session.status["interrupts"]
    assert [option["label"] for option in asked["options"]] == ["accept all"]
    answer = [{"type": "edit", "args": {"action": "send", "args": {"to": "bob"}}}, second]
    take(session, answer, run=2)
    assert session.run(2) == 0
    assert session.status["result"] == {"said": answer}
