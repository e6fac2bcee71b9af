"""Which answers are accepted, and what is said about the others."""

from datetime import timedelta
from typing import Any

import pytest

from agentic_core.choices import is_same_json
from agentic_core.conditions import find_condition
from agentic_core.contract import MAX_ANSWER_BYTES
from agentic_core.errors import Problem
from agentic_core.lifecycle import Phase
from agentic_operator.sessions.answers import (
    AnswerChecks,
    answer_by_default,
    describe_default_faults,
    find_checks,
    input_deadline,
    take_answers,
)
from agentic_operator.sessions.decide import decide
from agentic_operator.sessions.observation import Observation, Rules
from tests.support.builders import NOW, SessionBuilder, a_definition, a_job, a_session, wire_time

ASKING = a_session().waiting("a?", "b?")


def judged(session: SessionBuilder, checked: AnswerChecks | None = None) -> tuple[str, str, str, list[Any]]:
    """Return status, reason and message of the condition, and the accepted answers."""
    taken = take_answers(session.build(), checked or AnswerChecks(), NOW)
    found = find_condition(taken.session.status.conditions, "InputAccepted")
    answers = [each.answer for each in taken.session.status.interrupts if not each.is_open]
    return (found.status, found.reason, found.message, answers) if found else ("", "", "", answers)


FAULT = AnswerChecks(faults={("q1", ""): (Problem("/x", "too small"),)})


@pytest.mark.parametrize(
    ("session", "checked", "expected"),
    [
        pytest.param(ASKING, AnswerChecks(), ("", "", "", []), id="no answer"),
        pytest.param(ASKING.answering(q1=1), AnswerChecks(), ("True", "Answered", "", [1]), id="one of two"),
        pytest.param(ASKING.answering(q1=1, q2=None), AnswerChecks(), ("True", "Answered", "", [1, None]), id="both"),
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
            AnswerChecks(),
            (
                "False",
                "UnknownInterrupt",
                "/spec/responses/0/interruptId: there is no question 'other'; open: 'q1', 'q2'",
                [],
            ),
            id="unknown",
        ),
        pytest.param(
            ASKING.answered(q1=1).answering(q1=1), AnswerChecks(), ("True", "Answered", "", [1]), id="accepted before"
        ),
        pytest.param(
            ASKING.answered(q1=1).answering(q1=True),
            AnswerChecks(),
            (
                "False",
                "AlreadyAnswered",
                (
                    "/spec/responses/0/value: the question 'q1' was answered by ann"
                    " at 2026-03-01T12:00:00+00:00; that answer stands"
                ),
                [1],
            ),
            id="changed after it was accepted",
        ),
        pytest.param(
            ASKING.with_status(phase=Phase.STOPPED.value).answering(q1=1),
            AnswerChecks(),
            ("False", "TooLate", "/spec/responses/0/value: the session is Stopped: it takes no more answers", []),
            id="after the end",
        ),
        pytest.param(
            ASKING.answering(q1="x" * MAX_ANSWER_BYTES),
            AnswerChecks(),
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
            AnswerChecks(),
            ("True", "Answered", "", [1]),
            id="while another branch runs",
        ),
    ],
)
def test_answers(session: SessionBuilder, checked: AnswerChecks, expected: tuple[str, str, str, list[Any]]) -> None:
    assert judged(session, checked) == expected


def test_who_answered_and_when_is_kept_and_told() -> None:
    session = ASKING.with_spec(responses=[{"interruptId": "q1", "by": "ann", "value": 1}])
    taken = take_answers(session.build(), AnswerChecks(), NOW)
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
    fault = AnswerChecks(faults={("q1", "ann"): (Problem("", "no"),)})
    status, reason, message, answers = judged(ASKING.with_spec(responses=responses), fault)
    assert (status, reason, answers) == ("False", "AlreadyAnswered", ["right"])
    assert [each.split(":")[0] for each in message.split("; /")] == [
        "/spec/responses/0/value",
        "spec/responses/1/value",
        "spec/responses/3/value",
    ]


