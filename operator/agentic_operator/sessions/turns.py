"""Turns of a conversation: which one is next, and how the status records that one begins and ends.

The invariants, over any order of passes, runners' words, cancellations and deaths:

    A turn that is recorded is on or has ended, and each record ends once. At most one turn is on, and it is the one of
    ``status.turn``. Turns begin in the order of ``spec.turns``, those that preempt before the others.

They hold because the record, ``status.turn`` and its number are written together under the version that was read, and
because a name that has a record, or had one, never begins again. Pure.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agentic_core.conditions import Reason, find_condition, with_condition
from agentic_core.contract import KEPT_TURNS, MAX_TURNS_BYTES
from agentic_core.lifecycle import Actor, Phase, is_legal
from agentic_core.resources import AgenticSession, CurrentTurn, RunError, SessionStatus, Turn, TurnRecord
from agentic_core.resources.turns import EndPhase, TurnPhase
from agentic_core.strict_json import encode_json
from agentic_core.times import is_believable
from agentic_operator.kube.events import Event
from agentic_operator.sessions.diagnosis import clip
from agentic_operator.sessions.status import build_condition, change_session

CONDITION: Final = "TurnAccepted"
# Of the 1.5 MiB that etcd takes, see the policy `sessions-leave-room`.
ROOM_FOR_RECORDS: Final = 64 * 1024
# What clients show of earlier turns: a person's words and a graph's answer, and no state of a graph.
MAX_RECORDED_RESULT: Final = 2 * 1024
ROOM_FOR_RESULTS: Final = 24 * 1024
MAX_ERROR: Final = 1024
# Of the 256 that spec.responses takes.
KEPT_RESPONSES: Final = 64
# What the API server writes as six bytes each.
_ESCAPED: Final = (b"<", b">", b"&")

_REASONS: Final[dict[TurnPhase, Reason]] = {
    "Completed": Reason.TURN_COMPLETED,
    "Failed": Reason.TURN_FAILED,
    "Canceled": Reason.TURN_CANCELED,
    "Refused": Reason.TURN_REFUSED,
}


@dataclass(frozen=True)
class Change:
    """A session with its turns as they are from now on, and what is told of them."""

    session: AgenticSession
    notes: tuple[Event, ...] = ()


# -- which turn


def find_record(status: SessionStatus, name: str) -> TurnRecord | None:
    """Return what is recorded of a turn."""
    return next((each for each in status.turns if each.name == name), None)


def list_waiting(session: AgenticSession) -> list[Turn]:
    """Return the turns that have not begun, in their order, those that were cancelled included."""
    known = {each.name for each in session.status.turns}
    return [each for each in session.spec.turns if each.name not in known]


def find_next(session: AgenticSession) -> Turn | None:
    """Return the turn that begins next: the first that preempts, else the first that waits."""
    waiting = [each for each in list_waiting(session) if not each.cancel]
    return next((each for each in waiting if each.preempt is not None), waiting[0] if waiting else None)


def find_candidate(session: AgenticSession) -> Turn | None:
    """Return the turn that has to be checked now because it could begin; None while another one goes on."""
    found = find_next(session)
    if found is None or session.status.turn is None or has_ended(session) or is_cancelled(session):
        return found
    return found if found.preempt is not None else None


def has_work(session: AgenticSession) -> bool:
    """Return whether a turn is on, or one waits."""
    return session.status.turn is not None or find_next(session) is not None


def has_ended(session: AgenticSession) -> bool:
    """Return whether the runner has told the end of the turn that is on."""
    turn, end = session.status.turn, session.status.turn_end
    return turn is not None and end is not None and (end.name, end.number) == (turn.name, turn.number)


def is_cancelled(session: AgenticSession) -> bool:
    """Return whether somebody wants the turn that is on to end, or the operator has begun to end it."""
    turn = session.status.turn
    if turn is None:
        return False
    asked = session.find_turn(turn.name)
    return bool(turn.cancel) or (asked is not None and bool(asked.cancel))


# -- how it is recorded


def begin_turn(session: AgenticSession, turn: Turn, now: datetime) -> AgenticSession:
    """Return the session with a turn that is on from now on."""
    status = session.status
    if status.turn is not None or find_record(status, turn.name) is not None:
        raise ValueError(f"turn {turn.name!r} cannot begin beside {status.turn!r}, nor twice")
    at, number = now.replace(microsecond=0), (status.turn_count or 0) + 1
    base = find_base(session, turn)
    current = CurrentTurn(name=turn.name, number=number, by=turn.by, started_at=at, from_checkpoint=base)
    record = TurnRecord(name=turn.name, number=number, phase="Running", by=turn.by, started_at=at)
    conditions = status.conditions
    known = find_condition(conditions, CONDITION)
    if known is not None and known.status != "True":
        generation = session.metadata.generation
        told = build_condition(CONDITION, "True", Reason.TURN_ACCEPTED, f"turn {turn.name} began", now, generation)
        conditions = tuple(with_condition(conditions, told))
    return _change(
        session,
        turn=current,
        turn_count=number,
        turns=fit_records((*status.turns, record)),
        restarts=None,
        conditions=conditions,
    )


def find_base(session: AgenticSession, turn: Turn) -> str | None:
    """Return the checkpoint that a turn goes on from because it rolled another one back; None if it did not.

    That is the last one that was told before the turn that was rolled back; empty if there was none.
    """
    if turn.preempt != "Rollback":
        return None
    gone = next((each for each in session.status.turns if each.preempted_by == turn.name), None)
    if gone is None or gone.number is None or gone.phase != "Canceled":
        # It ended by itself before it was cancelled: its end stands.
        return None
    before = [each for each in session.status.turns if each.number is not None and each.number < gone.number]
    # What a turn left that was rolled back is no state to go back to.
    known = [each for each in before if each.checkpoint_id and not each.rolled_back]
    if known:
        return max(known, key=lambda each: each.number or 0).checkpoint_id
    # Records that were pruned may have had one: nothing is rolled back rather than everything.
    return "" if len(before) == gone.number - 1 else None


def fold(session: AgenticSession, now: datetime) -> Change:
    """Record the end of the current turn as the runner reported it; the end of any other turn is ignored."""
    turn, end = session.status.turn, session.status.turn_end
    if turn is None or end is None or not has_ended(session):
        return Change(session)
    at = end.finished_at
    ended = end_turn(
        session,
        end.phase,
        now,
        error=end.error,
        message=end.error.message if end.error is not None else "",
        checkpoint_id=end.checkpoint_id,
        finished_at=at if at is not None and is_believable(at, since=turn.started_at, now=now) else None,
        first_seq=end.first_seq,
        last_seq=end.last_seq,
        result=keep_result(session.status.result) if end.phase == "Completed" else None,
    )
    # Result and error are in the status already: the runner wrote them together with the end.
    kept = {name: getattr(session.status, name) for name in ("result", "result_ref", "error")}
    return Change(_change(ended.session, **kept), ended.notes)


def end_turn(
    session: AgenticSession,
    phase: EndPhase,
    now: datetime,
    *,
    error: RunError | None = None,
    message: str = "",
    checkpoint_id: str | None = None,
    finished_at: datetime | None = None,
    **fields: Any,
) -> Change:
    """Return the session idle, with its current turn ended; nobody can answer the turn's questions any more."""
    status = session.status
    turn = status.turn
    if turn is None:
        return Change(session)
    others = tuple(each for each in status.turns if each.name != turn.name)
    if checkpoint_id is not None and checkpoint_id in {each.checkpoint_id for each in others}:
        # It is where another turn ended: this one saved nothing.
        checkpoint_id = None
    preempting = session.find_turn(turn.preempted_by) if turn.preempted_by is not None else None
    is_rolled_back = phase == "Canceled" and preempting is not None and preempting.preempt == "Rollback"
    old = find_record(status, turn.name) or TurnRecord(name=turn.name, number=turn.number, phase="Running", by=turn.by)
    record = old.model_copy(
        update={
            "phase": phase,
            "started_at": old.started_at or turn.started_at,
            "finished_at": finished_at or now.replace(microsecond=0),
            "checkpoint_id": checkpoint_id,
            "error": _shorten(error),
            "preempted_by": turn.preempted_by if phase == "Canceled" else None,
            "rolled_back": is_rolled_back or None,
            **fields,
        }
    )
    said = f"turn {turn.name} {_VERBS[phase]}" + (f": {message}" if message else "")
    idle = Phase.IDLE if is_legal(status.phase, Phase.IDLE, Actor.OPERATOR) else status.phase or Phase.PENDING
    is_waiting = find_condition(status.conditions, "WaitingForInput")
    ended = change_session(
        session,
        idle,
        _REASONS[phase],
        clip(said),
        now,
        conditions={"WaitingForInput": "False"} if is_waiting is not None and is_waiting.status == "True" else None,
        turn=None,
        turns=fit_records((*others, record)),
        restarts=None,
        question=None,
        current_node=None,
        interrupts=tuple(each for each in status.interrupts if each.resumed_at is not None),
        result=None,
        result_ref=None,
        error=error,
    )
    note = Event(_REASONS[phase], clip(said), "Warning" if phase == "Failed" else "Normal", "Converse")
    return Change(session.model_copy(update={"status": ended}), (note,))


