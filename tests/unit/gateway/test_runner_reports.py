"""Runners that are not ours: whose token it is, which session the pod runs, and what a report becomes."""

from datetime import UTC, datetime
from typing import Any

import pytest

from agentic_core.contract import RUNNER_FIELDS
from agentic_core.lifecycle import Actor, Phase, is_legal
from agentic_gateway.api.runner_reports import build_input, build_report, has_news, require_pod_of
from agentic_gateway.auth.pods import CallingPod, read_pod
from agentic_gateway.problems import Refused

Json = dict[str, Any]
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AT = "2026-01-02T03:04:05.000000Z"
POD = CallingPod("team", "s1-r2-abcde", "uid-2")


def a_review(**changes: Any) -> Json:
    extra = {
        "authentication.kubernetes.io/pod-name": ["s1-r2-abcde"],
        "authentication.kubernetes.io/pod-uid": ["uid-2"],
    }
    user = {"username": "system:serviceaccount:team:agentic-runner", "extra": extra}
    return {"authenticated": True, "audiences": ["agentic-gateway"], "user": user, **changes}


def a_session(phase: str = "Running", *, spec: Json | None = None, **status: Any) -> Json:
    return {
        "metadata": {"namespace": "team", "name": "s1", "uid": "u"},
        "spec": {"inputs": {"pages": 3}, **(spec or {})},
        "status": {"phase": phase, "run": 2, "jobName": "s1-r2", "podUids": ["uid-1", "uid-2"], **status},
    }


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(Refused) as refused:
        call(*arguments)
    return refused.value.kind


def test_a_pod_is_known_by_its_token() -> None:
    assert read_pod(a_review()) == POD


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        pytest.param({"authenticated": False}, "not-authenticated", id="expired, or the pod is gone"),
        pytest.param({"authenticated": "yes"}, "not-authenticated", id="no answer that is known"),
        pytest.param({"audiences": ["https://kubernetes.default.svc"]}, "not-authenticated", id="for the API server"),
        pytest.param({"audiences": None}, "not-authenticated", id="an API server without audiences"),
        pytest.param({"user": {"username": "alice"}}, "forbidden", id="a person"),
        pytest.param({"user": {"username": "system:serviceaccount:team:x"}}, "forbidden", id="bound to no pod"),
        pytest.param({"user": {**a_review()["user"], "username": "alice"}}, "forbidden", id="a person who says a pod"),
        pytest.param(
            {"user": {**a_review()["user"], "username": "x:system:serviceaccount:team:y"}},
            "forbidden",
            id="a name alike",
        ),
    ],
)
def test_what_is_no_pods_token_for_the_gateway_is_refused(changes: Json, kind: str) -> None:
    assert refusal(read_pod, a_review(**changes)) == kind


@pytest.mark.parametrize(
    ("pod", "kind"),
    [
        pytest.param(CallingPod("team", "s2-r2-abcde", "uid-9"), "forbidden", id="another session's"),
        pytest.param(CallingPod("other", "s1-r2-abcde", "uid-2"), "forbidden", id="of another namespace"),
        pytest.param(CallingPod("team", "s1-r1-abcde", "uid-9"), "forbidden", id="of an earlier run"),
        pytest.param(CallingPod("team", "s1-r2-xyzzy", "uid-9"), "unavailable", id="so new that it is not recorded"),
        pytest.param(CallingPod("team", "s1-r3-xyzzy", "uid-9"), "unavailable", id="of a run that is not recorded yet"),
        pytest.param(CallingPod("team", "shell", "uid-9"), "forbidden", id="somebody's own pod"),
        pytest.param(CallingPod("team", "s1-r2-r2-abcde", "uid-9"), "forbidden", id="of session s1-r2"),
    ],
)
def test_a_pod_that_the_operator_did_not_record_is_refused(pod: CallingPod, kind: str) -> None:
    require_pod_of(a_session(), POD)
    assert refusal(require_pod_of, a_session(), pod) == kind


def test_every_change_of_the_phase_is_judged_by_the_lifecycle_table() -> None:
    for old in Phase:
        for new in Phase:
            session = a_session(old.value)
            if is_legal(old, new, Actor.RUNNER):
                assert build_report(session, {"phase": new.value}, NOW)["phase"] == new.value
            else:
                assert refusal(build_report, session, {"phase": new.value}, NOW) == "conflict"