def test_what_is_accepted_is_recorded_and_copied_to_its_question() -> None:
    responses = [
        {"interruptId": "q1", "by": "ann", "value": {"ok": None}},
        {"interruptId": "q2", "value": [1]},
    ]
    status = take_answers(ASKING.with_spec(responses=responses).build(), AnswerChecks(), NOW).session.status
    assert [(each.interrupt_id, each.by, each.value, each.at) for each in status.answers] == [
        ("q1", "ann", {"ok": None}, NOW),
        ("q2", "", [1], NOW),
    ]
    assert [(each.answer, each.answered_by, each.answered_at) for each in status.interrupts] == [
        ({"ok": None}, "ann", NOW),
        ([1], None, NOW),
    ]
    assert [status.find_answer(each) for each in status.interrupts] == [{"ok": None}, [1]]


def test_a_question_that_was_answered_by_the_record_is_answered_again_by_nobody() -> None:
    reopened = ASKING.answered(q1=1).with_status(interrupts=ASKING.status["interrupts"])
    other = reopened.with_spec(responses=[{"interruptId": "q1", "by": "bob", "value": 2}])
    for session in (reopened, other):
        taken = take_answers(session.build(), AnswerChecks(), NOW)
        first, second = taken.session.status.interrupts
        assert (taken.is_answered, first.answer, first.answered_by, second.is_open) == (True, 1, "ann", True)
        assert [each.by for each in taken.session.status.answers] == ["ann"]
        assert take_answers(taken.session, AnswerChecks(), NOW).session is taken.session


def test_an_answer_that_names_a_question_is_one_to_that_question_alone() -> None:
    asking = ASKING.build()
    digest = asking.status.interrupts[0].digest()
    named = {"interruptId": "q1", "by": "ann", "value": 1, "digest": digest}
    taken = take_answers(ASKING.with_spec(responses=[named]).build(), AnswerChecks(), NOW)
    assert [(each.by, each.digest) for each in taken.session.status.answers] == [("ann", digest)]
    other = [{**each, "value": "another?"} for each in ASKING.status["interrupts"]]
    changed = ASKING.with_status(interrupts=other).with_spec(responses=[named])
    status, reason, message, answers = judged(changed)
    assert (status, reason, answers) == ("False", "InvalidAnswer", [])
    assert message.startswith("/spec/responses/0/digest: the answer is to another question")


def test_nothing_is_accepted_for_another_question_under_an_answered_id() -> None:
    taken = take_answers(ASKING.answering(q1=1).build(), AnswerChecks(), NOW).session
    record = [each.to_wire() for each in taken.status.answers]
    other = [{**each, "value": "another?"} for each in ASKING.status["interrupts"]]
    for value in (1, 2):
        reopened = ASKING.with_status(interrupts=other, answers=record).answering(q1=value)
        status, reason, message, answers = judged(reopened)
        assert (status, reason, answers) == ("False", "InvalidAnswer", [])
        assert "another question was answered under the id 'q1' before" in message
    default = answer_by_default(reopened.with_spec(inputDeadline=RESUME, responses=[]).build(), NOW)
    assert [each.is_open for each in default.session.status.interrupts] == [True, False]
    alone = reopened.with_spec(inputDeadline=RESUME, responses=[]).with_status(interrupts=other[:1])
    plan = decide(alone.build(), Observation(definition=a_definition()), NOW, Rules())
    assert plan.status is not None
    assert (plan.status.phase, plan.status.reason) == (Phase.FAILED, "InputDeadlineExceeded")


def test_of_an_answer_without_a_record_no_author_is_told() -> None:
    """An earlier version wrote the name of a field manager."""
    session = ASKING.answered(q1=1, by="cfo@example.org").with_status(answers=[]).answering(q1=2).build()
    taken = take_answers(session, AnswerChecks(), NOW)
    found = find_condition(taken.session.status.conditions, "InputAccepted")
    assert found is not None
    assert "was answered at 2026-03-01" in found.message
    assert taken.session.status.find_answer(session.status.interrupts[0]) == 1