_VERBS: Final[dict[TurnPhase, str]] = {
    "Completed": "completed",
    "Failed": "failed",
    "Canceled": "was cancelled",
    "Refused": "was refused",
}


def mark_cancelled(session: AgenticSession, *, preempted_by: str | None = None) -> AgenticSession:
    """Return the session with the turn that is on marked as being cancelled."""
    turn = session.status.turn
    if turn is None:
        return session
    marked = turn.model_copy(update={"cancel": True, "preempted_by": turn.preempted_by or preempted_by})
    return session if marked == turn else _change(session, turn=marked)


def record_cancelled(session: AgenticSession, now: datetime) -> Change:
    """Record the turns that were cancelled before they began."""
    found = [each for each in list_waiting(session) if each.cancel]
    if not found:
        return Change(session)
    records = tuple(_build_record(each, "Canceled", now) for each in found)
    notes = tuple(
        Event(Reason.TURN_CANCELED, clip(f"turn {each.name} was cancelled before it began"), action="Converse")
        for each in found
    )
    return Change(_change(session, turns=fit_records((*session.status.turns, *records))), notes)


def mend_records(session: AgenticSession, now: datetime) -> AgenticSession:
    """Return the session without records of turns that are on although another one is, or none.

    The operator never writes such; somebody who may write any status can, and one that cannot be read is taken for
    absent.
    """
    turn = session.status.turn
    current = turn.name if turn is not None else None
    if all(each.is_over or each.name == current for each in session.status.turns):
        return session
    error = RunError(type=Reason.RUNNER_LOST.value, message="the status did not say any more that it was on")
    changes = {"phase": "Failed", "finished_at": now.replace(microsecond=0), "error": error}
    mended = (
        each if each.is_over or each.name == current else each.model_copy(update=changes)
        for each in session.status.turns
    )
    return _change(session, turns=tuple(mended))


