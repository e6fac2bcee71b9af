"""The session's status after everything that can happen to a run, and the patch that writes it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agentic_core.conditions import Condition, Reason, find_condition
from agentic_core.contract import MAX_MESSAGE_LENGTH
from agentic_core.lifecycle import Phase
from agentic_core.resources.session import AgenticSession, Interrupt, SessionStatus
from agentic_runner.execution.tracking import Progress
from agentic_runner.session import status as statuses
from agentic_runner.session.status import Result, RunFailure, build_patch

EARLIER = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def a_session(**status: Any) -> AgenticSession:
    return AgenticSession.model_validate(
        {
            "metadata": {"name": "s", "uid": "u", "generation": 3, "resourceVersion": "7"},
            "spec": {"workflowRef": {"name": "w"}},
            "status": {"phase": "Running", "run": 1, **status},
        }
    )


def _conditions(status: SessionStatus) -> dict[str, str]:
    return {condition.type: condition.status for condition in status.conditions}


def test_running_keeps_the_first_start_and_marks_the_answers_it_took() -> None:
    session = a_session(
        phase="Creating",
        startTime=EARLIER,
        interrupts=[{"id": "q1"}, {"id": "q2"}],
        conditions=[
            {"type": "WaitingForInput", "status": "True", "reason": "WaitingForInput", "lastTransitionTime": EARLIER}
        ],
    )
    status = statuses.running(session, NOW, answered=["q1"])
    assert (status.phase, status.reason, status.start_time) == (Phase.RUNNING, "Running", EARLIER)
    assert [each.answered_at for each in status.interrupts] == [NOW, None]
    assert _conditions(status) == {"WaitingForInput": "False", "Running": "True"}
    running = find_condition(status.conditions, "Running")
    assert isinstance(running, Condition)
    assert running.observed_generation == 3


def test_progress_only_moves_forward() -> None:
    status = statuses.progressing(a_session(steps=5, currentNode="a", progress="40%"), Progress(steps=2))
    assert (status.steps, status.current_node, status.progress) == (5, "a", "40%")
    status = statuses.progressing(a_session(steps=5), Progress("b", "50%", "half", 6, "c9"))
    assert (status.steps, status.current_node, status.progress, status.message) == (6, "b", "50%", "half")


def test_news_ends_a_trouble() -> None:
    troubled = statuses.troubled(a_session(), Reason.DATABASE_UNAVAILABLE, "no connection")
    assert (troubled.phase, troubled.reason) == (Phase.RUNNING, "DatabaseUnavailable")
    session = a_session().model_copy(update={"status": troubled})
    status = statuses.progressing(session, Progress(steps=1))
    assert (status.reason, status.message) == ("Running", None)


def test_the_reason_of_a_failed_attempt_stays_in_sight_while_the_next_one_runs() -> None:
    failed = statuses.retrying(a_session(phase="Creating"), NOW, "attempt 1 of 2 failed: x")
    assert (failed.phase, failed.reason) == (Phase.RUNNING, "Retrying")
    again = statuses.running(a_session().model_copy(update={"status": failed}), NOW)
    assert (again.reason, again.message) == ("Running", "attempt 1 of 2 failed: x")


@pytest.mark.parametrize("size", [32 * 1024, 32 * 1024 + 1])
def test_a_result_is_shown_up_to_32_kib_and_referred_to_above(size: int) -> None:
    result = Result(size=size, sha256="ab", url="db://x", value={"a": 1})
    status = statuses.completed(a_session(currentNode="z"), NOW, result, Progress(steps=2))
    assert status.phase is Phase.COMPLETED
    assert status.completion_time == NOW
    assert (status.result is None) == (size > 32 * 1024)
    assert (status.result_ref is None) == (size <= 32 * 1024)
    assert status.current_node is None
    assert _conditions(status) == {"Running": "False", "Complete": "True"}


def test_a_failure_names_its_node_and_is_bounded() -> None:
    verdict = RunFailure(Reason.GRAPH_ERROR, "T" * 300, "m" * 100_000, node="n", retriable=True)
    status = statuses.failed(a_session(), NOW, verdict, Progress())
    assert status.error is not None
    assert (len(status.error.type), len(status.error.message)) == (256, MAX_MESSAGE_LENGTH)
    assert status.error.message.endswith("(100000 characters)")
    assert (status.error.node, status.error.retriable) == ("n", True)
    assert _conditions(status) == {"Running": "False", "Failed": "True"}


def test_questions_asked_before_keep_their_time() -> None:
    session = a_session(interrupts=[{"id": "q1", "askedAt": EARLIER}])
    status = statuses.waiting(
        session, NOW, [Interrupt(id="q1", node="n", value=1), Interrupt(id="q2", node="n", value=2)], Progress()
    )
    assert [(each.id, each.asked_at) for each in status.interrupts] == [("q1", EARLIER), ("q2", NOW)]
    assert status.message == "waits for 2 answers in spec.responses"


def test_an_answer_that_acted_in_a_killed_run_counts_as_taken_at_the_end() -> None:
    interrupts = [{"id": "q1", "answeredAt": EARLIER, "answer": 1}, {"id": "q2", "askedAt": EARLIER}]
    result = Result(size=1, sha256="ab", url="db://x", value=1)
    status = statuses.completed(a_session(interrupts=interrupts), NOW, result, Progress())
    assert [each.resumed_at for each in status.interrupts] == [NOW, None]


def test_a_patch_has_what_changed_and_the_version_it_was_read_at() -> None:
    session = a_session(currentNode="a", reason="Running")
    status = session.status.model_copy(update={"current_node": None, "steps": 1, "result": {"null": None}})
    assert build_patch(session, status) == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "remove", "path": "/status/currentNode"},
        {"op": "add", "path": "/status/steps", "value": 1},
        {"op": "add", "path": "/status/result", "value": {"null": None}},
    ]


def test_no_change_is_no_patch_and_a_first_status_is_written_whole() -> None:
    session = a_session()
    assert build_patch(session, session.status) == []
    fresh = AgenticSession.model_validate({"metadata": {"name": "s"}, "spec": {"workflowRef": {"name": "w"}}})
    (_, whole) = build_patch(fresh, session.status)
    assert (whole["op"], whole["path"], whole["value"]["phase"]) == ("add", "/status", "Running")
