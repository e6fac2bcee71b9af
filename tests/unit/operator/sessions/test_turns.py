"""Turns as values: which is next, how each is recorded, what is refused, and what is kept of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from agentic_core.conditions import Reason, find_condition
from agentic_core.contract import KEPT_TURNS, MAX_TURNS_BYTES
from agentic_core.lifecycle import Phase
from agentic_core.resources import AgenticSession, TurnEnd, WorkflowSnapshot
from agentic_core.strict_json import encode_json
from agentic_operator.cache.entries import read_entry
from agentic_operator.cache.slots import Slot, find_slot
from agentic_operator.config import JobDefaults
from agentic_operator.manifests.jobs import build_job, effective_idle_deadline
from agentic_operator.sessions.admission import Refused
from agentic_operator.sessions.decide import decide
from agentic_operator.sessions.observation import Observation, Rules
from agentic_operator.sessions.record import build_turns
from agentic_operator.sessions.turn_checks import TurnCheck, check_turn
from agentic_operator.sessions.turns import (
    KEPT_RESPONSES,
    ROOM_FOR_RECORDS,
    ROOM_FOR_RESULTS,
    begin_turn,
    drop_pruned,
    end_turn,
    find_base,
    find_candidate,
    find_next,
    find_old_responses,
    find_prunable,
    fold,
    mark_cancelled,
    record_cancelled,
    refuse_turn,
)
from agentic_store.records import TurnPhase, TurnRow
from tests.support.builders import NOW, SessionBuilder, a_definition, a_job, a_pod, a_session, wire_time

SNAPSHOT = WorkflowSnapshot(image="registry.example.com/team/workflow:1", runner_contract=3)
SEEN = Observation(definition=a_definition(status={"runnerContract": 3}))


def a_conversation(*turns: dict[str, Any], **spec: Any) -> SessionBuilder:
    return a_session().with_spec(mode="Conversation", turns=list(turns), **spec)


def idle(session: SessionBuilder, **status: Any) -> SessionBuilder:
    return session.accepted(Phase.IDLE).with_status(
        workflow={"image": SNAPSHOT.image, "generation": 1, "runnerContract": 3}, **status
    )


def ended(number: int, phase: str = "Completed", **fields: Any) -> dict[str, Any]:
    return {"name": f"t{number}", "number": number, "phase": phase, "finishedAt": wire_time(NOW), **fields}


ON = {"name": "a", "number": 3, "by": "ann", "startedAt": wire_time(NOW - timedelta(minutes=5))}


def on(*turns: dict[str, Any], phase: Phase = Phase.RUNNING, **status: Any) -> AgenticSession:
    """A conversation whose third turn is on."""
    records = [ended(1), ended(2), {"name": "a", "number": 3, "phase": "Running", "by": "ann"}]
    built = a_conversation({"name": "a", "by": "ann"}, *turns).accepted(phase)
    return built.with_status(**{"turn": ON, "turnCount": 3, "turns": records, **status}).build()


# Which turn.


@pytest.mark.parametrize(
    ("turns", "known", "expected"),
    [
        ([], [], None),
        ([{"name": "a"}, {"name": "b"}], [], "a"),
        ([{"name": "a"}, {"name": "b"}], ["a"], "b"),
        ([{"name": "a"}, {"name": "b", "preempt": "Interrupt"}, {"name": "c", "preempt": "Rollback"}], [], "b"),
        ([{"name": "a", "cancel": True}, {"name": "b"}], [], "b"),
        ([{"name": "a", "preempt": "Interrupt", "cancel": True}, {"name": "b"}], [], "b"),
        ([{"name": "a"}], ["a"], None),
    ],
)
def test_the_next_turn_is_the_first_that_preempts_or_else_the_first_that_waits(
    turns: list[dict[str, Any]], known: list[str], expected: str | None
) -> None:
    records = [{"name": name, "phase": "Completed"} for name in known]
    found = find_next(a_conversation(*turns).with_status(turns=records).build())
    assert (found.name if found is not None else None) == expected


def test_beside_a_turn_that_goes_on_only_one_that_preempts_is_looked_at() -> None:
    end = {"name": "a", "number": 3, "phase": "Completed"}
    waiting, preempting = {"name": "b"}, {"name": "c", "preempt": "Interrupt"}
    assert find_candidate(on(waiting)) is None
    for session, expected in (
        (on(waiting, preempting), "c"),
        (on(waiting, turnEnd=end), "b"),
        (on(waiting, turn={**ON, "cancel": True}), "b"),
    ):
        found = find_candidate(session)
        assert found is not None
        assert found.name == expected


# How it is recorded.


def test_a_turn_begins_with_its_number_and_author_and_never_twice() -> None:
    session = idle(a_conversation({"name": "a", "by": "ann"}, {"name": "b"}), turnCount=7).build()
    begun = begin_turn(session, session.spec.turns[0], NOW)
    status = begun.status
    assert status.turn is not None
    assert (status.turn.name, status.turn.number, status.turn.by, status.turn_count) == ("a", 8, "ann", 8)
    assert [(each.name, each.number, each.phase) for each in status.turns] == [("a", 8, "Running")]
    for turn in session.spec.turns:
        with pytest.raises(ValueError, match="cannot begin"):
            begin_turn(begun, turn, NOW)


@pytest.mark.parametrize(
    "end",
    [
        pytest.param({"name": "a", "number": 2, "phase": "Completed"}, id="of an earlier number"),
        pytest.param({"name": "t2", "number": 3, "phase": "Completed"}, id="under another name"),
        pytest.param(None, id="none"),
    ],
)
def test_an_end_of_another_turn_is_not_taken(end: dict[str, Any] | None) -> None:
    session = on(turnEnd=end)
    assert fold(session, NOW).session is session


def test_small_results_stay_with_the_records_of_their_turns_as_far_as_there_is_room() -> None:
    session = idle(a_conversation(), phase="Idle").build()
    for number in range(KEPT_TURNS):
        turn = a_conversation({"name": f"t{number}"}).build().spec.turns[0]
        session = begin_turn(session, turn, NOW)
        end = {"name": turn.name, "number": number + 1, "phase": "Completed"}
        status = session.status.model_copy(
            update={"turn_end": TurnEnd.model_validate(end), "result": {"answer": "x" * 1900, "n": number}}
        )
        session = fold(session.model_copy(update={"status": status}), NOW).session
    kept = [each.result for each in session.status.turns]
    assert kept[-1] == {"answer": "x" * 1900, "n": KEPT_TURNS - 1}
    assert kept[:8] == [None] * 8
    assert None not in kept[9:]
    assert sum(len(encode_json(each)) for each in kept if each) <= ROOM_FOR_RESULTS
    assert session.status.result == kept[-1]


@pytest.mark.parametrize(
    ("phase", "result"), [("Completed", "x" * 2048), ("Completed", None), ("Failed", {"n": 1}), ("Canceled", {"n": 1})]
)
def test_a_large_result_and_one_of_a_turn_that_did_not_complete_are_in_no_record(phase: str, result: Any) -> None:
    told = fold(on(turnEnd={"name": "a", "number": 3, "phase": phase}, phase=Phase.IDLE, result=result), NOW)
    assert told.session.status.turns[-1].result is None


def test_an_end_is_recorded_with_what_its_runner_said_and_a_time_that_can_be_true() -> None:
    end = {
        "name": "a",
        "number": 3,
        "phase": "Failed",
        "checkpointId": "1ef",
        "finishedAt": wire_time(NOW + timedelta(days=400)),
        "error": {"type": "ToolDown", "message": "m" * 4000},
        "firstSeq": 4,
        "lastSeq": 9,
    }
    told = fold(on(turnEnd=end, phase=Phase.IDLE, result={"n": 1}, error=end["error"]), NOW)
    status = told.session.status
    record = status.turns[-1]
    assert (status.phase, status.turn, status.result) == (Phase.IDLE, None, {"n": 1})
    assert (record.phase, record.checkpoint_id, record.first_seq, record.last_seq) == ("Failed", "1ef", 4, 9)
    assert (record.finished_at, record.by) == (NOW, "ann")
    assert record.error is not None
    assert len(record.error.message) <= 1024
    assert status.error is not None
    assert len(status.error.message) == 4000
    assert [(note.reason, note.type) for note in told.notes] == [(Reason.TURN_FAILED, "Warning")]


def test_a_turn_that_ends_without_a_word_leaves_no_question_and_no_result() -> None:
    asked = [{"id": "q", "value": "?"}, {"id": "p", "value": "?", "answeredAt": wire_time(NOW), "answer": 1}]
    taken = {"id": "o", "value": "?", "answeredAt": wire_time(NOW), "resumedAt": wire_time(NOW)}
    session = on(phase=Phase.WAITING_FOR_INPUT, interrupts=[*asked, taken], question="?", result={"old": 1})
    status = end_turn(session, "Canceled", NOW).session.status
    assert ([each.id for each in status.interrupts], status.question, status.result) == (["o"], None, None)
    assert (status.phase, status.reason) == (Phase.IDLE, Reason.TURN_CANCELED)


def test_a_record_of_a_turn_that_is_not_on_does_not_stay_on_for_ever() -> None:
    records = [ended(1), {"name": "lost", "number": 2, "phase": "Running"}]
    session = idle(a_conversation({"name": "lost"}), turns=records, turnCount=2).build()
    plan = decide(session, SEEN, NOW, Rules())
    assert plan.status is not None
    assert [(each.name, each.phase) for each in plan.status.turns] == [("t1", "Completed"), ("lost", "Failed")]


def test_turns_that_are_cancelled_before_they_begin_have_no_number() -> None:
    session = idle(a_conversation({"name": "a", "cancel": True}, {"name": "b"}, {"name": "c", "cancel": True})).build()
    change = record_cancelled(session, NOW)
    records = change.session.status.turns
    assert [(each.name, each.number, each.phase) for each in records] == [
        ("a", None, "Canceled"),
        ("c", None, "Canceled"),
    ]
    assert build_turns(change.session) == []


def test_a_refused_turn_is_told_in_its_record_by_a_condition_and_an_event() -> None:
    session = idle(a_conversation({"name": "a"})).build()
    change = refuse_turn(session, session.spec.turns[0], Reason.INVALID_INPUT, "/spec/turns/0/input: no", NOW)
    (record,) = change.session.status.turns
    condition = find_condition(change.session.status.conditions, "TurnAccepted")
    assert record.error is not None
    assert (record.phase, record.error.type) == ("Refused", "InvalidInput")
    assert condition is not None
    assert (condition.status, condition.reason) == ("False", "InvalidInput")
    assert change.notes[0].type == "Warning"


# Rolling back.


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([ended(1, checkpointId="c1"), ended(2, "Canceled", preemptedBy="now")], "c1"),
        ([ended(1, checkpointId="c1"), ended(2, "Failed"), ended(3, "Canceled", preemptedBy="now")], "c1"),
        ([ended(1, "Canceled", preemptedBy="now")], ""),
        ([ended(1, "Failed"), ended(2, "Canceled", preemptedBy="now")], ""),
        # It was cancelled by somebody, or ended by itself.
        ([ended(1, checkpointId="c1"), ended(2, "Canceled")], None),
        ([ended(1, checkpointId="c1"), ended(2, "Completed", checkpointId="c2")], None),
        # What is not shown any more may have had a checkpoint: nothing is rolled back rather than everything.
        ([ended(30, "Failed"), ended(31, "Canceled", preemptedBy="now")], None),
    ],
)
def test_a_rollback_goes_back_to_the_last_checkpoint_before_the_turn_that_it_preempted(
    records: list[dict[str, Any]], expected: str | None
) -> None:
    session = idle(a_conversation({"name": "now", "preempt": "Rollback"}), turns=records).build()
    assert find_base(session, session.spec.turns[0]) == expected
    interrupting = session.spec.turns[0].model_copy(update={"preempt": "Interrupt"})
    assert find_base(session, interrupting) is None


def test_who_preempts_is_remembered_once() -> None:
    marked = mark_cancelled(mark_cancelled(on(), preempted_by="b"), preempted_by="c")
    assert marked.status.turn is not None
    assert (marked.status.turn.cancel, marked.status.turn.preempted_by) == (True, "b")
    record = end_turn(marked, "Canceled", NOW).session.status.turns[-1]
    assert record.preempted_by == "b"
    assert end_turn(marked, "Failed", NOW).session.status.turns[-1].preempted_by is None


# What is kept.


def test_the_oldest_ends_over_twenty_go_first_from_the_spec_and_then_from_the_status() -> None:
    records = [ended(number) for number in range(1, KEPT_TURNS + 4)]
    turns = [{"name": each["name"]} for each in records]
    full = idle(a_conversation(*turns, {"name": "next"}), turns=records).build()
    assert find_prunable(full, full.status) == ("t1", "t2", "t3")
    # A record goes after its turn: a turn without one would begin again.
    assert drop_pruned(full) is full
    pruned = idle(a_conversation(*turns[3:], {"name": "next"}), turns=records).build()
    assert [each.name for each in drop_pruned(pruned).status.turns] == [each["name"] for each in turns[3:]]
    assert find_prunable(pruned, pruned.status) == ()


def test_the_records_keep_to_their_room() -> None:
    session = idle(a_conversation(*({"name": f"r{number}"} for number in range(60)))).build()
    for turn in session.spec.turns:
        session = refuse_turn(session, turn, Reason.INVALID_INPUT, "ü" * 4000, NOW).session
    size = sum(len(encode_json(each.to_wire())) for each in session.status.turns)
    assert size <= ROOM_FOR_RECORDS
    assert len(session.status.turns) == 60
    last = session.status.turns[-1].error
    assert last is not None
    assert last.message


def test_three_hundred_turns_in_a_row_leave_the_resource_as_small_as_twenty() -> None:
    session, sizes = idle(a_conversation(), phase="Idle").build(), []
    for number in range(300):
        name = f"turn-{number:03}"
        turn = {"name": name, "input": {"text": "x" * 100}, "by": "ann"}
        spec = session.spec.model_copy(
            update={"turns": (*session.spec.turns, *a_conversation(turn).build().spec.turns)}
        )
        session = session.model_copy(update={"spec": spec})
        begun = begin_turn(session, session.spec.turns[-1], NOW)
        session = drop_pruned(end_turn(begun, "Completed", NOW, checkpoint_id="1f0" * 12).session)
        gone = find_prunable(session, session.status)
        kept = tuple(each for each in session.spec.turns if each.name not in gone)
        session = session.model_copy(update={"spec": session.spec.model_copy(update={"turns": kept})})
        sizes.append(len(encode_json(session.to_wire())))
    assert session.status.turn_count == 300
    assert len(session.spec.turns) == KEPT_TURNS
    # Numbers have more digits.
    assert sizes[-1] - sizes[KEPT_TURNS + 1] < 100


# What is refused.


@pytest.mark.parametrize(
    ("turn", "approval", "reason", "words"),
    [
        ({"input": 1, "command": {"goto": "a"}}, None, Reason.INVALID_TURN, "an input or a command, not both"),
        ({"input": "x" * 33_000}, None, Reason.INVALID_TURN, "/spec/turns/0/input"),
        ({"command": {"goto": {"node": 1}}}, None, Reason.INVALID_TURN, "/spec/turns/0/command/goto: goto is the name"),
        ({"command": {"update": {"n": 2**64}}}, None, Reason.INVALID_TURN, "/spec/turns/0/command/update/n"),
        (
            {"config": {"configurable": {"thread_id": "x"}}},
            None,
            Reason.INVALID_CONFIG,
            "/spec/turns/0/config/configurable",
        ),
        ({"context": {"big": "x" * 40_000}}, None, Reason.INVALID_CONFIG, "/spec/turns/0/context"),
        ({"command": {"goto": "pay"}}, {"count": 1}, Reason.INVALID_TURN, "/spec/turns/0/command: the workflow has an"),
        (
            {"fromCheckpoint": "1ef"},
            {"count": 1},
            Reason.INVALID_TURN,
            "/spec/turns/0/fromCheckpoint: the workflow has",
        ),
        ({"input": 1}, {"notCreator": True}, Reason.INVALID_TURN, "/spec/turns/0/by: questions of this workflow"),
    ],
)
def test_a_turn_that_no_graph_may_be_given_is_refused_with_its_place(
    turn: dict[str, Any], approval: dict[str, Any] | None, reason: Reason, words: str
) -> None:
    session = a_conversation({"name": "a", **turn}).build()
    snapshot = SNAPSHOT.model_copy(update={"spec": {"approval": approval} if approval is not None else {}})
    refused = check_turn(session, session.spec.turns[0], snapshot, SEEN.definition)
    assert refused is not None
    assert (refused.reason, words in refused.message) == (reason, True), refused


@pytest.mark.parametrize(
    "turn",
    [
        {},
        {"input": None},
        {"input": {"messages": ["hello"]}, "by": "ann"},
        {"command": {"goto": "a"}},
        {"command": {"goto": ["a", "b"], "update": {"x": None}}},
        {"fromCheckpoint": "1ef", "preempt": "Rollback", "context": {"a": 1}},
    ],
)
def test_other_turns_are_taken(turn: dict[str, Any]) -> None:
    session = a_conversation({"name": "a", **turn}).build()
    assert check_turn(session, session.spec.turns[0], SNAPSHOT, SEEN.definition) is None


# Passes.


def test_a_turn_waits_for_a_place_and_takes_none_while_it_does() -> None:
    full = a_definition(maxActiveSessions=1, status={"runnerContract": 3})
    session = idle(a_conversation({"name": "a", "input": 1})).build()
    seen = Observation(definition=full, turn=TurnCheck("a"))
    plan = decide(session, replace(seen, queue=replace(seen.queue, active=1)), NOW, Rules())
    assert plan.job is None
    assert plan.status is not None
    assert (plan.status.phase, plan.status.reason, plan.status.turn) == (Phase.IDLE, "Queued", None)
    free = decide(session, seen, NOW, Rules())
    assert free.job is not None
    assert free.status is not None
    assert free.status.turn is not None


def test_a_turn_begins_not_before_the_pod_of_the_one_before_has_ended() -> None:
    records = [ended(1)]
    session = idle(a_conversation({"name": "t1"}, {"name": "a", "input": 1}), turns=records, turnCount=1).build()
    seen = replace(SEEN, turn=TurnCheck("a"), jobs=(a_job(),), pods=(a_pod(phase="Running"),))
    waiting = decide(session, seen, NOW, Rules())
    assert (waiting.job, waiting.delete_jobs) == (None, ())
    late = decide(session, seen, NOW + timedelta(seconds=6), Rules())
    assert late.delete_jobs == ("s-r1",)
    assert late.status is not None
    assert (late.status.withdrawn_run, late.status.turn) == (1, None)


@pytest.mark.parametrize(("answers", "is_over"), [([], True), ([{"interruptId": "q", "at": wire_time(NOW)}], False)])
def test_only_an_answer_gives_a_turn_in_a_warm_pod_its_time_anew(answers: list[dict[str, Any]], is_over: bool) -> None:
    """A run says itself when it went on, and would have no end."""
    said = {"id": "q", "value": "?", "answeredAt": wire_time(NOW), "resumedAt": wire_time(NOW)}
    built = a_conversation({"name": "a"}, keepWarmSeconds=600).accepted(Phase.RUNNING)
    record = {"name": "a", "number": 3, "phase": "Running"}
    changes = {"turn": ON, "turnCount": 3, "turns": [record], "limits": {"timeoutSeconds": 60}}
    session = built.with_status(**changes, interrupts=[said], answers=answers).build()
    seen = replace(SEEN, jobs=(a_job(created_at=NOW - timedelta(minutes=10)),), pods=(a_pod(phase="Running"),))
    assert bool(decide(session, seen, NOW, Rules()).delete_jobs) is is_over


def test_a_turn_that_takes_too_long_in_a_warm_pod_is_drained_and_fails() -> None:
    limits = {"timeoutSeconds": 60}
    built = a_conversation({"name": "a"}, keepWarmSeconds=600).accepted(Phase.RUNNING)
    record = {"name": "a", "number": 3, "phase": "Running"}
    session = built.with_status(turn=ON, turnCount=3, turns=[record], limits=limits).build()
    seen = replace(SEEN, jobs=(a_job(created_at=NOW - timedelta(minutes=10)),), pods=(a_pod(phase="Running"),))
    draining = decide(session, seen, NOW, Rules())
    assert draining.delete_jobs == ("s-r1",)
    assert draining.status is not None
    assert draining.status.turn is not None
    failed = decide(session.model_copy(update={"status": draining.status}), SEEN, NOW, Rules())
    assert failed.status is not None
    assert [(each.phase, each.error and each.error.type) for each in failed.status.turns] == [
        ("Failed", "DeadlineExceeded")
    ]
    assert failed.status.phase is Phase.IDLE


def test_a_pod_that_stays_beyond_its_time_goes() -> None:
    session = idle(a_conversation({"name": "t1"}, keepWarmSeconds=60), turns=[ended(1)], turnCount=1).build()
    seen = replace(SEEN, jobs=(a_job(),), pods=(a_pod(phase="Running"),))
    assert decide(session, seen, NOW + timedelta(seconds=100), Rules()).delete_jobs == ()
    assert decide(session, seen, NOW + timedelta(seconds=151), Rules()).delete_jobs == ("s-r1",)


@pytest.mark.parametrize(
    ("spec", "days", "expected"),
    [
        ({}, 30, 30 * 86_400),
        ({}, 0, None),
        ({"ttlSecondsAfterFinished": 60}, 30, 60),
        ({"ttlSecondsAfterFinished": 60, "idleDeadlineSeconds": 5}, 30, 5),
    ],
)
def test_how_long_a_conversation_may_be_idle(spec: dict[str, Any], days: int, expected: int | None) -> None:
    session = a_conversation(**spec).build()
    assert effective_idle_deadline(session, None, JobDefaults(retention_days=days)) == expected


def test_the_job_of_one_turn_has_a_deadline_and_that_of_several_has_none() -> None:
    for spec, has_deadline in (({}, True), ({"keepWarmSeconds": 5}, False)):
        job = build_job(a_conversation(**spec).build(), SNAPSHOT, None, 1, "thread", JobDefaults())
        assert ("activeDeadlineSeconds" in job["spec"]) is has_deadline
    once = build_job(a_session().with_spec(keepWarmSeconds=5).build(), SNAPSHOT, None, 1, "thread", JobDefaults())
    assert "activeDeadlineSeconds" in once["spec"]


# Places of `maxActiveSessions`.


@pytest.mark.parametrize(
    ("status", "turns", "has_job", "slot"),
    [
        ({"phase": "Idle"}, [], False, Slot.NONE),
        ({"phase": "Idle"}, [], True, Slot.NONE),
        ({"phase": "Idle", "reason": "Queued"}, [{"name": "a"}], False, Slot.WAITING),
        ({"phase": "Idle", "reason": "Queued"}, [{"name": "a"}], True, Slot.NONE),
        ({"phase": "Idle", "reason": "Queued"}, [], False, Slot.NONE),
        ({"phase": "Idle", "turn": {"number": 2}, "turnEnd": {"number": 1}}, [], True, Slot.ACTIVE),
        ({"phase": "Idle", "turn": {"number": 2}, "turnEnd": {"number": 2}}, [], True, Slot.NONE),
        ({}, [], False, Slot.NONE),
        ({}, [{"name": "a"}], False, Slot.WAITING),
        ({"phase": "Pending", "reason": "TooManyConversations"}, [{"name": "a"}], False, Slot.NONE),
        # Resumed in the middle of a turn, while others have all places.
        ({"phase": "Pending", "reason": "Queued", "turn": {"number": 1}}, [], False, Slot.WAITING),
    ],
)
def test_what_a_conversation_is_to_its_workflows_limit(
    status: dict[str, Any], turns: list[dict[str, Any]], has_job: bool, slot: Slot
) -> None:
    entry = read_entry({**a_conversation(*turns).raw(), "status": status})
    assert find_slot(entry, has_job=has_job) is slot


def test_a_pass_is_due_when_a_turn_was_handed_over_or_ended_although_the_phase_is_the_same() -> None:
    raw = {**a_conversation({"name": "a"}).raw(), "status": {"phase": "Idle", "turn": {"number": 2}}}
    told = {**raw, "status": {**raw["status"], "turnEnd": {"number": 2}}}
    assert not read_entry(raw).is_like(read_entry(told))
    assert not read_entry(raw).is_like(read_entry({**raw, "status": {"phase": "Idle"}}))


# What others could do to a conversation.


@pytest.mark.parametrize("text", ["x" * 27_000, "<" * 5_000])
def test_turns_that_ended_never_fill_the_list_of_turns(text: str) -> None:
    records = [ended(number) for number in range(1, KEPT_TURNS + 1)]
    turns = [{"name": each["name"], "input": text} for each in records]
    session = idle(a_conversation(*turns), turns=records, turnCount=KEPT_TURNS).build()
    gone = find_prunable(session, session.status)
    left = [each for each in session.spec.turns if each.name not in gone]
    size = sum(len(encode_json(each.to_wire())) + 5 * str(each.input).count("<") for each in left)
    assert size <= MAX_TURNS_BYTES // 2
    # The newest ones stay, and no more go than have to.
    assert [each.name for each in left] == [each["name"] for each in records[-len(left) :]]
    assert len(left) >= 8


def test_a_turn_that_has_not_ended_is_never_pruned() -> None:
    turns = [{"name": f"w{number}", "input": "x" * 32_000} for number in range(15)]
    session = idle(a_conversation({"name": "t1"}, *turns), turns=[ended(1)], turnCount=1).build()
    assert find_prunable(session, session.status) == ("t1",)


def test_a_rollback_of_a_rollback_goes_back_to_before_both() -> None:
    records = [
        ended(1, checkpointId="c1"),
        ended(2, "Canceled", checkpointId="c2", preemptedBy="edit", rolledBack=True),
        {**ended(3, "Canceled", checkpointId="c3", preemptedBy="again", rolledBack=True), "name": "edit"},
    ]
    edits = {"name": "edit", "preempt": "Rollback"}, {"name": "again", "preempt": "Rollback"}
    session = idle(a_conversation(*edits), turns=records).build()
    assert find_base(session, session.spec.turns[1]) == "c1"
    first = idle(a_conversation(*edits), turns=[{**records[1], "number": 1}, {**records[2], "number": 2}]).build()
    assert find_base(first, first.spec.turns[1]) == ""


@pytest.mark.parametrize(
    ("turn", "check"),
    [
        ({}, TurnCheck("bad", refused=Refused(Reason.INVALID_INPUT, "/spec/turns/1/input: no"))),
        ({"config": {"configurable": {"thread_id": "x"}}}, TurnCheck("bad")),
    ],
)
def test_a_turn_that_will_not_run_preempts_nothing_and_stands_before_none(
    turn: dict[str, Any], check: TurnCheck
) -> None:
    session = on(
        {"name": "bad", "preempt": "Interrupt", **turn},
        {"name": "good", "preempt": "Interrupt", "input": {"text": "now"}},
        workflow={"image": SNAPSHOT.image, "generation": 1, "runnerContract": 3},
    )
    seen = replace(SEEN, jobs=(a_job(),), pods=(a_pod(phase="Running"),))
    refusing = decide(session, replace(seen, turn=check), NOW, Rules())
    assert refusing.status is not None
    assert refusing.status.turn is not None
    assert (refusing.status.turn.cancel, refusing.delete_jobs) == (None, ())
    assert (refusing.status.turns[-1].name, refusing.status.turns[-1].phase) == ("bad", "Refused")
    refused = session.model_copy(update={"status": refusing.status})
    preempting = decide(refused, replace(seen, turn=TurnCheck("good")), NOW, Rules())
    assert preempting.status is not None
    assert preempting.status.turn is not None
    assert (preempting.status.turn.cancel, preempting.status.turn.preempted_by) == (True, "good")


@pytest.mark.parametrize(
    ("by", "fields", "is_refused"),
    [("ann", {}, True), ("bob", {}, False), ("ann", {"input": {"text": "no"}}, False)],
)
@pytest.mark.parametrize("is_defined", [True, False])
def test_nobody_goes_on_with_a_turn_whose_questions_its_author_may_not_answer(
    by: str, fields: dict[str, Any], is_refused: bool, is_defined: bool
) -> None:
    rule = {"notCreator": True}
    asked = [] if is_defined else [{"interruptId": "q", "rule": rule}]
    built = idle(a_conversation({"name": "a", "by": by, **fields}), turns=[ended(1, "Canceled", by="bob")])
    session = built.with_status(approvals=asked).build()
    snapshot = SNAPSHOT.model_copy(update={"spec": {"approval": rule} if is_defined else {}})
    refused = check_turn(session, session.spec.turns[0], snapshot, SEEN.definition)
    assert (refused is not None) is is_refused


@pytest.mark.parametrize(
    ("error", "output"), [({}, None), ("gone", None), ({"type": 1}, None), (None, "x" * 100_000), (None, {"n": 1})]
)
def test_what_a_pod_stored_as_its_end_keeps_no_turn_from_being_cancelled(error: Any, output: Any) -> None:
    asked = {"name": "a", "by": "ann", "cancel": True}
    built = a_conversation(asked).accepted(Phase.RUNNING)
    session = built.with_status(turn=ON, turnCount=3, turns=[{"name": "a", "number": 3, "phase": "Running"}]).build()
    row = TurnRow(
        session_uid="uid-s",
        number=3,
        name="a",
        project_name="team",
        session_name="s",
        phase=TurnPhase.COMPLETED if error is None else TurnPhase.FAILED,
        run=1,
        created_at=NOW,
        finished_at=NOW,
        output=output,
        error=error,
    )
    plan = decide(session, replace(SEEN, stored_end=row), NOW, Rules())
    assert plan.status is not None
    assert plan.status.turns[-1].phase == ("Completed" if error is None else "Failed")
    assert plan.status.result == (output if output == {"n": 1} else None)


def test_a_turn_that_had_ended_is_not_cancelled_by_the_end_of_its_session() -> None:
    built = a_conversation({"name": "a", "by": "ann"}, stop=True).accepted(Phase.RUNNING)
    session = built.with_status(turn=ON, turnCount=3, turns=[{"name": "a", "number": 3, "phase": "Running"}]).build()
    row = TurnRow(
        session_uid="uid-s",
        number=3,
        name="a",
        project_name="team",
        session_name="s",
        phase=TurnPhase.COMPLETED,
        run=1,
        created_at=NOW,
        finished_at=NOW,
        checkpoint_id="c3",
    )
    ended = decide(session, replace(SEEN, stored_end=row), NOW, Rules()).status
    assert ended is not None
    assert (ended.phase, ended.turn, ended.turns[-1].phase) == (Phase.STOPPED, None, "Completed")
    unknown = decide(session, replace(SEEN, is_end_unknown=True), NOW, Rules()).status
    assert unknown is not None
    assert (unknown.phase, unknown.reason) == (Phase.RUNNING, Reason.DATABASE_UNAVAILABLE)
    cut_off = decide(session, SEEN, NOW, Rules()).status
    assert cut_off is not None
    assert (cut_off.phase, cut_off.turns[-1].phase) == (Phase.STOPPED, "Canceled")


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_while_the_database_does_not_say_how_a_turn_ended_it_does_not_end(is_cancelled: bool) -> None:
    asked = {"name": "a", "by": "ann", **({"cancel": True} if is_cancelled else {})}
    built = a_conversation(asked).accepted(Phase.RUNNING)
    session = built.with_status(
        turn=ON, turnCount=3, restarts=3, turns=[{"name": "a", "number": 3, "phase": "Running"}]
    ).build()
    known = decide(session, SEEN, NOW, Rules())
    assert known.status is not None
    assert known.status.turns[-1].phase == ("Canceled" if is_cancelled else "Failed")
    plan = decide(session, replace(SEEN, is_end_unknown=True), NOW, Rules())
    assert plan.status is not None
    assert plan.status.turn is not None
    assert (plan.status.turns[-1].phase, plan.status.reason) == ("Running", Reason.DATABASE_UNAVAILABLE)
    assert plan.job is None
    assert plan.wake_at is not None
    # People who wait for their answer are not kept waiting: a run that asks has stored no end.
    asking = session.model_copy(update={"status": session.status.model_copy(update={"phase": Phase.WAITING_FOR_INPUT})})
    if is_cancelled:
        at_once = decide(asking, replace(SEEN, is_end_unknown=True), NOW, Rules())
        assert at_once.status is not None
        assert at_once.status.turns[-1].phase == "Canceled"


@pytest.mark.parametrize("field", [{"command": {"goto": "pay"}}, {"fromCheckpoint": "c1"}, {"input": {"text": "no"}}])
def test_behind_a_question_with_a_rule_of_its_own_leads_no_command_and_no_checkpoint(field: dict[str, Any]) -> None:
    asked = [{"interruptId": "q", "rule": {"notCreator": True}}]
    built = idle(a_conversation({"name": "a", "by": "ann", **field}), turns=[ended(1, "Canceled", by="ann")])
    free = built.build()
    assert check_turn(free, free.spec.turns[0], SNAPSHOT, SEEN.definition) is None
    session = built.with_status(approvals=asked).build()
    refused = check_turn(session, session.spec.turns[0], SNAPSHOT, SEEN.definition)
    if "input" in field:
        assert refused is None
        return
    assert refused is not None
    assert f"/spec/turns/0/{next(iter(field))}: a question here had an approval rule of its own" in refused.message


def test_answers_whose_questions_are_gone_never_fill_the_list_of_answers() -> None:
    responses = [{"interruptId": f"q{number}", "by": "ann", "value": 1} for number in range(KEPT_RESPONSES + 40)]
    # Two questions are there yet: one answered, one that is answered just now.
    asked = [{"id": "q0", "answeredAt": wire_time(NOW)}, {"id": f"q{KEPT_RESPONSES + 39}"}]
    session = idle(a_conversation(responses=responses), interrupts=asked).build()
    old = find_old_responses(session, session.status)
    assert old == tuple(range(1, 41))
    assert decide(session, SEEN, NOW, Rules(JobDefaults())).prune_responses == old
    # A question that this very pass forgets is there as long as its answer could be read.
    assert find_old_responses(session, session.status.model_copy(update={"interrupts": ()})) == old
    few = idle(a_conversation(responses=responses[:KEPT_RESPONSES])).build()
    assert find_old_responses(few, few.status) == ()


def test_the_deadline_of_an_idle_conversation_begins_anew_once_it_is_taken_out_of_a_suspension() -> None:
    long_ago = NOW - timedelta(days=3)
    records = [{**ended(1), "finishedAt": wire_time(long_ago)}]
    suspended = idle(a_conversation(idleDeadlineSeconds=3600), turns=records, turnCount=1).with_status(
        phase="Suspended", reason="Suspended"
    )
    plan = decide(suspended.build(), SEEN, NOW, Rules(JobDefaults()))
    assert plan.status is not None
    assert (plan.status.phase, plan.wake_at) == (Phase.IDLE, NOW + timedelta(seconds=3600))
    later = suspended.build().model_copy(update={"status": plan.status})
    again = decide(later, SEEN, NOW + timedelta(seconds=3599), Rules(JobDefaults()))
    assert (again.status or plan.status).phase is Phase.IDLE
    due = decide(later, SEEN, NOW + timedelta(seconds=3600), Rules(JobDefaults()))
    assert due.status is not None
    assert due.status.phase is Phase.COMPLETED


@pytest.mark.parametrize("has_pruned", [False, True])
def test_a_rollback_whose_turn_saved_nothing_is_no_state_to_go_back_to(has_pruned: bool) -> None:
    edit = {"name": "edit", "preempt": "Rollback"}
    on = {"name": "t2", "number": 2, "startedAt": wire_time(NOW), "cancel": True, "preemptedBy": "edit"}
    session = idle(a_conversation({"name": "t2"}, edit), turns=[ended(1, checkpointId="c1")], turn=on).build()
    rolled_back = end_turn(session, "Canceled", NOW, checkpoint_id="c2").session
    assert rolled_back.status.turns[-1].rolled_back
    begun = begin_turn(rolled_back, rolled_back.spec.turns[1], NOW)
    assert begun.status.turn is not None
    assert begun.status.turn.from_checkpoint == "c1"
    # It fails before its first checkpoint: the thread still ends where the turn before it did.
    failed = end_turn(begun, "Failed", NOW, checkpoint_id="c2").session
    assert failed.status.turns[-1].checkpoint_id is None
    # A turn after it, which is rolled back in its turn; the one that rolled the first one back may be gone by then.
    turns = [] if has_pruned else [edit]
    later = a_conversation(*turns, {"name": "t4"}, {"name": "last", "preempt": "Rollback"})
    records = [each.to_wire() for each in failed.status.turns]
    gone = {"name": "t4", "number": 4, "startedAt": wire_time(NOW), "cancel": True, "preemptedBy": "last"}
    session = idle(later, turns=records, turn=gone, turnCount=4).build()
    again = end_turn(session, "Canceled", NOW, checkpoint_id="c4").session
    assert find_base(again, again.spec.turns[-1]) == "c1"


@pytest.mark.parametrize(
    ("by", "phase", "fields", "is_refused"),
    [
        ("ann", "Failed", {}, True),
        ("ann", "Canceled", {}, True),
        ("", "Failed", {}, True),
        ("bob", "Failed", {}, False),
        ("ann", "Completed", {}, False),
        ("ann", "Failed", {"input": {"text": "no"}}, False),
    ],
)
def test_nobody_else_goes_on_with_a_turn_that_did_not_come_to_its_end_also_before_it_asked(
    by: str, phase: str, fields: dict[str, Any], is_refused: bool
) -> None:
    # Its question may have a rule of its own, which nobody knows yet.
    built = idle(a_conversation({"name": "a", "by": by, **fields}), turns=[ended(1, phase, by="bob")])
    session = built.build()
    refused = check_turn(session, session.spec.turns[0], SNAPSHOT, SEEN.definition)
    assert (refused is not None) is is_refused
    assert refused is None or "of bob" in refused.message
