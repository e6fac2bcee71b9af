"""Who starts a session answers none of its questions in advance, unless its author lets a deadline do so."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.builders import session_body, wire_time
from tests.support.kube import GROUP_PATH, Json, Space
from tests.trust.roles import a_user

YES = {"decision": "approve"}
NO = {"decision": "reject"}


def start(space: Space, name: str, limit: Json) -> None:
    """Start a session as somebody who may do nothing but that."""
    person = a_user(space.plane, space.name, "agentic-start", "agentic-view")
    path = f"{GROUP_PATH}/namespaces/{space.name}/agenticsessions"
    made = person.request("POST", path, session_body(name, namespace=space.name, inputDeadline=limit))
    assert made.is_done, made


@pytest.mark.parametrize("allowed", [{}, {"deadlineAnswers": {"values": [NO]}}], ids=["nothing said", "only a no"])
def test_who_starts_a_session_does_not_approve_it_by_a_deadline(space: Space, allowed: Json) -> None:
    space.define(**allowed)
    space.operator()
    start(space, "s", {"seconds": 1, "onExpiry": "Resume", "value": YES})
    status = space.wait_status("s", "Failed", "InvalidSpec")
    assert "/spec/inputDeadline/value: WorkflowDefinition 'report' lets a deadline give no " in status["message"]
    assert space.session_jobs() == []


def test_a_deadline_answers_what_the_author_listed(space: Space) -> None:
    space.define(deadlineAnswers={"values": [NO]})
    space.operator()
    start(space, "s", {"seconds": 1, "onExpiry": "Resume", "value": NO})
    space.wait_pod("s-r1")
    space.wait_status("s", "Creating")
    space.report("s", phase="Running")
    space.report("s", phase="WaitingForInput", interrupts=[{"id": "q", "value": "?", "askedAt": past()}])
    space.wait_pod("s-r1")
    space.end_pod(space.wait_pod("s-r1"), 0)
    (recorded,) = space.wait_run("s", 2)["answers"]
    assert (recorded["by"], recorded["value"]) == ("inputDeadline", NO)


def test_a_session_that_an_earlier_version_let_run_keeps_its_deadline(space: Space) -> None:
    space.define()
    space.start("s", inputDeadline={"seconds": 1, "onExpiry": "Resume", "value": YES})
    space.report(
        "s",
        phase="WaitingForInput",
        run=1,
        jobName="s-r1",
        workflow={"image": "registry.example.com/team/workflow:1", "generation": 1},
        interrupts=[{"id": "q", "value": "?", "askedAt": past()}],
    )
    space.operator()
    assert space.wait_run("s", 2)["interrupts"][0]["answer"] == YES


def past() -> str:
    return wire_time(datetime.now(UTC) - timedelta(seconds=5))
