"""The example that two people approve: its graph, its definition, and people with the rights of their groups."""

import asyncio
import json
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from agentic_core.questions import read_question
from agentic_core.resources import Interrupt
from agentic_core.resources.session import AnswerOption
from tests.support.builders import session_body
from tests.support.examples import load_example, read_manifest
from tests.support.kube import Json, Space
from tests.support.waiting import wait_for
from tests.trust.roles import Client, a_pod_of, a_user
from tests.trust.test_trail import Bed, bed, path, said, write

__all__ = ["bed"]

CONFIG: Any = {"configurable": {"thread_id": "1"}}
PAY = {"decision": "pay"}


def person(space: Space, name: str, *groups: str) -> Client:
    return a_user(space.plane, space.name, "agentic-edit", "agentic-view", name=name, groups=groups)


def respond(client: Client, space: Space, asked: Json, value: Json, digest: str) -> tuple[int, str]:
    body = {
        "apiVersion": "agentic-operator.dev/v1alpha1",
        "kind": "AgenticSession",
        "metadata": {"name": "pay-acme"},
        "spec": {"responses": [{"interruptId": asked["id"], "by": client.name, "value": value, "digest": digest}]},
    }
    query = f"?fieldManager={client.name}&force=true"
    done = client.request("PATCH", path(space, "pay-acme") + query, body, kind="application/apply-patch+yaml")
    return done.code, done.message


def ask_the_graph(graph: Any, inputs: Json) -> Interrupt:
    """Run the graph up to its question; return that as a runner writes it."""
    asyncio.run(graph.ainvoke(inputs, CONFIG))
    (found,) = asyncio.run(graph.aget_state(CONFIG)).interrupts
    question = read_question(found.value)
    options = tuple(AnswerOption(value=each.value, label=each.label) for each in question.options)
    return Interrupt(
        id=found.id,
        node="approve",
        value=found.value,
        prompt=question.prompt,
        options=options,
        schema_=dict(question.schema or {}),
    )


def test_two_of_finance_pay_and_neither_who_asked_nor_anybody_else(bed: Bed, tmp_path: Path) -> None:
    space = bed.space
    spec = read_manifest("two-people", "definition.yaml")["spec"]
    space.define("two-people", **spec)
    eve, mallory = person(space, "eve", "finance"), person(space, "mallory", "interns")
    ann, bob = person(space, "ann", "finance"), person(space, "bob", "finance")
    inputs = read_manifest("two-people", "session.yaml")["spec"]["inputs"]
    body = session_body("pay-acme", "two-people", space.name, inputs=inputs, createdBy="eve", keepWarmSeconds=3600)
    made = eve.request("POST", path(space, "").rstrip("/"), body)
    assert made.is_done, made
    name = space.wait_pod("pay-acme-r1")
    space.wait_status("pay-acme", "Creating")
    space.set_pod(name, "Running")
    pod = a_pod_of(space.plane, space.name, name)
    assert write(pod, space, "pay-acme", phase="Running").is_done
    with load_example("two-people") as module:
        graph = module.builder.compile(checkpointer=InMemorySaver())
        asked = ask_the_graph(graph, inputs)
        shown = asked.to_wire()
        assert write(pod, space, "pay-acme", phase="WaitingForInput", interrupts=[shown]).is_done
        digest = asked.digest()
        wait_for(lambda: space.status("pay-acme").get("approvals"), bool, what="the rule recorded", every=0.1)
        # Who asked for it, who is in no group of the rule, and an answer to something else: refused where they write.
        for client, given in ((eve, digest), (mallory, digest), (ann, "0" * 64)):
            code, message = respond(client, space, shown, PAY, given)
            assert code == 403, (client.name, message)
        assert respond(ann, space, shown, PAY, digest)[0] == 200
        wait_for(
            lambda: [each["by"] for each in space.status("pay-acme")["approvals"][0].get("given", [])],
            lambda found: found == ["ann"],
            what="the first of two",
            every=0.1,
        )
        assert not space.status("pay-acme").get("answers")
        assert respond(bob, space, shown, PAY, digest)[0] == 200
        answers = wait_for(
            lambda: space.status("pay-acme").get("answers") or [], bool, what="the answer of both", every=0.1
        )
        assert sorted(each["by"] for each in answers) == ["ann", "bob"]
        result = asyncio.run(graph.ainvoke(Command(resume=answers[0]["value"]), CONFIG))
    assert result["payment"]["paid"] is True
    bed.wait_settled("pay-acme")
    assert said(bed.rows()) == [
        ("RuleRecorded", asked.id, ""),
        ("Counted", asked.id, "ann"),
        ("Accepted", asked.id, "ann"),
        ("Accepted", asked.id, "bob"),
    ]
    rule = json.loads(json.dumps(bed.rows()[0]["rule"]))
    assert (rule["count"], rule["notCreator"], rule["groups"], rule["creator"]) == (2, True, [["finance"]], "eve")
    assert bed.verify(bed.export(tmp_path / "t"))[0] == 0