def test_nothing_is_reported_of_a_session_that_has_ended() -> None:
    assert refusal(build_report, a_session("Stopped"), {"progress": "40%"}, NOW) == "conflict"


@pytest.mark.parametrize("field", ["podUids", "answers", "run", "workflow", "approvals", "phases", "metadata"])
def test_what_is_no_runners_to_write_is_named(field: str) -> None:
    with pytest.raises(Refused) as refused:
        build_report(a_session(), {"phase": "Running", field: 1}, NOW)
    assert (refused.value.status, [each.pointer for each in refused.value.errors]) == (400, [f"/{field}"])


@pytest.mark.parametrize("report", [{}, {"phase": "Walking"}, {"phase": 1}, {"interrupts": "q1"}, {"interrupts": [{}]}])
def test_what_is_no_report_is_refused(report: Json) -> None:
    assert refusal(build_report, a_session(), report, NOW) == "bad-request"


def test_a_report_is_completed_with_what_a_shell_script_leaves_out() -> None:
    assert build_report(a_session("Creating"), {"phase": "Running"}, NOW) == {
        "phase": "Running",
        "reason": "Running",
        "startTime": AT,
    }
    report = {"phase": "Completed", "result": [1], "reason": "AllDone"}
    assert build_report(a_session(startTime=AT), report, NOW) == {**report, "completionTime": AT}
    assert set(RUNNER_FIELDS) >= {"reason", "startTime", "completionTime", "interrupts"}


def test_questions_are_added_and_those_that_were_answered_are_taken_up() -> None:
    asked = [
        {"id": "q1", "prompt": "ok?", "askedAt": "2026-01-01T00:00:00Z", "answeredAt": "2026-01-01T00:00:01Z"},
        {"id": "q2", "prompt": "sure?", "askedAt": "2026-01-01T00:00:00Z"},
    ]
    going_on = build_report(a_session("WaitingForInput", startTime=AT, interrupts=asked), {"phase": "Running"}, NOW)
    assert going_on["interrupts"] == [{**asked[0], "resumedAt": AT}, asked[1]]
    more = build_report(
        a_session(interrupts=asked), {"phase": "WaitingForInput", "interrupts": [{"id": "q3", "prompt": "and?"}]}, NOW
    )
    assert more["interrupts"] == [*asked, {"id": "q3", "prompt": "and?", "askedAt": AT}]
    assert "interrupts" not in build_report(a_session(interrupts=asked), {"progress": "10%"}, NOW)


def test_a_runner_is_given_inputs_and_accepted_answers() -> None:
    answer = {"interruptId": "q1", "value": True, "by": "alice", "at": AT}
    session = a_session("WaitingForInput", interrupts=[{"id": "q1", "answeredAt": AT}], answers=[answer])
    found = build_input(session)
    assert found == {"inputs": {"pages": 3}, "run": 2, "phase": "WaitingForInput", "answers": [answer], "ends": False}
    assert [has_news(found, each) for each in (None, "q1", "q2")] == [True, True, False]


def test_one_of_two_answers_that_a_question_needs_is_no_answer_yet() -> None:
    answer = {"interruptId": "q1", "value": True, "by": "alice", "at": AT}
    found = build_input(a_session("WaitingForInput", interrupts=[{"id": "q1"}], answers=[answer]))
    assert (found["answers"], has_news(found, "q1")) == ([], False)


@pytest.mark.parametrize("word", ["stop", "suspend"])
def test_a_runner_that_waits_hears_that_the_session_shall_end(word: str) -> None:
    found = build_input(a_session("WaitingForInput", spec={word: True}))
    assert has_news(found, "q1")


def test_a_turn_comes_with_its_input() -> None:
    spec = {"mode": "Conversation", "turns": [{"name": "t1", "input": {"messages": []}, "by": "alice"}]}
    found = build_input(a_session(spec=spec, turn={"name": "t1", "number": 1}))
    assert found["turn"] == {"name": "t1", "number": 1, "input": {"messages": []}}
