"""Which answers are accepted, and what is said about the others."""

from datetime import timedelta
from typing import Any

import pytest

from agentic_core.choices import is_same_json
from agentic_core.conditions import find_condition
from agentic_core.contract import MAX_ANSWER_BYTES
from agentic_core.errors import Problem
from agentic_core.lifecycle import Phase
from agentic_operator.answers import (
    Checked,
    answer_by_default,
    describe_default_faults,
    find_checks,
    input_deadline,
    take_answers,
)
from agentic_operator.decide import decide
from agentic_operator.seen import Rules, Seen
from tests.support.builders import NOW, SessionBuilder, a_definition, a_job, a_session, wire_time

ASKING = a_session().waiting("a?", "b?")


def judged(session: SessionBuilder, checked: Checked | None = None) -> tuple[str, str, str, list[Any]]:
    """Return status, reason and message of the condition, and the accepted answers."""
    taken = take_answers(session.build(), checked or Checked(), NOW)
    found = find_condition(taken.session.status.conditions, "InputAccepted")
    answers = [each.answer for each in taken.session.status.interrupts if not each.is_open]
    return (found.status, found.reason, found.message, answers) if found else ("", "", "", answers)


FAULT = Checked(faults={("q1", ""): (Problem("/x", "too small"),)})


@pytest.mark.parametrize(
    ("session", "checked", "expected"),
    [
        pytest.param(ASKING, Checked(), ("", "", "", []), id="no answer"),
        pytest.param(ASKING.answering(q1=1), Checked(), ("True", "Answered", "", [1]), id="one of two"),
        pytest.param(ASKING.answering(q1=1, q2=None), Checked(), ("True", "Answered", "", [1, None]), id="both"),
        pytest.param(
            ASKING.answering(q1=1),
            FAULT,
            ("False", "InvalidAnswer", "/spec/responses/0/value/x: too small", []),
            id="against the schema",
        ),
        pytest.param(
            ASKING.answering(q2=2, q1=1),
            FAULT,
            ("False", "InvalidAnswer", "/spec/responses/1/value/x: too small", [2]),
            id="one right, one wrong",
        ),
        pytest.param(
            ASKING.answering(other=1),
            Checked(),
            (
                "False",
                "UnknownInterrupt",
                "/spec/responses/0/interruptId: there is no question 'other'; open: 'q1', 'q2'",
                [],
            ),
            id="unknown",
        ),
        pytest.param(
            ASKING.answered(q1=1).answering(q1=1), Checked(), ("True", "Answered", "", [1]), id="accepted before"
        ),
        pytest.param(
            ASKING.answered(q1=1).answering(q1=True),
            Checked(),
            (
                "False",
                "AlreadyAnswered",
                (
                    "/spec/responses/0/value: the question 'q1' was answered by kubectl-patch"
                    " at 2026-03-01T12:00:00+00:00; that answer stands"
                ),
                [1],
            ),
            id="changed after it was accepted",
        ),
        pytest.param(
            ASKING.with_status(phase=Phase.STOPPED.value).answering(q1=1),
            Checked(),
            ("False", "TooLate", "/spec/responses/0/value: the session is Stopped: it takes no more answers", []),
            id="after the end",
        ),
        pytest.param(
            ASKING.answering(q1="x" * MAX_ANSWER_BYTES),
            Checked(),
            (
                "False",
                "InvalidAnswer",
                "/spec/responses/0/value: 32770 bytes of JSON are over the limit of 32768; make it smaller",
                [],
            ),
            id="too large",
        ),
        pytest.param(
            ASKING.with_status(phase=Phase.RUNNING.value).answering(q1=1),
            Checked(),
            ("True", "Answered", "", [1]),
            id="while another branch runs",
        ),
    ],
)
def test_answers(session: SessionBuilder, checked: Checked, expected: tuple[str, str, str, list[Any]]) -> None:
    assert judged(session, checked) == expected


def test_who_answered_and_when_is_kept_and_told() -> None:
    session = ASKING.with_spec(responses=[{"interruptId": "q1", "by": "ann", "value": 1}])
    taken = take_answers(session.build(), Checked(), NOW)
    first = taken.session.status.interrupts[0]
    assert (first.answered_by, first.answered_at, first.resumed_at) == ("ann", NOW, None)
    assert taken.session.status.question == "b?"
    assert [(note.reason, note.message) for note in taken.notes] == [("Answered", "question 'q1' is answered by ann")]


def test_of_several_answers_to_a_question_the_first_that_states_its_author_and_fits_is_accepted() -> None:
    responses = [
        {"interruptId": "q1", "value": "unsaid"},
        {"interruptId": "q1", "by": "ann", "value": "wrong"},
        {"interruptId": "q1", "by": "bob", "value": "right"},
        {"interruptId": "q1", "by": "eve", "value": "late"},
        {"interruptId": "q1", "by": "joe", "value": "right"},
    ]
    fault = Checked(faults={("q1", "ann"): (Problem("", "no"),)})
    status, reason, message, answers = judged(ASKING.with_spec(responses=responses), fault)
    assert (status, reason, answers) == ("False", "AlreadyAnswered", ["right"])
    assert [each.split(":")[0] for each in message.split("; /")] == [
        "/spec/responses/0/value",
        "spec/responses/1/value",
        "spec/responses/3/value",
    ]