def refuse_turn(session: AgenticSession, turn: Turn, reason: Reason, message: str, now: datetime) -> Change:
    """Record that a turn will not run, and why; the conversation goes on with the next one."""
    error = RunError(type=reason.value, message=clip(message, limit=MAX_ERROR), retriable=False)
    record = _build_record(turn, "Refused", now, error=error)
    generation = session.metadata.generation
    text = clip(f"turn {turn.name} is refused: {message}")
    condition = build_condition(CONDITION, "False", reason, text, now, generation)
    kept = tuple(each for each in session.status.conditions if each.type != CONDITION)
    note = Event(Reason.TURN_REFUSED, text, "Warning", "Converse")
    return Change(
        _change(session, turns=fit_records((*session.status.turns, record)), conditions=(*kept, condition)), (note,)
    )


# -- how many are kept


def find_prunable(session: AgenticSession, status: SessionStatus) -> tuple[str, ...]:
    """Return the names of turns in ``spec.turns`` that ended, over those that are kept: the oldest ones.

    Also where few have ended that are large: the list is never full of nothing but ended turns.
    """
    over = [each.name for each in status.turns if each.is_over]
    doomed = set(over[: max(len(over) - KEPT_TURNS, 0)])
    sizes = {each.name: _measure_turn(each) for each in session.spec.turns}
    surplus = sum(size for name, size in sizes.items() if name not in doomed) - MAX_TURNS_BYTES // 2
    for name in over:
        if surplus <= 0:
            break
        if name not in doomed and name in sizes:
            doomed.add(name)
            surplus -= sizes[name]
    return tuple(each.name for each in session.spec.turns if each.name in doomed)


