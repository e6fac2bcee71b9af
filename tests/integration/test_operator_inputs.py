"""How inputs are judged where the author declared no schema: by what the graph itself would refuse."""

import json
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.managed import RemainingSteps
from pydantic import Field, create_model

from agentic_runner.project.schemas import derive_input_schema
from tests.support.kube import Space
from tests.support.person import Person
from tests.support.waiting import wait_for


class Report(TypedDict):
    threshold: float
    rows: list[str]
    left: RemainingSteps
    summary: str


def derive(state: Any) -> dict[str, Any]:
    """Return what an inspection reports of a graph with this state."""
    return derive_input_schema(StateGraph(state).add_node("n", lambda _: {}).add_edge(START, "n").compile())


def test_a_derived_schema_refuses_only_what_the_graph_would(space: Space) -> None:
    coded = create_model("Coded", __config__={"regex_engine": "python-re"}, code=(str, Field(pattern=r"^(?=x)x\Z")))
    for name, state in (("chat", MessagesState), ("report", Report), ("coded", coded)):
        space.define(name, status={"inputSchema": derive(state)})
    space.operator()
    space.start("roles", "chat", inputs={"messages": [{"role": "user", "content": "hi"}]})
    space.start("pair", "chat", inputs={"messages": [["user", "hi"]]})
    space.start("text", "chat", inputs={"messages": "hi"})
    space.start("partial", "report", inputs={"threshold": 2})
    space.start("coded", "coded", inputs={"code": "x"})
    space.start("nothing", "report", inputs=None)
    space.start("list", "report", inputs=[1])
    space.start("missing", "coded", inputs={})
    for name in ("roles", "pair", "text", "partial", "coded", "nothing"):
        assert "InputsKnown" not in {c["type"] for c in space.wait_status(name, "Creating")["conditions"]}
    refused = space.wait_status("list", "Failed", "InvalidInput")["message"]
    assert refused == '/spec/inputs: a list of 1 items is not of type "object"'
    assert space.wait_status("missing", "Failed", "InvalidInput")["message"].startswith('/spec/inputs: "code" is a req')


def test_a_key_that_the_graph_does_not_know_runs_and_is_warned_of(space: Space, admin: Person) -> None:
    space.define("report", status={"inputSchema": derive(Report)})
    space.operator()
    told = admin.run("run", "report", "-p", "thresold=3", "-p", "left=4", "--name", "s")
    assert told.returncode == 0
    assert "warning: /thresold: is not an input of this workflow; did you mean 'threshold'?" in told.stderr
    status = space.wait_status("s", "Creating", "JobCreated")
    (condition,) = [each for each in status["conditions"] if each["type"] == "InputsKnown"]
    assert (condition["status"], condition["reason"]) == ("False", "UnknownInput")
    assert condition["message"] == (
        "/spec/inputs/left: is not an input of this workflow and is ignored; it knows rows, summary, threshold;"
        " /spec/inputs/thresold: is not an input of this workflow; did you mean 'threshold'?"
    )
    wait_for(space.events, lambda seen: any(r == "UnknownInput" for r, _ in seen), what="event", every=0.05)


def test_the_command_judges_a_derived_schema_as_the_operator_does(space: Space, admin: Person) -> None:
    space.define("chat", status={"inputSchema": derive(MessagesState)})
    space.define("report", status={"inputSchema": derive(Report)})
    admin.out("run", "chat", "-p", "messages=hi", "--name", "text")
    admin.out("run", "chat", "-p", 'messages=[{"role": "user", "content": "hi"}]', "--name", "roles")
    admin.out("run", "report", "-p", "threshold=high", "--name", "untyped")
    admin.out("run", "report", "--name", "nothing")
    sent = {name: space.session(name)["spec"]["inputs"] for name in ("text", "roles", "untyped", "nothing")}
    assert sent == {
        "text": {"messages": "hi"},
        "roles": {"messages": [{"role": "user", "content": "hi"}]},
        "untyped": {"threshold": "high"},
        "nothing": {},
    }


KEPT = ["9007199254740993", "-9223372036854775808", "9223372036854775807", "0.1", "1e-300"]
ROUNDED = ["9223372036854775808", "12345678901234567890", "10000000000000000000001", "1e22"]


def test_integers_keep_every_digit_or_are_refused_with_the_place(space: Space, admin: Person) -> None:
    space.define("report")
    space.operator()
    for index, number in enumerate(KEPT):
        space.start(f"kept-{index}", inputs={"n": [json.loads(number)]})
    for index, number in enumerate(ROUNDED):
        space.start(f"rounded-{index}", inputs={"n": [json.loads(number)]})
    for index, number in enumerate(KEPT):
        space.wait_status(f"kept-{index}", "Creating")
        assert space.session(f"kept-{index}")["spec"]["inputs"] == {"n": [json.loads(number)]}
    for index in range(len(ROUNDED)):
        message = space.wait_status(f"rounded-{index}", "Failed", "InvalidInput")["message"]
        assert message.startswith("/spec/inputs/n/0: the number ")
        assert "use a string" in message
    for number in ROUNDED:
        told = admin.run("run", "report", "-p", f"n={number}")
        assert told.returncode != 0
        assert "/n: the number" in told.stderr


@pytest.fixture
def admin(space: Space) -> Person:
    """An administrator whose context names the test's namespace."""
    return Person.using(
        space.plane.kubeconfig_for_user(f"admin-of-{space.name}", groups=["system:masters"], namespace=space.name)
    )