def test_a_refusal_is_told_once_and_forgotten_with_its_answer() -> None:
    refused = take_answers(ASKING.answering(q1=1).build(), FAULT, NOW)
    assert [(note.type, note.reason) for note in refused.notes] == [("Warning", "InvalidAnswer")]
    again = take_answers(refused.session, FAULT, NOW + timedelta(seconds=9))
    assert again.session is refused.session
    assert again.notes == ()
    spec = refused.session.spec.model_copy(update={"responses": ()})
    forgotten = take_answers(refused.session.model_copy(update={"spec": spec}), Checked(), NOW)
    assert find_condition(forgotten.session.status.conditions, "InputAccepted") is None


def test_an_accepted_answer_is_recorded_before_anything_is_made_of_it() -> None:
    plan = decide(ASKING.answering(q1=1).build(), Seen(definition=a_definition()), NOW, Rules())
    assert plan.job is None
    assert plan.wake_at == NOW
    assert plan.status is not None
    assert plan.status.phase is Phase.WAITING_FOR_INPUT
    assert plan.status.interrupts[0].is_pending


def test_a_refused_answer_makes_no_job() -> None:
    plan = decide(ASKING.answering(q1=1).build(), Seen(definition=a_definition(), answers=FAULT), NOW, Rules())
    assert plan.job is None
    assert plan.status is not None
    assert plan.status.phase is Phase.WAITING_FOR_INPUT


def with_schemas(session: SessionBuilder) -> SessionBuilder:
    return session.with_status(
        interrupts=[{**each, "schema": {"type": "integer"}} for each in session.status["interrupts"]]
    )


def test_only_what_is_open_and_has_a_schema_is_checked() -> None:
    session = with_schemas(ASKING).answering(q1=1, other=2)
    assert [(each.interrupt_id, each.value) for each in find_checks(session.build(), NOW)] == [("q1", 1)]
    assert list(find_checks(ASKING.answering(q1=1).build(), NOW)) == []
    assert list(find_checks(with_schemas(ASKING.answered(q1=1)).build(), NOW)) == []


RESUME = {"seconds": 30, "onExpiry": "Resume", "value": 7}


def test_the_default_is_checked_once_the_deadline_is_over() -> None:
    session = with_schemas(ASKING).with_spec(inputDeadline=RESUME)
    found = list(find_checks(session.build(), NOW))
    assert [(each.interrupt_id, each.value, each.is_default) for each in found] == [("q1", 7, True), ("q2", 7, True)]
    assert list(find_checks(with_schemas(ASKING).with_spec(inputDeadline={**RESUME, "seconds": 90}).build(), NOW)) == []


def test_a_deadline_counts_from_the_oldest_open_question() -> None:
    asked = [{"id": f"q{n}", "askedAt": wire_time(NOW - timedelta(seconds=n))} for n in (10, 30, 20)]
    session = ASKING.with_status(interrupts=asked).with_spec(inputDeadline=RESUME)
    assert input_deadline(session.build()) == NOW
    asked[1]["answeredAt"] = wire_time(NOW)
    assert input_deadline(session.with_status(interrupts=asked).build()) == NOW + timedelta(seconds=10)


def test_nobody_in_time_gives_every_open_question_the_default() -> None:
    session = ASKING.answered(q1=1).with_spec(inputDeadline=RESUME).build()
    taken = answer_by_default(session, NOW)
    assert [(each.answer, each.answered_by) for each in taken.session.status.interrupts] == [
        (1, "kubectl-patch"),
        (7, "inputDeadline"),
    ]


@pytest.mark.parametrize("jobs", [(), (a_job(),)], ids=["no pod", "a warm pod"])
def test_a_deadline_acts_with_and_without_a_warm_pod(jobs: Any) -> None:
    seen = Seen(definition=a_definition(), jobs=jobs)
    plan = decide(ASKING.with_spec(inputDeadline=RESUME).build(), seen, NOW, Rules())
    assert plan.status is not None
    assert all(each.is_pending for each in plan.status.interrupts)
    failed = decide(ASKING.with_spec(inputDeadline={"seconds": 30}).build(), seen, NOW, Rules())
    assert failed.status is not None
    assert (failed.status.phase, failed.status.reason) == (Phase.FAILED, "InputDeadlineExceeded")
    assert failed.delete_jobs == tuple(job.name for job in jobs)


def test_faults_of_the_default_name_the_question() -> None:
    checked = Checked(default_faults={"q1": (Problem("", "not an integer"),)})
    assert describe_default_faults(checked) == "/spec/inputDeadline/value: not an integer (question 'q1')"
    assert describe_default_faults(Checked(default_faults={"q1": ()})) == ""


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, 1.0, True),
        (1, True, False),
        ({"a": [1, None]}, {"a": [1, None]}, True),
        ({"a": [1]}, {"a": [True]}, False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ("x", "x", True),
        (None, False, False),
    ],
)
def test_json_values_are_compared_as_json(left: Any, right: Any, same: bool) -> None:
    assert is_same_json(left, right) is same