def test_large_answers_wait_until_a_run_has_taken_those_before_them() -> None:
    asking = a_session().waiting(*(f"{n}?" for n in range(10)))
    large = "x" * 30_000
    session = asking.answering(**{f"q{n}": large for n in range(1, 11)})
    taken = take_answers(session.build(), AnswerChecks(), NOW)
    assert len(taken.session.status.answers) == 7
    found = find_condition(taken.session.status.conditions, "InputAccepted")
    assert found is not None
    assert "/spec/responses/7/value: too many large answers wait for a run" in found.message
    acted = [each.model_copy(update={"resumed_at": NOW}) for each in taken.session.status.interrupts[:7]]
    interrupts = (*acted, *taken.session.status.interrupts[7:])
    status = taken.session.status.model_copy(update={"interrupts": interrupts})
    later = take_answers(taken.session.model_copy(update={"status": status}), AnswerChecks(), NOW).session.status
    # The oldest of those that acted make room; what has yet to act is there.
    assert [each.interrupt_id for each in later.answers] == [f"q{n}" for n in range(4, 11)]
    assert not any(each.is_open for each in later.interrupts)


def test_a_refusal_is_told_once_and_forgotten_with_its_answer() -> None:
    refused = take_answers(ASKING.answering(q1=1).build(), FAULT, NOW)
    assert [(note.type, note.reason) for note in refused.notes] == [("Warning", "InvalidAnswer")]
    again = take_answers(refused.session, FAULT, NOW + timedelta(seconds=9))
    assert again.session is refused.session
    assert again.notes == ()
    spec = refused.session.spec.model_copy(update={"responses": ()})
    forgotten = take_answers(refused.session.model_copy(update={"spec": spec}), AnswerChecks(), NOW)
    assert find_condition(forgotten.session.status.conditions, "InputAccepted") is None


def test_an_accepted_answer_is_recorded_before_anything_is_made_of_it() -> None:
    plan = decide(ASKING.answering(q1=1).build(), Observation(definition=a_definition()), NOW, Rules())
    assert plan.job is None
    assert plan.wake_at == NOW
    assert plan.status is not None
    assert plan.status.phase is Phase.WAITING_FOR_INPUT
    assert plan.status.interrupts[0].is_pending


def test_a_refused_answer_makes_no_job() -> None:
    plan = decide(ASKING.answering(q1=1).build(), Observation(definition=a_definition(), answers=FAULT), NOW, Rules())
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
        (1, "ann"),
        (7, "inputDeadline"),
    ]


@pytest.mark.parametrize("jobs", [(), (a_job(),)], ids=["no pod", "a warm pod"])
def test_a_deadline_acts_with_and_without_a_warm_pod(jobs: Any) -> None:
    seen = Observation(definition=a_definition(), jobs=jobs)
    plan = decide(ASKING.with_spec(inputDeadline=RESUME).build(), seen, NOW, Rules())
    assert plan.status is not None
    assert all(each.is_pending for each in plan.status.interrupts)
    failed = decide(ASKING.with_spec(inputDeadline={"seconds": 30}).build(), seen, NOW, Rules())
    assert failed.status is not None
    assert (failed.status.phase, failed.status.reason) == (Phase.FAILED, "InputDeadlineExceeded")
    assert failed.delete_jobs == tuple(job.name for job in jobs)


def test_faults_of_the_default_name_the_question() -> None:
    checked = AnswerChecks(default_faults={"q1": (Problem("", "not an integer"),)})
    assert describe_default_faults(checked) == "/spec/inputDeadline/value: not an integer (question 'q1')"
    assert describe_default_faults(AnswerChecks(default_faults={"q1": ()})) == ""


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
