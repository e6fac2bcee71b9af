"""Who starts a session answers none of its questions in advance, unless its author lets a deadline do so."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.builders import session_body, wire_time
from tests.support.kube import GROUP_PATH, Json, Space
from tests.support.waiting import wait_for
from tests.trust.roles import a_pod_of, a_user
from tests.trust.test_runner_status import write

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


def test_a_pod_does_not_choose_by_a_questions_time_that_its_deadline_is_over(space: Space) -> None:
    space.define(deadlineAnswers={"values": [NO]})
    space.operator()
    start(space, "s", {"seconds": 3600, "onExpiry": "Resume", "value": NO})
    space.wait_status("s", "Creating")
    runner = a_pod_of(space.plane, space.name, space.wait_pod("s-r1"))

    def asked(at: str) -> list[Json]:
        return [{"id": "q", "value": "?", "askedAt": at}]

    def is_known(status: Json) -> bool:
        return bool(status.get("podUids"))

    wait_for(lambda: space.status("s"), is_known, what="the pod", every=0.05)
    assert write(runner, space, {"phase": "Running"}).is_done
    space.settle()
    yesterday = "2026-01-01T00:00:00Z"
    before = datetime.now(UTC) - timedelta(seconds=1)
    waiting = write(runner, space, {"phase": "WaitingForInput", "interrupts": asked(yesterday)})
    assert waiting.is_done, waiting.message

    def is_corrected(status: Json) -> bool:
        return bool(status["interrupts"][0]["askedAt"] != yesterday)

    status = wait_for(lambda: space.status("s"), is_corrected, what="its time", every=0.05)
    assert datetime.fromisoformat(status["interrupts"][0]["askedAt"]) >= before.replace(microsecond=0)
    assert not status.get("answers")
    assert status["phase"] == "WaitingForInput"
    # Nor does it move the time of one that is there.
    refused = write(runner, space, {"interrupts": asked(yesterday)})
    assert (refused.code, "askedAt" in refused.message) == (403, True)