def find_old_responses(session: AgenticSession, status: SessionStatus) -> tuple[int, ...]:
    """Return the places in ``spec.responses`` of old answers, over those that are kept, whose questions are gone.

    A question goes with its turn, and nobody knows its id before it is asked: what answers none that is there, answers
    none that will be. The list is never full of such answers.
    """
    surplus = len(session.spec.responses) - KEPT_RESPONSES
    asked = {each.id for each in (*session.status.interrupts, *status.interrupts)}
    old = [index for index, each in enumerate(session.spec.responses) if each.interrupt_id not in asked]
    return tuple(old[: max(surplus, 0)])


def drop_pruned(session: AgenticSession) -> AgenticSession:
    """Return the session without the oldest records over those that are kept, of turns that are gone from the spec.

    A record goes after its turn, never before: a turn without one would begin again.
    """
    records = session.status.turns
    surplus = sum(each.is_over for each in records) - KEPT_TURNS
    named = {each.name for each in session.spec.turns}
    kept = []
    for each in records:
        if surplus > 0 and each.is_over:
            surplus -= 1
            if each.name not in named:
                continue
        kept.append(each)
    return session if len(kept) == len(records) else _change(session, turns=tuple(kept))


def keep_result(result: Any) -> Any:
    """Return what a record keeps of a result: all of it, or nothing of one that is large."""
    return result if len(encode_json(result)) <= MAX_RECORDED_RESULT else None


def fit_records(records: Iterable[TurnRecord]) -> tuple[TurnRecord, ...]:
    """Return records within their room: where it is full, the oldest say nothing of their results and their errors."""
    kept = _fit_results(list(records))
    surplus = sum(map(_measure, kept)) - ROOM_FOR_RECORDS
    for index, each in enumerate(kept):
        if surplus <= 0:
            break
        if each.error is not None and each.error.message:
            bare = each.model_copy(update={"error": each.error.model_copy(update={"message": ""})})
            surplus -= _measure(each) - _measure(bare)
            kept[index] = bare
    return tuple(kept)


def _fit_results(records: list[TurnRecord]) -> list[TurnRecord]:
    sizes = [len(encode_json(each.result)) if each.result is not None else 0 for each in records]
    surplus = sum(sizes) - ROOM_FOR_RESULTS
    kept = []
    for each, size in zip(records, sizes, strict=True):
        kept.append(each.model_copy(update={"result": None}) if size and surplus > 0 else each)
        surplus -= size
    return kept


def _build_record(turn: Turn, phase: TurnPhase, now: datetime, error: RunError | None = None) -> TurnRecord:
    return TurnRecord(name=turn.name, phase=phase, by=turn.by, finished_at=now.replace(microsecond=0), error=error)


def _shorten(error: RunError | None) -> RunError | None:
    if error is None or len(error.message) <= MAX_ERROR:
        return error
    return error.model_copy(update={"message": clip(error.message, limit=MAX_ERROR)})


def _measure_turn(turn: Turn) -> int:
    """Return how much of the room a turn takes, as the policy `sessions-leave-room` counts."""
    text = encode_json(turn.to_wire())
    return len(text) + 5 * sum(map(text.count, _ESCAPED))


def _measure(record: TurnRecord) -> int:
    return len(encode_json(record.to_wire()))


def _change(session: AgenticSession, **fields: Any) -> AgenticSession:
    return session.model_copy(update={"status": session.status.model_copy(update=fields)})
